#pragma once

#include "gateway/state/redis/client.hpp"
#include "gateway/state/state_store.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace popgate::redis {

/// Locks in a Redis that end by themselves unless their node renews them, so that a node which dies frees what it held.
/// A node trusts its own steady clock for how long it holds one: a lease that could not be renewed in time is lost for
/// good, whatever the server says later. After a server has lost its memory, nothing is leased until every lease of
/// before has run out or was renewed; see scripts.hpp. Shared by all threads.
class Leases : public std::enable_shared_from_this<Leases> {
public:
    struct Rules {
        std::chrono::milliseconds life{20'000};  ///< without renewal
        unsigned replicas = 0;                   ///< of the server must know of a lease
    };
    Leases(std::shared_ptr<Client> client, std::string node, Rules rules);

    class Lease;
    struct Answer {
        std::shared_ptr<Lease> lease;         ///< null: somebody else has it
        std::chrono::milliseconds free_in{};  ///< in that case, at the latest if its node has died
    };
    /// Suspends. `key` and `epoch` are of one bucket.
    Result<Answer> take(Fiber& fiber, std::string key, std::string epoch);

    /// Errc::temporary: it is lost, or nobody can tell. Suspends.
    Status confirm(Fiber& fiber, Lease& lease);
    static Deadline held_until(const Lease& lease);
    static bool is_lost(const Lease& lease);

    /// Returns when it is free, or when that cannot be had in a short time. Suspends.
    void free(Fiber& fiber, const std::shared_ptr<Lease>& lease);
    /// Frees it later, on this context. Does not suspend; from any thread.
    void let_go(const std::shared_ptr<Lease>& lease);

    /// Renews all that are held, over and over, until the fiber is interrupted and `is_needed` says no. `also` is
    /// called behind each round, within a third of a lease's life.
    void keep_up(Fiber& fiber, const std::function<bool()>& is_needed, const std::function<void(Fiber&)>& also);

private:
    void renew_all(Fiber& fiber);
    bool renew(Fiber& fiber, const std::vector<std::shared_ptr<Lease>>& leases);
    void lose(Lease& lease);
    void forget(const Lease& lease);
    Run unlocking(const Lease& lease) const;

    const std::shared_ptr<Client> client_;
    const std::string node_;
    const Rules rules_;
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Lease>> held_;  // by token
    std::vector<Run> to_be_freed_;                        // what may be locked, and nobody holds
};

}  // namespace popgate::redis
