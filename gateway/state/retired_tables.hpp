#pragma once

#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace popgate {

/// Retired ids, in the file of what cannot be learned again; see StateStore::keep_retired(). A row each. Each function
/// runs in a transaction of its caller's, and throws sqlite::Failure.
void make_retired_table(sqlite::Database& database);

RetiredIds load_retired_ids(sqlite::Database& database, const std::string& mailbox);
void keep_retired_ids(sqlite::Database& database, const std::string& mailbox, const RetiredIds& ids, std::int64_t now);

/// The mailboxes that have some, sorted.
std::vector<std::string> retired_keys(sqlite::Database& database);

}  // namespace popgate
