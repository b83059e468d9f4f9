#include "gateway/accounts/run_command.hpp"

#include "gateway/observe/log.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

namespace popgate {

namespace {

constexpr int most_at_once = 16;  // when a provider ends the sign-ins of everybody at one time
constexpr auto longest = std::chrono::minutes(1);
constexpr auto poll = std::chrono::milliseconds(50);

std::atomic<int> running = 0;

void see_it_end(pid_t child, const std::string& program) {
    const auto end = std::chrono::steady_clock::now() + longest;
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > end) {
            ::kill(child, SIGKILL);
            ::waitpid(child, &status, 0);
            break;
        }
        std::this_thread::sleep_for(poll);
    }
    if (status != 0)
        log(LogLevel::warning, "command_failed", {{"program", program}, {"status", static_cast<std::int64_t>(status)}});
}

}  // namespace

void run_command(const std::string& program, const std::vector<std::string>& arguments) {
    if (++running > most_at_once) {
        --running;
        return log(LogLevel::warning, "command_failed", {{"program", program}, {"error", "too many run already"}});
    }
    std::vector<char*> words{const_cast<char*>(program.c_str())};
    for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char* environment[] = {path, nullptr};

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);  // libraries open files that are inherited
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // The server has blocked signals that the program may want, and ignores one.
    sigset_t none;
    sigset_t pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t child = 0;
    const int error = ::posix_spawn(&child, program.c_str(), &files, &attributes, words.data(), environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) {
        --running;
        return log(LogLevel::warning, "command_failed", {{"program", program}, {"error", std::strerror(error)}});
    }
    std::thread([child, program] {
        see_it_end(child, program);
        --running;
    }).detach();
}

}  // namespace popgate
