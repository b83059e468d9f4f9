#pragma once

#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace popgate {

/// The file of what can mostly be learned again: heads and messages. Each function runs in a transaction of its
/// caller's, and throws sqlite::Failure.
const sqlite::Schema& mailbox_schema();

/// Without what the file of unique-ids knows.
StoredMailbox load_mailbox(sqlite::Database& database, const std::string& mailbox);

/// As StateStore::save(). After an error, roll back.
Result<std::optional<std::uint64_t>> save_mailbox(sqlite::Database& database, const std::string& mailbox,
                                                  const MailboxChange& change);

bool forget_mailbox(sqlite::Database& database, const std::string& mailbox);

std::vector<std::string> mailbox_keys(sqlite::Database& database);

/// Whether a file of unique-ids has ever been made for this one: it must then be there.
bool has_unique_ids(sqlite::Database& database);
void note_unique_ids(sqlite::Database& database);

}  // namespace popgate
