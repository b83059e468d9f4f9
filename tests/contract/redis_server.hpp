#pragma once

#include "tests/contract/mailbox_contract.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace popgate::test {

/// A redis-server of its own in a temporary directory, behind a Unix socket; it ends with this object. Throws
/// std::runtime_error where it does not start.
class RedisServer {
public:
    /// `more`: further arguments, as "--requirepass", "secret".
    explicit RedisServer(std::vector<std::string> more = {});
    ~RedisServer();
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    std::string socket() const { return (directory_.path() / "redis.sock").string(); }
    std::string url() const { return "redis+unix:" + socket(); }
    /// What redis-cli prints.
    std::string command(const std::vector<std::string>& words) const;

    void start();
    void stop(int signal);  ///< SIGKILL, SIGTERM: waits for its end
    void send(int signal) const;

private:
    TemporaryDirectory directory_;
    std::vector<std::string> more_;
    pid_t process_ = -1;
};

}  // namespace popgate::test
