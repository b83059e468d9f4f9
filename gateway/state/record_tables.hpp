#pragma once

#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace popgate {

/// The file of what is kept of accounts: a row a record, each with a checksum of its own. Each function runs in a
/// transaction of its caller's, and throws sqlite::Failure.
const sqlite::Schema& record_schema();

StoredRecord load_record(sqlite::Database& database, const std::string& kind, const std::string& name);

/// False, and nothing is written, where its revision is not `expected`.
bool save_record(sqlite::Database& database, const std::string& kind, const std::string& name,
                 const std::string& octets, std::uint64_t expected);

/// A damaged one too. False: there was none.
bool erase_record(sqlite::Database& database, const std::string& kind, const std::string& name);

/// Sorted.
std::vector<std::string> record_names(sqlite::Database& database, const std::string& kind);

}  // namespace popgate
