#include "gateway/state/unique_id_tables.hpp"

#include "gateway/state/packing.hpp"
#include "gateway/state/retired_tables.hpp"

#include <cstdint>
#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

constexpr std::int64_t buckets = 1024;
constexpr std::uint64_t bucket_seed = 1;
constexpr std::uint64_t imported_seed = 2;

[[noreturn]] void damaged(const char* what) { throw Failure(Failure::Kind::corrupt, what); }

std::int64_t bucket_of(std::string_view mailbox) {
    return static_cast<std::int64_t>(packing::checksum(mailbox, 0) % static_cast<std::uint64_t>(buckets));
}

std::uint64_t seed_of(std::int64_t bucket) {
    return packing::checksum({}, bucket_seed) + static_cast<std::uint64_t>(bucket);
}

/// So that another mailbox's ids are never taken for this one's.
std::uint64_t seed_of(std::string_view mailbox) { return packing::checksum(mailbox, imported_seed); }

void write_bucket(Database& database, std::int64_t bucket, const UniqueIdRecords& records) {
    const auto data = packing::sealed(pack_records(records), seed_of(bucket));
    database.query("INSERT OR REPLACE INTO buckets VALUES(?, ?)").bind(bucket).bind(data).step();
}

UniqueIdRecords read_bucket(Database& database, std::int64_t bucket) {
    auto query = database.query("SELECT data FROM buckets WHERE id = ?");
    if (!query.bind(bucket).step()) damaged("a row of unique-ids is missing");
    const auto packed = packing::unsealed(query.octets(0), seed_of(bucket));
    auto records = packed ? unpack_records(*packed) : std::nullopt;
    if (!records) damaged("a row of unique-ids is damaged");
    return std::move(*records);
}

void make_unique_id_tables(Database& database) {
    database.execute(
        "CREATE TABLE buckets(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
        "CREATE TABLE imported(id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);");
    for (std::int64_t bucket = 0; bucket < buckets; ++bucket) write_bucket(database, bucket, {});
}

}  // namespace

const sqlite::Schema& unique_id_schema() {
    static const sqlite::Schema schema{0x50475549, {make_unique_id_tables, make_retired_table}};  // "PGUI"
    return schema;
}

KeptUniqueIds load_unique_ids(Database& database, const std::string& mailbox) {
    KeptUniqueIds kept;
    const auto records = read_bucket(database, bucket_of(mailbox));
    const auto found = records.find(mailbox);
    if (found == records.end()) return kept;
    kept.first_generation = found->second.first_generation;
    kept.imported_generation = found->second.imported_generation;
    if (found->second.imported_row == 0) return kept;
    auto query = database.query("SELECT data FROM imported WHERE id = ?");
    if (!query.bind(found->second.imported_row).step()) damaged("imported unique-ids are missing");
    const auto packed = packing::unsealed(query.octets(0), seed_of(mailbox));
    auto ids = packed ? unpack_imported(*packed) : std::nullopt;
    if (!ids) damaged("imported unique-ids are damaged");
    kept.imported = std::move(*ids);
    return kept;
}

void keep_imported_ids(Database& database, const std::string& mailbox, const std::string& generation,
                       const ImportedIds& ids) {
    const auto bucket = bucket_of(mailbox);
    auto records = read_bucket(database, bucket);
    auto& record = records[mailbox];
    if (record.imported_row != 0) database.query("DELETE FROM imported WHERE id = ?").bind(record.imported_row).step();
    record.imported_generation = generation;
    record.imported_row = 0;
    if (!ids.empty()) {
        const auto data = packing::sealed(pack_imported(ids), seed_of(mailbox));
        database.query("INSERT INTO imported(data) VALUES(?)").bind(data).step();
        record.imported_row = sqlite3_last_insert_rowid(database.handle());
    }
    write_bucket(database, bucket, records);
}

void keep_first_generation(Database& database, const std::string& mailbox, const std::string& generation) {
    const auto bucket = bucket_of(mailbox);
    auto records = read_bucket(database, bucket);
    auto& record = records[mailbox];
    if (!record.first_generation.empty()) return;
    record.first_generation = generation;
    write_bucket(database, bucket, records);
}

std::vector<std::string> unique_id_keys(Database& database) {
    auto keys = retired_keys(database);
    for (std::int64_t bucket = 0; bucket < buckets; ++bucket)
        for (auto& [mailbox, record] : read_bucket(database, bucket)) keys.push_back(mailbox);
    return keys;
}

}  // namespace popgate
