#pragma once

#include "backends/mailbox.hpp"
#include "gateway/index/indexed_mailbox.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace popgate {

/// Whose first listing is to be read, and how.
struct IndexBuild {
    std::string user;  ///< as the client knows himself, for the log
    std::string key;   ///< Backend::mailbox_key()
    UpstreamLogin login;
    IndexRules rules;                       ///< its patience is not looked at
    std::chrono::milliseconds slice{5000};  ///< the first one's; each is twice as long, up to two minutes
    /// Before what failed for the time being is tried again; as often, in a row, as there are pauses.
    std::vector<std::chrono::milliseconds> pauses{std::chrono::seconds(5), std::chrono::seconds(20),
                                                  std::chrono::seconds(60), std::chrono::seconds(180)};
};

/// Reads a mailbox in slices, each saved, until its listing is whole; `tell` hears how far it is after each. Suspends.
/// An error leaves what was saved: one that lasts, that trying again does not help, or an interruption.
Result<IndexProgress> build_index(Fiber& fiber, StateStore& store, const Backend& backend, const IndexBuild& build,
                                  const std::function<void(const IndexProgress&)>& tell);

/// First listings that go on without their clients: one for a mailbox at most, each on a fiber of its own. They hold no
/// maildrop lock, since who logs in meanwhile is to hear how far they are. Shared by all threads; outlives the loops.
class IndexBuilds {
public:
    explicit IndexBuilds(StateStore& store) : store_(store) {}

    /// How far the build of this mailbox is; nothing where none is under way.
    std::optional<IndexProgress> progress(const std::string& key) const;

    /// Starts one on `context`, which is this thread's. Does nothing where it is under way already, where there are too
    /// many, or after stop(). `so_far`: what progress() says until the first slice is done.
    void start(boost::asio::io_context& context, std::shared_ptr<const Backend> backend, IndexBuild build,
               const IndexProgress& so_far);

    /// Interrupts all that are under way, and starts no more.
    void stop();

private:
    struct Running {
        IndexProgress progress;
        boost::asio::io_context* context;
        Fiber* fiber = nullptr;  // once it runs
    };
    class Registration;
    void run(Fiber& fiber, const Backend& backend, const IndexBuild& build);

    StateStore& store_;
    mutable std::mutex mutex_;
    std::map<std::string, Running, std::less<>> running_;  // by key
    bool stopped_ = false;
};

}  // namespace popgate
