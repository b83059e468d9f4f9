#include "gateway/net/blocking_call.hpp"

#include <boost/asio/post.hpp>

#include <array>
#include <cassert>

namespace popgate {

namespace asio = boost::asio;

namespace {
std::array<BlockingPool*, 4> process_pools{};
}

BlockingPool& blocking_pool(Blocking kind) {
    auto* pool = process_pools.at(static_cast<std::size_t>(kind));
    assert(pool);
    return *pool;
}

void set_blocking_pool(Blocking kind, BlockingPool* pool) { process_pools.at(static_cast<std::size_t>(kind)) = pool; }

BlockingPool::BlockingPool(unsigned threads, std::size_t queue_limit)
    : threads_(threads), queued_(std::make_shared<std::atomic<std::size_t>>(0)), queue_limit_(queue_limit) {}

BlockingPool::~BlockingPool() {
    threads_.stop();
    threads_.join();
}

bool BlockingPool::run(Fiber& fiber, std::function<void()> work, Deadline deadline) {
    if (queued_->fetch_add(1) >= queue_limit_) {
        queued_->fetch_sub(1);
        return false;
    }
    // Touched by the context's thread alone: the fiber forgets it at the deadline, and a late end then wakes nobody.
    struct Waiter {
        Fiber* fiber;
        bool done = false;
    };
    auto waiter = std::make_shared<Waiter>(Waiter{&fiber});
    asio::post(threads_, [queued = queued_, waiter, &context = fiber.context(), work = std::move(work)] {
        work();
        queued->fetch_sub(1);
        asio::post(context, [waiter] {
            waiter->done = true;
            if (waiter->fiber) waiter->fiber->wake();
        });
    });
    // Somebody else's wake() ends a sleep, but not this call.
    while (!waiter->done && fiber.sleep_until(deadline)) continue;
    waiter->fiber = nullptr;
    return waiter->done;
}

}  // namespace popgate
