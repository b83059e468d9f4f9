#include "gateway/commands/password.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iostream>
#include <system_error>

namespace popgate::commands {

namespace {

volatile std::sig_atomic_t interrupted = 0;

/// No echo on the terminal while it lives, nor after a Ctrl-C, which ends the program only after the echo is back.
class SilentTerminal {
public:
    SilentTerminal() {
        // Blocked but for the time of the wait: one that came just before it would be noticed by nobody.
        sigset_t interrupt;
        sigemptyset(&interrupt);
        sigaddset(&interrupt, SIGINT);
        sigprocmask(SIG_BLOCK, &interrupt, &mask_before_);
        struct sigaction action {};
        action.sa_handler = [](int) { interrupted = 1; };
        interrupted = 0;
        sigaction(SIGINT, &action, &action_before_);
        tcgetattr(STDIN_FILENO, &before_);
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;
    ~SilentTerminal() {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
        sigaction(SIGINT, &action_before_, nullptr);
        if (interrupted) std::raise(SIGINT);
        sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
    }

    /// Until a line has been typed, or Ctrl-C; whether it is a line.
    bool wait_for_line() const {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        while (!interrupted && ppoll(&input, 1, nullptr, &mask_before_) < 0 && errno == EINTR) {
        }
        return !interrupted;
    }

private:
    sigset_t mask_before_{};
    termios before_{};
    struct sigaction action_before_ {};
};

}  // namespace

bool can_ask() { return isatty(STDIN_FILENO) == 1; }

std::string ask_silently(const std::string& prompt) {
    const SilentTerminal silent;
    std::cerr << prompt << std::flush;
    std::string answer;
    if (silent.wait_for_line()) std::getline(std::cin, answer);
    std::cerr << '\n';
    return answer;
}

Result<Secret> read_password(const std::string& file) {
    std::ifstream stream;
    if (file != "-") {
        errno = 0;
        stream.open(file);
        if (!stream)
            return Error{Errc::permanent, "cannot read " + file + ": " + std::generic_category().message(errno), {}};
    }
    std::string line;
    std::getline(file == "-" ? std::cin : stream, line);
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty())
        return Error{Errc::permanent, file == "-" ? "no password on standard input" : file + " holds no password", {}};
    Secret secret(line);
    Secret::wipe(line);
    return secret;
}

}  // namespace popgate::commands
