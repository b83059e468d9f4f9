#include "tests/contract/redis_server.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

namespace popgate::test {

namespace {

std::string quoted(const std::string& word) {
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
    return text + "'";
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> more) : more_(std::move(more)) { start(); }

RedisServer::~RedisServer() {
    if (process_ > 0) stop(SIGKILL);
}

void RedisServer::start() {
    std::vector<std::string> words{"redis-server", "--port", "0", "--unixsocket", socket(), "--dir",
                                   directory_.path().string(), "--save", "", "--daemonize", "no", "--loglevel", "warning"};
    words.insert(words.end(), more_.begin(), more_.end());
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
        ::execvp(arguments.front(), arguments.data());
        ::_exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (command({"PING"}).find("PONG") == std::string::npos) {
        if (process_ < 0 || ::waitpid(process_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > end)
            throw std::runtime_error("redis-server does not start");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void RedisServer::stop(int signal) {
    ::kill(process_, SIGCONT);
    ::kill(process_, signal);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

void RedisServer::send(int signal) const { ::kill(process_, signal); }

std::string RedisServer::command(const std::vector<std::string>& words) const {
    auto line = "redis-cli -s " + quoted(socket());
    for (std::size_t i = 0; i + 1 < more_.size(); ++i)
        if (more_[i] == "--requirepass") line += " --no-auth-warning -a " + quoted(more_[i + 1]);
    for (const auto& word : words) line += ' ' + quoted(word);
    const std::unique_ptr<FILE, int (*)(FILE*)> out(::popen((line + " 2>&1").c_str(), "r"), ::pclose);
    std::string text;
    std::array<char, 4096> octets{};
    while (out)
        if (const auto count = std::fread(octets.data(), 1, octets.size(), out.get()); count > 0)
            text.append(octets.data(), count);
        else
            break;
    return text;
}

}  // namespace popgate::test
