#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace popgate {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// Hears what is said on a fiber while somebody traces it. Texts hold neither secrets nor mail.
class TraceSink {
public:
    virtual ~TraceSink() = default;
    /// `side`: "client" or "upstream"; `text`: "> RETR 1" to the server of that side, "< +OK" from it.
    virtual void hear(std::string_view side, std::string text) = 0;
};

/// The running coroutine of one session: the only place where it suspends. Every wait has a deadline, and an
/// interrupt() from the same thread ends it early. Belongs to one io_context, which one thread runs.
///
/// Callers must not suspend inside a catch block or a destructor, nor hold a mutex or a thread-local's
/// address across a wait (the C++ runtime keeps caught exceptions per thread).
class Fiber {
public:
    using Body = std::function<void(Fiber&)>;

    /// Starts `body` on a stack of its own (reserved, guard-paged; only touched pages cost memory).
    /// An exception that leaves `body` is given to `failed` and ends this fiber alone.
    static void start(boost::asio::io_context& context, Body body, std::function<void(const std::exception&)> failed);

    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    boost::asio::io_context& context() const { return context_; }

    /// The conversation's own deadline: no wait goes beyond it, whatever its operation allows.
    void set_limit(Deadline limit) { limit_ = limit; }
    Deadline limit() const { return std::min(limit_, drain_limit_); }

    /// A nearer limit for as long as it lives.
    class LimitScope {
    public:
        LimitScope(Fiber& fiber, Deadline limit) : fiber_(fiber), before_(fiber.limit_) {
            if (limit < before_) fiber_.limit_ = limit;
        }
        ~LimitScope() { fiber_.limit_ = before_; }
        LimitScope(const LimitScope&) = delete;
        LimitScope& operator=(const LimitScope&) = delete;

    private:
        Fiber& fiber_;
        Deadline before_;
    };

    /// While it lives, nothing is sent by a Stream of this fiber once the time is over that `until` tells at each
    /// write. For a right that may end meanwhile: waits, and answers to what was sent before, are not touched.
    class Fence {
    public:
        Fence(Fiber& fiber, std::function<Deadline()> until) : fiber_(fiber), until_(std::move(until)) {
            if (until_) fiber_.fence_ = &until_;
        }
        ~Fence() { fiber_.fence_ = nullptr; }
        Fence(const Fence&) = delete;
        Fence& operator=(const Fence&) = delete;

    private:
        Fiber& fiber_;
        std::function<Deadline()> until_;
    };
    /// Until when its streams may send; max() without a Fence.
    Deadline fence() const { return fence_ ? (*fence_)() : Deadline::max(); }

    /// While it lives, an interrupt() does not end waits, but leaves them no more than `grace` from then on.
    class Shield {
    public:
        Shield(Fiber& fiber, Clock::duration grace) : fiber_(fiber), before_(fiber.shield_) { fiber.shield_ = grace; }
        ~Shield() { fiber_.shield_ = before_; }
        Shield(const Shield&) = delete;
        Shield& operator=(const Shield&) = delete;

    private:
        Fiber& fiber_;
        std::optional<Clock::duration> before_;
    };

    /// Suspends until the socket is ready. Errors: timed_out at the deadline, operation_aborted when interrupted.
    boost::system::error_code wait(boost::asio::ip::tcp::socket& socket, boost::asio::socket_base::wait_type what,
                                   Deadline deadline);

    /// Connects the socket, which it opens unless it is open; otherwise as wait().
    boost::system::error_code connect(boost::asio::ip::tcp::socket& socket, const boost::asio::ip::tcp::endpoint& peer,
                                      Deadline deadline);

    /// Suspends until the deadline, or until wake(). True when woken, false at the deadline or when interrupted.
    bool sleep_until(Deadline deadline);
    /// Ends sleep_until(); remembered when the fiber is not asleep yet. From the context's own thread only.
    void wake();

    /// Null while nobody traces this fiber.
    TraceSink* trace() const { return trace_; }
    void set_trace(TraceSink* sink) { trace_ = sink; }

    /// Gives back the stack pages that deeper calls have touched (a TLS handshake, libetpan's buffers). For a fiber
    /// that has been idle for a while; costs a system call.
    void trim_stack();

    /// Lets the others on this thread run; called now and then by code that never has to wait.
    void give_way();

    /// Makes the wait under way, and every later one, fail with operation_aborted until resume_waits().
    /// From the context's own thread only.
    void interrupt();
    bool interrupted() const { return interrupted_ && !shield_; }
    void resume_waits() {
        interrupted_ = false;
        drain_limit_ = Deadline::max();
    }

private:
    Fiber(boost::asio::io_context& context, boost::asio::yield_context yield, char* stack_end);
    ~Fiber();

    struct Watchdog;

    boost::asio::io_context& context_;
    boost::asio::yield_context yield_;
    std::shared_ptr<Watchdog> watchdog_;
    char* stack_end_;  // its lowest address, above the guard page
    Deadline limit_ = Deadline::max();
    Deadline drain_limit_ = Deadline::max();  // an interrupt() behind a shield sets it
    std::optional<Clock::duration> shield_;
    TraceSink* trace_ = nullptr;
    const std::function<Deadline()>* fence_ = nullptr;
    bool interrupted_ = false;
    bool woken_ = false;
};

}  // namespace popgate
