#pragma once

#include "gateway/state/unique_id_codec.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace popgate::redis {

/// What a node has last seen of a mailbox, packed as it is stored. Never changed: a later look replaces it.
struct CachedMailbox {
    struct Chunk {
        std::uint64_t write = 0;
        std::shared_ptr<const std::string> octets;
    };
    std::string head;  ///< as stored; empty: there was none
    std::map<std::uint32_t, Chunk> chunks;
    std::string imported_revision;
    std::shared_ptr<const ImportedIds> imported;
    std::string first_generation;
    std::string imported_generation;

    std::size_t octets() const;
};

/// The mailboxes that a node has seen last, within so many octets. It says nothing about what is stored now: whoever
/// uses it compares the head. Any thread may use it.
class MailboxCache {
public:
    explicit MailboxCache(std::size_t most_octets) : most_octets_(most_octets) {}

    /// Null where it is not known.
    std::shared_ptr<const CachedMailbox> find(const std::string& mailbox);
    void keep(const std::string& mailbox, std::shared_ptr<const CachedMailbox> seen);
    void forget(const std::string& mailbox);

private:
    struct Entry {
        std::string mailbox;
        std::shared_ptr<const CachedMailbox> seen;
        std::size_t octets;
    };
    void erase(std::list<Entry>::iterator entry);

    const std::size_t most_octets_;
    std::mutex mutex_;
    std::list<Entry> entries_;  // the least recently used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_mailbox_;
    std::size_t octets_ = 0;
};

}  // namespace popgate::redis
