#pragma once

#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// So many message numbers lie in one chunk, whether or not there are messages with them.
inline constexpr std::uint32_t chunk_span = 512;

inline std::uint32_t chunk_of(std::uint32_t number) { return number / chunk_span; }

/// Packs the messages of one chunk, at least one. Their numbers ascend and belong to that chunk, and no id is empty.
std::string pack_messages(const std::vector<StoredMessage>& messages);

/// Appends what pack_messages() was given for this chunk. False, with nothing appended, for anything else: what is
/// read here is a file's and may be damaged.
bool unpack_messages(std::string_view packed, std::uint32_t chunk, std::vector<StoredMessage>& to);

}  // namespace popgate
