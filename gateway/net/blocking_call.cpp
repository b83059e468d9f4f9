#include "gateway/net/blocking_call.hpp"

#include <boost/asio/post.hpp>

#include <cassert>

namespace popgate {

namespace asio = boost::asio;

namespace {
BlockingPool* process_pool = nullptr;
}

BlockingPool& blocking_pool() {
    assert(process_pool);
    return *process_pool;
}

void set_blocking_pool(BlockingPool* pool) { process_pool = pool; }

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
    };
    auto waiter = std::make_shared<Waiter>(Waiter{&fiber});
    asio::post(threads_, [queued = queued_, waiter, &context = fiber.context(),
                          work = std::move(work)] {
        work();
        queued->fetch_sub(1);
        asio::post(context, [waiter] {
            if (waiter->fiber) waiter->fiber->wake();
        });
    });
    const bool done = fiber.sleep_until(deadline);
    waiter->fiber = nullptr;
    return done;
}

}  // namespace popgate
