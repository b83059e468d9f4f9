#pragma once

#include "gateway/state/sqlite_database.hpp"

#include <cstdint>

namespace popgate {

/// What could still be read of a damaged file of mailboxes.
struct Salvaged {
    std::uint64_t mailboxes = 0;
    std::uint64_t messages = 0;
    std::uint64_t lost_mailboxes = 0;  ///< of which the name could be read
    std::uint64_t lost_chunks = 0;     ///< pieces of a mailbox, of up to 512 messages
};

/// Copies it into an empty database. Every mailbox then wants a look at everything, as messages may be missing, and no
/// change that began before is accepted any more. Throws sqlite::Failure for what is not the damage.
Salvaged salvage_mailboxes(sqlite::Database& from, sqlite::Database& to);

}  // namespace popgate
