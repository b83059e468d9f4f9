#pragma once

#include "gateway/net/stream.hpp"
#include "gateway/state/redis/client.hpp"
#include "gateway/state/redis/protocol.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace popgate::redis {

/// One connection to one server, for the fibers of one thread. Their commands follow one another on it without waiting
/// for replies, which come in the same order. No fiber of its own reads: of those that wait for a reply one reads for
/// all, and hands that over to the next when it has its own.
class Connection {
public:
    /// Connects, and starts TLS. Nothing is said yet.
    static Result<std::shared_ptr<Connection>> open(Fiber& fiber, const Address& address, const Address::Server& server,
                                                    const ClientOptions& options);
    Connection(std::string name, std::unique_ptr<Stream> stream, std::chrono::milliseconds call_timeout);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The replies to `count` commands. Suspends. Errc::temporary: the connection is broken, or the fiber's time is
    /// over; what was to be done may have been done.
    Result<std::vector<Reply>> ask(Fiber& fiber, std::string commands, std::size_t count);
    /// Sends what the system takes now; the rest goes with what is asked next. Never suspends.
    void post(std::string commands, std::size_t count);

    /// False once it is broken, or the server has closed it. Never suspends.
    bool is_usable();
    /// Whoever waits hears of it.
    void give_up(const std::string& why);

    const std::string& name() const { return name_; }
    std::string run_id;  ///< of the server
    Deadline lacks_replicas_until = Deadline::min();

private:
    struct Waiter {
        std::size_t expected;
        std::vector<Reply> replies{};
        Fiber* fiber = nullptr;  // null: nobody waits any more
        Deadline asked_at = Clock::now();
    };
    using Waiters = std::deque<std::shared_ptr<Waiter>>;

    /// From then on the server is too slow: nothing has come for so long.
    Deadline late_at(const Waiter& waiter) const { return std::max(waiter.asked_at, moved_at_) + call_timeout_; }
    static bool is_done(const Waiter& waiter) { return waiter.replies.size() == waiter.expected; }
    void push(std::string commands, const std::shared_ptr<Waiter>& waiter);
    void lead(Fiber& fiber, const Waiter& waiter);
    void take_replies();
    Error broken() const;

    const std::string name_;
    const std::unique_ptr<Stream> stream_;
    const std::chrono::milliseconds call_timeout_;
    ReplyReader reader_;
    const std::unique_ptr<char[]> octets_;  // as they are read
    std::string out_;                       // not yet sent
    Waiters waiters_;                       // in the order of their commands
    Fiber* leader_ = nullptr;
    Deadline moved_at_ = Deadline::min();  // when octets came last
    bool is_writing_ = false;
    std::string why_broken_;
};

}  // namespace popgate::redis
