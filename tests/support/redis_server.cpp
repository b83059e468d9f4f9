#include "tests/support/redis_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <utility>

namespace popgate::test {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 10s;
constexpr auto look_every = 20ms;

/// Below 20000, since a cluster's nodes speak to one another 10000 above.
std::string free_port() {
    for (int attempt = 0; attempt < 200; ++attempt) {
        const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        static unsigned next = static_cast<unsigned>(::getpid());
        const auto port = static_cast<in_port_t>(10000 + next++ % 10000);
        address.sin_port = htons(port);
        const bool is_free = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(descriptor);
        if (is_free) return std::to_string(port);
    }
    throw std::runtime_error("no port is free");
}

/// `output` null: thrown away.
pid_t run(std::vector<std::string> command, int output) {
    std::vector<char*> arguments;
    for (auto& each : command) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    const auto parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("no process for " + command.front());
    if (child > 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::dup2(output, 1);
    ::dup2(output, 2);
    ::execvp(arguments.front(), arguments.data());
    ::_exit(127);
}

}  // namespace

RedisServer::RedisServer(Wishes wishes) : wishes_(std::move(wishes)) {
    auto pattern = (std::filesystem::temp_directory_path() / "popgate-redis-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("no temporary directory");
    directory_ = pattern;
    port_ = free_port();
    try {
        start();
    } catch (...) {
        kill();
        std::filesystem::remove_all(directory_);
        throw;
    }
}

RedisServer::~RedisServer() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string RedisServer::url() const {
    if (wishes_.on_socket) return "redis+unix:" + socket();
    const std::string user = wishes_.password.empty() ? "" : ":" + wishes_.password + "@";
    return (wishes_.tls ? "rediss://" : "redis://") + user + "127.0.0.1:" + port_;
}

std::string RedisServer::log() const {
    std::ifstream file(directory_ / "log");
    return {std::istreambuf_iterator<char>(file), {}};
}

void RedisServer::start() {
    {
        // A Sentinel writes what it has learnt into it, and starts anew with that.
        std::ofstream file(directory_ / "redis.conf");
        file << "dir " << directory_.string() << "\ndaemonize no\nbind 127.0.0.1\n";
        if (wishes_.tls)
            file << "port 0\ntls-port " << port_ << "\ntls-auth-clients no\ntls-cert-file " << wishes_.certificate_file
                 << "\ntls-key-file " << wishes_.key_file << "\n";
        else
            file << "port " << (wishes_.on_socket ? "0" : port_) << "\n";
        if (wishes_.on_socket) file << "unixsocket " << socket() << "\n";
        if (!wishes_.password.empty()) file << "requirepass " << wishes_.password << "\n";
        if (!wishes_.is_sentinel) file << "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n";
        for (const auto& each : wishes_.more) file << each << "\n";
    }
    const int output = ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    process_ = run({wishes_.is_sentinel ? "redis-sentinel" : "redis-server", directory_ / "redis.conf"}, output);
    ::close(output);
    if (!wait_for({"PING"}, "PONG")) throw std::runtime_error("the server does not answer: " + log());
}

void RedisServer::kill() {
    if (process_ < 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

void RedisServer::pause() const { ::kill(process_, SIGSTOP); }

void RedisServer::resume() const { ::kill(process_, SIGCONT); }

std::string RedisServer::cli(const std::vector<std::string>& command) const {
    std::vector<std::string> whole = {"redis-cli", "--no-auth-warning"};
    if (wishes_.on_socket)
        whole.insert(whole.end(), {"-s", socket()});
    else
        whole.insert(whole.end(), {"-h", "127.0.0.1", "-p", port_});
    if (wishes_.tls) whole.insert(whole.end(), {"--tls", "--insecure"});
    if (!wishes_.password.empty()) whole.insert(whole.end(), {"-a", wishes_.password});
    whole.insert(whole.end(), command.begin(), command.end());
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    const pid_t child = run(std::move(whole), ends[1]);
    ::close(ends[1]);
    std::string printed;
    char piece[4096];
    for (ssize_t count; (count = ::read(ends[0], piece, sizeof piece)) > 0;)
        printed.append(piece, static_cast<std::size_t>(count));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    while (printed.ends_with('\n')) printed.pop_back();
    return printed;
}

bool RedisServer::wait_for(const std::vector<std::string>& command, const std::string& words) const {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end) {
        if (cli(command).find(words) != std::string::npos) return true;
        if (process_ > 0 && ::kill(process_, 0) != 0) return false;
        std::this_thread::sleep_for(look_every);
    }
    return false;
}

}  // namespace popgate::test
