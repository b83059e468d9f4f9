#pragma once

#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/unique_id_codec.hpp"

#include <string>
#include <vector>

namespace popgate {

/// The file of what cannot be learned again. Its rows are made with it, one for each bucket of mailbox keys: so what
/// is not found is proved not to be there, and a row that has been lost is a fault. Each function runs in a
/// transaction of its caller's, and throws sqlite::Failure.
const sqlite::Schema& unique_id_schema();

struct KeptUniqueIds {
    std::string first_generation;
    std::string imported_generation;
    ImportedIds imported;
};

KeptUniqueIds load_unique_ids(sqlite::Database& database, const std::string& mailbox);

/// They replace those of an earlier import.
void keep_imported_ids(sqlite::Database& database, const std::string& mailbox, const std::string& generation,
                       const ImportedIds& ids);

/// The first that is kept stays.
void keep_first_generation(sqlite::Database& database, const std::string& mailbox, const std::string& generation);

/// In no order.
std::vector<std::string> unique_id_keys(sqlite::Database& database);

}  // namespace popgate
