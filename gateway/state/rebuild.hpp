#pragma once

#include "gateway/state/mailbox_salvage.hpp"
#include "gateway/state/state_file.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace popgate {

struct Rebuilt {
    std::string moved_to;  ///< where the damaged file is now
    Salvaged salvaged;
};

/// Moves the damaged file of mailboxes aside and puts one in its place that holds what could be read of it. Nothing
/// when the file is no longer `inode`: somebody else has done it. Throws sqlite::Failure, and the old file is then
/// still in its place. A crash at any moment leaves the old one or the new one.
std::optional<Rebuilt> rebuild(const StateFile& file, std::uint64_t inode);

}  // namespace popgate
