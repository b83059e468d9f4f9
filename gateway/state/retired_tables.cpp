#include "gateway/state/retired_tables.hpp"

#include "gateway/state/packing.hpp"

#include <algorithm>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

constexpr std::int64_t kept_seconds = std::int64_t{400} * 86'400;
constexpr std::uint64_t retired_seed = 3;

std::int64_t checksum_of(std::string_view mailbox, std::string_view id, std::int64_t times, std::int64_t last) {
    packing::Writer writer;
    writer.text(mailbox);
    writer.text(id);
    writer.signed_number(times);
    writer.signed_number(last);
    return static_cast<std::int64_t>(packing::checksum(writer.take(), retired_seed));
}

/// Of a row as it is asked for here: times, last, checksum from column `first` on.
std::uint32_t times_in(Database::Query& query, int first, std::string_view mailbox, std::string_view id) {
    const auto times = query.number(first);
    if (query.number(first + 2) != checksum_of(mailbox, id, times, query.number(first + 1)))
        throw Failure(Failure::Kind::corrupt, "a retired id is damaged");
    return static_cast<std::uint32_t>(times);
}

std::uint32_t times_of(Database& database, const std::string& mailbox, const std::string& id) {
    auto query = database.query("SELECT times, last, checksum FROM retired WHERE mailbox = ? AND id = ?");
    return query.bind(mailbox).bind(id).step() ? times_in(query, 0, mailbox, id) : 0;
}

// Counted from the latest retirement before this one where the clock says more: it may be ahead.
void drop_old(Database& database, const std::string& mailbox, std::int64_t now) {
    auto latest = database.query("SELECT last FROM retired WHERE mailbox = ? ORDER BY last DESC LIMIT 1");
    if (!latest.bind(mailbox).step()) return;
    const auto oldest = std::min(now, latest.number(0)) - kept_seconds;
    database.query("DELETE FROM retired WHERE mailbox = ? AND last < ?").bind(mailbox).bind(oldest).step();
}

}  // namespace

void make_retired_table(Database& database) {
    database.execute(
        "CREATE TABLE retired(mailbox BLOB NOT NULL, id BLOB NOT NULL, times INTEGER NOT NULL, last INTEGER NOT NULL,"
        " checksum INTEGER NOT NULL, PRIMARY KEY(mailbox, id)) WITHOUT ROWID;"
        "CREATE INDEX retired_by_age ON retired(mailbox, last);");
}

RetiredIds load_retired_ids(Database& database, const std::string& mailbox) {
    RetiredIds ids;
    auto query = database.query("SELECT id, times, last, checksum FROM retired WHERE mailbox = ? ORDER BY id");
    query.bind(mailbox);
    while (query.step()) {
        const std::string id(query.octets(0));
        ids.emplace_hint(ids.end(), id, times_in(query, 1, mailbox, id));
    }
    return ids;
}

void keep_retired_ids(Database& database, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) {
    drop_old(database, mailbox, now);
    for (const auto& [id, times] : ids) {
        const std::int64_t kept = std::max(times, times_of(database, mailbox, id));
        database.query("INSERT OR REPLACE INTO retired VALUES(?, ?, ?, ?, ?)")
            .bind(mailbox)
            .bind(id)
            .bind(kept)
            .bind(now)
            .bind(checksum_of(mailbox, id, kept, now))
            .step();
    }
}

std::vector<std::string> retired_keys(Database& database) {
    std::vector<std::string> keys;
    auto query = database.query("SELECT DISTINCT mailbox FROM retired ORDER BY mailbox");
    while (query.step()) keys.emplace_back(query.octets(0));
    return keys;
}

}  // namespace popgate
