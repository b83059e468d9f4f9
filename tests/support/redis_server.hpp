#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace popgate::test {

/// A redis-server or redis-sentinel of its own, in a temporary directory, on a free port of the loopback or on a Unix
/// socket. Ends with the object.
class RedisServer {
public:
    struct Wishes {
        bool is_sentinel = false;
        bool on_socket = false;  ///< a Unix socket and no port
        bool tls = false;        ///< the port speaks TLS, with certificate_file and key_file
        std::string certificate_file{};
        std::string key_file{};
        std::string password{};           ///< of the default user
        std::vector<std::string> more{};  ///< lines for its configuration file
    };

    RedisServer() : RedisServer(Wishes{}) {}
    /// Returns when it answers. Throws std::runtime_error with its log when it does not.
    explicit RedisServer(Wishes wishes);
    ~RedisServer();
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    const std::string& port() const { return port_; }
    std::string socket() const { return directory_ / "redis.sock"; }
    /// "redis://127.0.0.1:6379" and so on, without options.
    std::string url() const;

    /// Ends it at once, as a crash does. What it knew is lost.
    void kill();
    /// Again, on the same port.
    void start();
    /// It keeps its connections, and says nothing.
    void pause() const;
    void resume() const;

    /// What redis-cli prints for a command, without the last line's end.
    std::string cli(const std::vector<std::string>& command) const;
    /// Until redis-cli prints something with `words` for it. False after ten seconds.
    bool wait_for(const std::vector<std::string>& command, const std::string& words) const;

private:
    std::string log() const;

    Wishes wishes_;
    std::filesystem::path directory_;
    std::string port_;
    pid_t process_ = -1;
};

}  // namespace popgate::test
