#pragma once

#include "gateway/state/redis/client.hpp"
#include "gateway/state/redis/mailbox_cache.hpp"
#include "gateway/state/redis/mailbox_codec.hpp"
#include "gateway/state/state_store.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace popgate::redis {

/// Keys by what they are of.
class Keys {
public:
    explicit Keys(std::string prefix) : prefix_(std::move(prefix)) {}

    static unsigned bucket_of(std::string_view name);
    /// "PREFIX:{7f}:KIND:NAME", in the bucket of `name`.
    std::string of(std::string_view kind, const std::string& name) const;
    /// "PREFIX:{7f}:KIND".
    std::string in_bucket(unsigned bucket, std::string_view kind) const;

private:
    std::string prefix_;
};

/// A number that no write of any node has or had: later than `before`, and by this clock.
std::uint64_t next_write(std::uint64_t before);

/// The reply of a server as an Error, for a client and for the log.
Error refused(const Reply& reply);

/// The mailboxes in a Redis: of each a head, and chunks of messages in a hash, so that a change writes what changed and
/// a mailbox that is as it was costs its head alone. Shared by all threads; calls suspend.
class MailboxStore {
public:
    /// `replicas`: how many must have what is written durably.
    MailboxStore(Client& client, const Keys& keys, std::size_t cache_octets, unsigned replicas)
        : client_(client), keys_(keys), cache_(cache_octets), replicas_(replicas) {}

    Result<StoredMailbox> load(Fiber& fiber, const std::string& mailbox);
    Result<std::optional<std::uint64_t>> save(Fiber& fiber, const std::string& mailbox, const MailboxChange& change);
    Result<bool> forget(Fiber& fiber, const std::string& mailbox);
    /// What this node last saw, whatever is stored; an empty mailbox where it saw none.
    StoredMailbox last_seen(const std::string& mailbox);

private:
    using Seen = std::shared_ptr<const CachedMailbox>;

    /// The mailbox as it is stored now, with those chunks that this node has seen, whether or not they still hold.
    Result<Seen> look(Fiber& fiber, const std::string& mailbox);
    /// Null where it is as it was seen.
    Result<Seen> newer_than(Fiber& fiber, const std::string& mailbox, const CachedMailbox& seen);
    /// Drops the chunks that hold no more, and gets those that are missing (all for null). False where what is there is
    /// not what the head says.
    Result<bool> complete(Fiber& fiber, const std::string& mailbox, CachedMailbox& seen, const HeadRecord& record,
                          const std::set<std::uint32_t>* wanted);
    void discard(Fiber& fiber, const std::string& mailbox, const std::string& head, const char* why);

    Client& client_;
    const Keys& keys_;
    MailboxCache cache_;
    const unsigned replicas_;
};

}  // namespace popgate::redis
