#pragma once

#include "gateway/state/state_store.hpp"
#include "gateway/state/unique_id_codec.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::redis {

/// What opening a mailbox reads: its head, and which write has left each chunk of messages as it is, so that chunks
/// that are known already are not read again.
struct HeadRecord {
    std::uint64_t write = 0;  ///< which write has made it; no other has the same
    StoredHead head;
    std::uint64_t messages = 0;
    std::map<std::uint32_t, std::uint64_t> chunks;  ///< number to write
};

/// The head's identity in front of what is stored: 16 characters, see scripts::save_mailbox.
inline constexpr std::size_t identity_size = 16;
std::string identity_of(std::uint64_t write);

/// Packed for this mailbox, and back. Nothing for anything else: it may be damaged, or another mailbox's.
std::string pack_head(const HeadRecord& record, std::string_view mailbox);
std::string seal_head(std::string packed, std::uint64_t write, std::string_view mailbox);  ///< its last step
std::optional<HeadRecord> unpack_head(std::string_view octets, std::string_view mailbox);

/// A chunk's packed messages as that write left them.
std::string seal_chunk(std::string packed, std::string_view mailbox, std::uint32_t chunk, std::uint64_t write);
std::optional<std::string_view> unseal_chunk(std::string_view octets, std::string_view mailbox, std::uint32_t chunk,
                                             std::uint64_t write);

/// What an import has brought; empty for nothing.
std::string seal_imported(const ImportedIds& ids, std::string_view mailbox);
std::optional<ImportedIds> unseal_imported(std::string_view octets, std::string_view mailbox);

}  // namespace popgate::redis
