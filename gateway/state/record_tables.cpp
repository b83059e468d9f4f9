#include "gateway/state/record_tables.hpp"

#include "gateway/state/packing.hpp"

#include <chrono>
#include <string_view>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

constexpr std::uint64_t record_seed = 3;

/// So that neither another account's record nor another revision's octets are taken for this one.
std::uint64_t seed_of(std::string_view kind, std::string_view name, std::uint64_t revision) {
    return packing::checksum(name, packing::checksum(kind, record_seed)) + revision;
}

/// Not 1: who has read a record that was erased and made anew since must not take the new one for the old one.
std::uint64_t first_revision() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

void make_record_tables(Database& database) {
    database.execute(
        "CREATE TABLE records(kind BLOB NOT NULL, name BLOB NOT NULL, revision INTEGER NOT NULL, data BLOB NOT NULL,"
        " PRIMARY KEY(kind, name)) WITHOUT ROWID;");
}

}  // namespace

const sqlite::Schema& record_schema() {
    static const sqlite::Schema schema{0x50474143, {make_record_tables}};  // "PGAC"
    return schema;
}

StoredRecord load_record(Database& database, const std::string& kind, const std::string& name) {
    auto query = database.query("SELECT revision, data FROM records WHERE kind = ? AND name = ?");
    if (!query.bind(kind).bind(name).step()) return {};
    StoredRecord record;
    record.revision = static_cast<std::uint64_t>(query.number(0));
    const auto octets = packing::unsealed(query.octets(1), seed_of(kind, name, record.revision));
    if (!octets || record.revision == 0)
        throw Failure(Failure::Kind::corrupt, "the record " + kind + '/' + name + " is damaged");
    record.octets = *octets;
    return record;
}

bool save_record(Database& database, const std::string& kind, const std::string& name, const std::string& octets,
                 std::uint64_t expected) {
    const auto before = load_record(database, kind, name).revision;
    if (before != expected) return false;
    const auto revision = before == 0 ? first_revision() : before + 1;
    const auto data = packing::sealed(octets, seed_of(kind, name, revision));
    database.query("INSERT OR REPLACE INTO records VALUES(?, ?, ?, ?)")
        .bind(kind)
        .bind(name)
        .bind(static_cast<std::int64_t>(revision))
        .bind(data)
        .step();
    return true;
}

bool erase_record(Database& database, const std::string& kind, const std::string& name) {
    database.query("DELETE FROM records WHERE kind = ? AND name = ?").bind(kind).bind(name).step();
    return sqlite3_changes(database.handle()) > 0;
}

std::vector<std::string> record_names(Database& database, const std::string& kind) {
    std::vector<std::string> names;
    auto query = database.query("SELECT name FROM records WHERE kind = ? ORDER BY name");
    query.bind(kind);
    while (query.step()) names.emplace_back(query.octets(0));
    return names;
}

}  // namespace popgate
