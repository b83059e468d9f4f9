#pragma once

#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace popgate {

/// Errc::temporary for a change that makes no sense on top of a mailbox whose next number is this one: numbers that
/// were given before, out of order, or beyond the head's would mix messages up.
Status check_change(const MailboxChange& change, std::uint32_t next_number);

/// The chunks (see message_codec.hpp) of one mailbox.
class ChunkStorage {
public:
    virtual ~ChunkStorage() = default;
    /// Appends the chunk's messages. False when there is none.
    virtual bool read(std::uint32_t chunk, std::vector<StoredMessage>& to) = 0;
    virtual void write(std::uint32_t chunk, const std::vector<StoredMessage>& messages) = 0;
    virtual void erase(std::uint32_t chunk) = 0;
};

/// The chunks that apply_change() reads.
std::set<std::uint32_t> chunks_of(const MailboxChange& change);

/// Does to the messages what the change says; each chunk that it touches is read and written once. Gives by how many
/// messages there are more then.
std::int64_t apply_change(ChunkStorage& storage, const MailboxChange& change);

}  // namespace popgate
