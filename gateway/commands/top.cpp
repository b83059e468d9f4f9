#include "gateway/commands/top.hpp"

#include "gateway/commands/session_table.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace popgate::commands {

namespace {

using Clock = TopView::Clock;

constexpr std::chrono::seconds between_samples{1};
constexpr char ctrl_c = '\x03';
constexpr std::string_view keys = "a age  i idle  o octets  r octets/s  u user  q quit";

/// The ends of the command and the changes of the terminal's size, as something to poll.
class Signals {
public:
    Signals() {
        sigset_t set;
        sigemptyset(&set);
        for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&set, each);
        sigprocmask(SIG_BLOCK, &set, nullptr);
        descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    ~Signals() { ::close(descriptor_); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    int descriptor() const { return descriptor_; }
    /// True when one of those that have come means the end.
    bool take() const {
        bool ends = false;
        for (signalfd_siginfo info{}; ::read(descriptor_, &info, sizeof info) == sizeof info;)
            ends = ends || info.ssi_signo != SIGWINCH;
        return ends;
    }

private:
    int descriptor_;
};

/// Another screen, without cursor; keys come as they are typed, Ctrl-C too. The terminal is as before in the end.
class FullScreen {
public:
    explicit FullScreen(std::ostream& out) : out_(out) {
        has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        if (has_keys_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
        out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
    }
    ~FullScreen() {
        out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
        if (has_keys_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    FullScreen(const FullScreen&) = delete;
    FullScreen& operator=(const FullScreen&) = delete;

    bool has_keys() const { return has_keys_; }

    void draw(const TopView& view, const std::string& notice) {
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
            size.ws_col = 80;
            size.ws_row = 24;
        }
        // The last line is for the keys; in the last column some terminals wrap.
        const std::size_t columns = size.ws_col > 1 ? size.ws_col - 1u : 1;
        const std::size_t rows = size.ws_row - 1u;
        std::string screen = "\x1b[H";
        std::size_t number = 0;
        for (const auto& line : view.lines(columns, rows)) {
            const bool is_heading = number++ == headings_line;
            screen += (is_heading ? "\x1b[7m" : "") + line + (is_heading ? "\x1b[0m" : "") + "\x1b[K\r\n";
        }
        screen += "\x1b[J\x1b[" + std::to_string(size.ws_row) + ";1H";
        screen +=
            notice.empty() ? std::string(keys.substr(0, columns)) : "\x1b[1m" + notice.substr(0, columns) + "\x1b[0m";
        out_ << screen << "\x1b[K" << std::flush;
    }

private:
    static constexpr std::size_t headings_line = 3;

    std::ostream& out_;
    termios before_{};
    bool has_keys_ = false;
};

std::optional<SortBy> order_of(char key) {
    switch (key) {
        case 'a': return SortBy::age;
        case 'i': return SortBy::idle;
        case 'o': return SortBy::octets;
        case 'r': return SortBy::rate;
        case 'u': return SortBy::user;
        default: return {};
    }
}

Status sample(AdminClient& client, TopView& view) {
    const auto status = client.get("/status.json");
    if (status.has_error()) return status.error();
    const auto sessions = client.get("/sessions");
    if (sessions.has_error()) return sessions.error();
    if (!view.take(status->json(), sessions->json(), Clock::now()))
        return Error{Errc::temporary, "the server's answer cannot be understood", {}};
    return {};
}

/// Sleeps until the next sample is due, a key is typed or a signal comes. A keyboard that has gone, or none, is -1.
void wait(int& keyboard, const Signals& signals, Clock::time_point until) {
    std::array<pollfd, 2> events = {{{signals.descriptor(), POLLIN, 0}, {keyboard, POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    ::poll(events.data(), events.size(), static_cast<int>(std::max<std::int64_t>(0, left)));
    if (events[1].revents & (POLLHUP | POLLERR | POLLNVAL)) keyboard = -1;
}

int show_once(AdminClient& client, TopView& view, const Signals& signals, Console& console) {
    const auto next = Clock::now() + between_samples;
    while (Clock::now() < next) {
        int none = -1;
        wait(none, signals, next);
        if (signals.take()) return exit_interrupted;
    }
    if (auto status = sample(client, view); status.has_error()) {
        console.err << "popgate: " << plain(status.error().text) << '\n';
        return exit_failed;
    }
    for (const auto& line : view.lines(0, 0)) console.out << line << '\n';
    return exit_done;
}

}  // namespace

int run_top(AdminClient& client, Console& console) {
    const Signals signals;
    TopView view;
    if (auto status = sample(client, view); status.has_error()) {
        console.err << "popgate: " << plain(status.error().text) << '\n';
        return exit_failed;
    }
    if (::isatty(STDOUT_FILENO) != 1) return show_once(client, view, signals, console);

    FullScreen screen(console.out);
    int keyboard = screen.has_keys() ? STDIN_FILENO : -1;
    std::string notice;
    for (auto next = Clock::now() + between_samples;;) {
        screen.draw(view, notice);
        wait(keyboard, signals, next);
        if (signals.take()) return exit_done;
        std::array<char, 64> typed{};
        const auto count = keyboard < 0 ? 0 : ::read(keyboard, typed.data(), typed.size());
        for (const char key : std::string_view(typed.data(), static_cast<std::size_t>(std::max<ssize_t>(0, count)))) {
            if (key == 'q' || key == 'Q' || key == ctrl_c) return exit_done;
            if (const auto order = order_of(key)) view.sort_by(*order);
        }
        if (!console.out) return exit_failed;  // the terminal has gone
        if (Clock::now() < next) continue;
        // A server that is started anew comes back.
        const auto status = sample(client, view);
        notice = status.has_error() ? plain(status.error().text) : "";
        next = Clock::now() + between_samples;
    }
}

}  // namespace popgate::commands
