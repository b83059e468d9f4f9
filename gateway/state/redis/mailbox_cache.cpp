#include "gateway/state/redis/mailbox_cache.hpp"

#include <iterator>
#include <utility>

namespace popgate::redis {

namespace {

constexpr std::size_t per_entry = 300;  // of nodes, pointers and counts, by estimate
constexpr std::size_t per_chunk = 120;
constexpr std::size_t per_imported_id = 120;

}  // namespace

std::size_t CachedMailbox::octets() const {
    std::size_t sum = per_entry + head.capacity();
    for (const auto& [number, chunk] : chunks) sum += per_chunk + chunk.octets->capacity();
    if (imported)
        for (const auto& [id, unique_id] : *imported) sum += per_imported_id + id.capacity() + unique_id.capacity();
    return sum;
}

std::shared_ptr<const CachedMailbox> MailboxCache::find(const std::string& mailbox) {
    const std::lock_guard guard(mutex_);
    const auto found = by_mailbox_.find(mailbox);
    if (found == by_mailbox_.end()) return nullptr;
    entries_.splice(entries_.end(), entries_, found->second);
    return found->second->seen;
}

void MailboxCache::keep(const std::string& mailbox, std::shared_ptr<const CachedMailbox> seen) {
    const auto size = seen->octets() + mailbox.size();
    const std::lock_guard guard(mutex_);
    if (const auto found = by_mailbox_.find(mailbox); found != by_mailbox_.end()) erase(found->second);
    if (size > most_octets_) return;
    while (octets_ + size > most_octets_) erase(entries_.begin());
    entries_.push_back({mailbox, std::move(seen), size});
    by_mailbox_.emplace(entries_.back().mailbox, std::prev(entries_.end()));
    octets_ += size;
}

void MailboxCache::forget(const std::string& mailbox) {
    const std::lock_guard guard(mutex_);
    if (const auto found = by_mailbox_.find(mailbox); found != by_mailbox_.end()) erase(found->second);
}

void MailboxCache::erase(std::list<Entry>::iterator entry) {
    octets_ -= entry->octets;
    by_mailbox_.erase(entry->mailbox);
    entries_.erase(entry);
}

}  // namespace popgate::redis
