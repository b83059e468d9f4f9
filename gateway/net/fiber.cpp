#include "gateway/net/fiber.hpp"

#include "gateway/net/stack_switch.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <boost/context/stack_context.hpp>
#include <boost/context/stack_traits.hpp>

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

namespace popgate {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// libetpan puts 64 KiB on the stack when it streams a literal; sanitizers make frames several times larger.
#ifdef POPGATE_SANITIZED
constexpr std::size_t stack_size = 1024 * 1024;
#else
constexpr std::size_t stack_size = 256 * 1024;
#endif

error_code error_of_system_call() { return {errno, boost::system::system_category()}; }

/// Of a connection that was begun; in_progress while nobody knows.
error_code outcome_of_connect(int descriptor) {
    pollfd ready{descriptor, POLLOUT, 0};
    if (::poll(&ready, 1, 0) == 0) return asio::error::in_progress;
    int failure = 0;
    socklen_t size = sizeof failure;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) return error_of_system_call();
    return {failure, boost::system::system_category()};
}

// Of one thread: to map a stack, and to touch its first pages, costs more than most of what short sessions do.
constexpr std::size_t most_spare_stacks = 16;

class SpareStacks {
public:
    SpareStacks() = default;
    ~SpareStacks() {
        for (auto& each : spare_) stacks_.deallocate(each);
    }
    SpareStacks(const SpareStacks&) = delete;
    SpareStacks& operator=(const SpareStacks&) = delete;

    boost::context::stack_context take() {
        if (spare_.empty()) return stacks_.allocate();
        auto stack = spare_.back();
        spare_.pop_back();
        return stack;
    }
    void give_back(boost::context::stack_context& stack) {
        if (spare_.size() < most_spare_stacks)
            spare_.push_back(stack);
        else
            stacks_.deallocate(stack);
    }

private:
    boost::context::protected_fixedsize_stack stacks_{stack_size};
    std::vector<boost::context::stack_context> spare_;
};

thread_local SpareStacks spare_stacks;

/// A guard-paged stack whose place is remembered.
class StackAllocator {
public:
    explicit StackAllocator(std::shared_ptr<char*> end) : end_(std::move(end)) {}
    boost::context::stack_context allocate() {
        auto stack = spare_stacks.take();
        const auto guard = boost::context::stack_traits::page_size();
        *end_ = static_cast<char*>(stack.sp) - stack.size + guard;
        return stack;
    }
    void deallocate(boost::context::stack_context& stack) {
        forget_stack(static_cast<char*>(stack.sp) - stack.size, stack.size);
        spare_stacks.give_back(stack);
    }

private:
    std::shared_ptr<char*> end_;
};

}  // namespace

// One timer a fiber. It is not moved when a deadline moves later, which is nearly always: when it fires too early it
// sets itself anew. Shared with its own handler, which may outlive the fiber.
struct Fiber::Watchdog : std::enable_shared_from_this<Watchdog> {
    explicit Watchdog(asio::io_context& context) : timer(context), sleeper(context) {}

    void arm(asio::ip::tcp::socket& target, Deadline when) {
        socket = &target;
        deadline = when;
        expired = false;
        if (!scheduled || timer.expiry() > deadline) schedule();
    }

    void shorten(Deadline when) {
        if (!socket || deadline <= when) return;
        deadline = when;
        schedule();
    }

    void schedule() {
        scheduled = true;
        timer.expires_at(deadline);
        timer.async_wait([self = shared_from_this()](const error_code& error) {
            if (error) return;
            self->scheduled = false;
            if (!self->socket) return;
            if (Clock::now() < self->deadline) return self->schedule();
            self->expired = true;
            self->cancel();
        });
    }

    void cancel() {
        if (!socket) return;
        error_code ignored;
        socket->cancel(ignored);
    }

    asio::steady_timer timer;
    asio::steady_timer sleeper;
    asio::ip::tcp::socket* socket = nullptr;  // the one that is waited for
    Deadline deadline{};
    bool scheduled = false;
    bool expired = false;
};

Fiber::Fiber(asio::io_context& context, asio::yield_context yield, char* stack_end)
    : context_(context),
      yield_(std::move(yield)),
      watchdog_(std::make_shared<Watchdog>(context)),
      stack_end_(stack_end) {}

Fiber::~Fiber() {
    watchdog_->timer.cancel();
    watchdog_->sleeper.cancel();
}

void Fiber::start(asio::io_context& context, Body body, std::function<void(const std::exception&)> failed) {
    auto stack_end = std::make_shared<char*>();
    asio::spawn(
        context, std::allocator_arg, StackAllocator(stack_end),
        [&context, stack_end, body = std::move(body), failed = std::move(failed)](asio::yield_context yield) {
            Fiber fiber(context, std::move(yield), *stack_end);
            const StackSwitch running(*stack_end, stack_size, StackSwitch::Way::onto_fiber);
            try {
                body(fiber);
            } catch (const std::exception& error) {
                failed(error);
            }
        },
        asio::detached);
}

error_code Fiber::wait(asio::ip::tcp::socket& socket, asio::socket_base::wait_type what, Deadline deadline) {
    if (interrupted()) return asio::error::operation_aborted;
    deadline = std::min(deadline, limit());
    if (deadline <= Clock::now()) return asio::error::timed_out;
    watchdog_->arm(socket, deadline);
    error_code error;
    {
        const StackSwitch suspended(stack_end_, stack_size, StackSwitch::Way::off_fiber);
        socket.async_wait(what, yield_[error]);
    }
    watchdog_->socket = nullptr;
    if (interrupted()) return asio::error::operation_aborted;
    if (watchdog_->expired) return asio::error::timed_out;
    return error;
}

// Not async_connect(): behind it the reactor would tell of a socket that can be written to at each wait for input.
error_code Fiber::connect(asio::ip::tcp::socket& socket, const asio::ip::tcp::endpoint& peer, Deadline deadline) {
    if (interrupted()) return asio::error::operation_aborted;
    if (std::min(deadline, limit()) <= Clock::now()) return asio::error::timed_out;
    error_code error;
    if (!socket.is_open()) socket.open(peer.protocol(), error);
    if (!error) socket.native_non_blocking(true, error);
    if (error) return error;
    const int descriptor = socket.native_handle();
    if (::connect(descriptor, peer.data(), static_cast<socklen_t>(peer.size())) == 0) return {};
    error = error_of_system_call();
    // A peer on this machine has answered by now.
    if (error == asio::error::in_progress) error = outcome_of_connect(descriptor);
    if (error != asio::error::in_progress) return error;
    error = wait(socket, asio::socket_base::wait_write, deadline);
    if (!error) error = outcome_of_connect(descriptor);
    if (error) return error;
    socket.release(error);
    if (!error) socket.assign(peer.protocol(), descriptor, error);
    if (error) ::close(descriptor);
    return error;
}

bool Fiber::sleep_until(Deadline deadline) {
    // An interrupt() behind a shield ends the sleep only to let it see its new limit.
    while (!woken_ && !interrupted() && Clock::now() < std::min(deadline, limit())) {
        error_code ignored;
        watchdog_->sleeper.expires_at(std::min(deadline, limit()));
        const StackSwitch suspended(stack_end_, stack_size, StackSwitch::Way::off_fiber);
        watchdog_->sleeper.async_wait(yield_[ignored]);
    }
    return std::exchange(woken_, false);
}

void Fiber::wake() {
    woken_ = true;
    watchdog_->sleeper.cancel();
}

void Fiber::trim_stack() {
    const auto page = boost::context::stack_traits::page_size();
    // What lies below this frame is nobody's, but the calls from here to the next suspension need some of it at once.
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - page;
    const auto end = reinterpret_cast<std::uintptr_t>(stack_end_);
    if (here > end) madvise(stack_end_, (here - end) / page * page, MADV_DONTNEED);
}

void Fiber::give_way() {
    const StackSwitch suspended(stack_end_, stack_size, StackSwitch::Way::off_fiber);
    asio::post(context_, yield_);
}

void Fiber::interrupt() {
    if (shield_ && !interrupted_) {
        interrupted_ = true;
        drain_limit_ = Clock::now() + *shield_;
        watchdog_->shorten(limit());
        watchdog_->sleeper.cancel();
        return;
    }
    interrupted_ = true;
    if (shield_) return;
    watchdog_->cancel();
    watchdog_->sleeper.cancel();
}

}  // namespace popgate
