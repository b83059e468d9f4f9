#include "gateway/index/index_builder.hpp"

#include "gateway/observe/log.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

namespace popgate {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_builds = 200;
constexpr auto slice_limit = 5min;  // opening, a slice and what is saved, all in all
constexpr std::chrono::milliseconds longest_slice = 2min;

/// One slice on a mailbox of its own. The error is not that of a listing which is merely not whole yet.
Result<IndexProgress> read_slice(Fiber& fiber, StateStore& store, const Backend& backend, const IndexBuild& build,
                                 std::chrono::milliseconds slice) {
    const Fiber::LimitScope limit(fiber, Clock::now() + slice_limit);
    auto mailbox = backend.open(fiber, build.login);
    if (!mailbox) return mailbox.error();
    auto rules = build.rules;
    rules.patience = slice;
    // Sizes are measured, and a view is chosen, when a client wants them.
    if (rules.sizes == Sizes::exact) rules.sizes = Sizes::learned;
    rules.policy.view = {};
    IndexProgress progress;
    const auto index = IndexedMailbox::open(fiber, store, **mailbox, build.key, std::move(rules), progress);
    (*mailbox)->close();
    if (!index && progress.still_to_come == 0) return index.error();
    return progress;
}

}  // namespace

Result<IndexProgress> build_index(Fiber& fiber, StateStore& store, const Backend& backend, const IndexBuild& build,
                                  const std::function<void(const IndexProgress&)>& tell) {
    std::size_t failures = 0;
    // Some stores must tell all ids again before the first message of a slice: the more there are, the longer that
    // takes.
    for (auto duration = build.slice;; duration = std::max(build.slice, std::min(2 * duration, longest_slice))) {
        auto slice = read_slice(fiber, store, backend, build, duration);
        Error error{Errc::temporary, "no more messages come", {}};
        bool gets_on = false;
        if (slice) {
            tell(*slice);
            if (slice->still_to_come == 0) return slice;
            gets_on = slice->gets_on;
        } else {
            error = slice.error();
        }
        if (gets_on) {
            failures = 0;
        } else if (error.code != Errc::temporary || failures == build.pauses.size()) {
            return error;
        } else {
            fiber.sleep_until(Clock::now() + build.pauses[failures++]);
        }
        if (fiber.interrupted()) return Error{Errc::temporary, "interrupted", {}};
    }
}

/// Makes a build's fiber known for as long as it runs.
class IndexBuilds::Registration {
public:
    Registration(IndexBuilds& builds, const std::string& key, Fiber& fiber) : builds_(builds), key_(key) {
        const std::lock_guard lock(builds_.mutex_);
        builds_.running_.at(key_).fiber = &fiber;
        if (builds_.stopped_) fiber.interrupt();
    }
    ~Registration() {
        const std::lock_guard lock(builds_.mutex_);
        builds_.running_.erase(key_);
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

private:
    IndexBuilds& builds_;
    const std::string& key_;
};

std::optional<IndexProgress> IndexBuilds::progress(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(key);
    if (found == running_.end()) return std::nullopt;
    return found->second.progress;
}

void IndexBuilds::start(asio::io_context& context, std::shared_ptr<const Backend> backend, IndexBuild build,
                        const IndexProgress& so_far) {
    {
        const std::lock_guard lock(mutex_);
        if (stopped_ || running_.size() >= most_builds) return;
        if (!running_.try_emplace(build.key, Running{so_far, &context}).second) return;
    }
    // Not from within the caller's fiber.
    asio::post(context, [this, &context, backend = std::move(backend),
                         shared = std::make_shared<IndexBuild>(std::move(build))]() mutable {
        const auto failed = [user = shared->user](const std::exception& error) {
            log(LogLevel::error, "index_build_failed", {{"user", user}, {"error", error.what()}});
        };
        try {
            Fiber::start(
                context, [this, backend, shared](Fiber& fiber) { run(fiber, *backend, *shared); }, failed);
        } catch (const std::exception& error) {  // no memory for a stack
            failed(error);
            const std::lock_guard lock(mutex_);
            running_.erase(shared->key);
        }
    });
}

void IndexBuilds::run(Fiber& fiber, const Backend& backend, const IndexBuild& build) {
    const Registration registration(*this, build.key, fiber);
    const auto started = Clock::now();
    log(LogLevel::info, "index_build_started", {{"user", build.user}});
    const auto built = build_index(fiber, store_, backend, build, [&](const IndexProgress& progress) {
        const std::lock_guard lock(mutex_);
        running_.at(build.key).progress = progress;
    });
    const auto last = progress(build.key).value_or(IndexProgress{});
    const auto duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started);
    log(built ? LogLevel::info : LogLevel::warning, "index_build_ended",
        {{"user", build.user},
         {"messages", last.messages},
         {"still_to_come", last.still_to_come},
         {"duration_ms", static_cast<std::uint64_t>(duration.count())},
         {"error", built ? std::string_view() : std::string_view(built.error().text)},
         {"detail", built ? std::string_view() : std::string_view(built.error().detail)}});
}

void IndexBuilds::stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& [key, running] : running_) {
        asio::post(*running.context, [this, key = key] {
            Fiber* fiber = nullptr;
            {
                const std::lock_guard in_post(mutex_);
                if (const auto found = running_.find(key); found != running_.end()) fiber = found->second.fiber;
            }
            if (fiber) fiber->interrupt();  // it ends on this thread alone
        });
    }
}

}  // namespace popgate
