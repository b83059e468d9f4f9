#pragma once

#include "gateway/net/fiber.hpp"

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace popgate {

/// The only door for what must block: files, crypt(3), name look-ups. A small pool of threads runs it while the
/// fiber is suspended. They end after the last session and before the io_contexts.
class BlockingPool {
public:
    /// `queue_limit`: calls waiting or running at once; one more is refused.
    BlockingPool(unsigned threads, std::size_t queue_limit);
    ~BlockingPool();

    /// Runs `work` on a pool thread. False when the deadline passed, the fiber was interrupted or the queue is
    /// full; `work` may then still run later, so it must own all that it touches (capture by value).
    bool run(Fiber& fiber, std::function<void()> work, Deadline deadline);

    /// True when no call waits or runs. The destructor waits for those that run.
    bool idle() const { return *queued_ == 0; }

private:
    boost::asio::thread_pool threads_;
    std::shared_ptr<std::atomic<std::size_t>> queued_;
    std::size_t queue_limit_;
};

/// What blocks, by what it may wait for: a name server that does not answer must not hold up the reading of mail.
enum class Blocking { files, passwords, names, state };

/// The process's pools; set once at start.
BlockingPool& blocking_pool(Blocking kind);
void set_blocking_pool(Blocking kind, BlockingPool* pool);

/// Runs `function` on the pool and gives its result, or nothing as BlockingPool::run() says. Its result must be
/// default-constructible and movable; `function` owns all that it touches. An exception thrown by it is rethrown here.
template <class Function>
auto blocking_call(Fiber& fiber, Deadline deadline, Function function, Blocking kind = Blocking::files)
    -> std::optional<decltype(function())> {
    struct Shared {
        decltype(function()) result{};
        std::exception_ptr failure;
    };
    auto shared = std::make_shared<Shared>();
    const bool ran = blocking_pool(kind).run(
        fiber,
        [shared, function = std::move(function)]() mutable {
            try {
                shared->result = function();
            } catch (...) {
                shared->failure = std::current_exception();
            }
        },
        deadline);
    if (!ran) return std::nullopt;
    if (shared->failure) std::rethrow_exception(shared->failure);
    return std::move(shared->result);
}

}  // namespace popgate
