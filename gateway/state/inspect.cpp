#include "gateway/state/inspect.hpp"

#include "gateway/state/file_steps.hpp"
#include "gateway/state/mailbox_tables.hpp"
#include "gateway/state/record_tables.hpp"
#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/state_file.hpp"
#include "gateway/state/unique_id_tables.hpp"

#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

/// Empty, or the first thing that quick_check complains of.
std::string first_complaint(Database& database) {
    auto row = database.query("PRAGMA quick_check(1)");
    if (!row.step()) return "quick_check says nothing";
    const std::string said(row.octets(0));
    return said == "ok" ? std::string() : said;
}

void look_into(Database& database, const sqlite::Schema& schema, StateFileReport& report) {
    const auto version = database.number("PRAGMA user_version");
    if (database.number("PRAGMA application_id") != schema.application_id) {
        report.damage = "it belongs to another program";
    } else if (version > schema.version()) {
        report.unusable = "it was written by a newer popgate";
    } else {
        report.is_older = version < schema.version();
        report.damage = first_complaint(database);
    }
}

StateFileReport inspect_file(const std::string& path, const sqlite::Schema& schema) {
    StateFileReport report{path, {}, {}, false};
    try {
        StateFileLock lock(path);
        lock.lock(StateFileLock::Kind::shared);
        Database database(path, Database::Open::existing);
        look_into(database, schema, report);
        if (database.is_read_only()) report.unusable = "it can only be read";
        if (!report.damage.empty() || !report.unusable.empty()) return report;
        const sqlite::Transaction probe(database, sqlite::Transaction::Kind::write);
        database.execute("CREATE TABLE doctor_probe(value)");
    } catch (const Failure& failure) {
        const bool is_damage = failure.kind == Failure::Kind::corrupt || failure.kind == Failure::Kind::foreign;
        (is_damage ? report.damage : report.unusable) = failure.what();
    }
    return report;
}

}  // namespace

std::string state_path(std::string_view url) {
    constexpr std::string_view scheme = "sqlite:";
    if (!url.starts_with(scheme)) return {};
    url.remove_prefix(scheme.size());
    if (url == ":memory:") return {};
    return url.empty() ? "/var/lib/popgate/state.db" : std::string(url);
}

std::vector<StateFileReport> inspect_state(const std::string& path) {
    std::vector<StateFileReport> reports;
    for (const auto& [end, schema] : {std::pair{"", &mailbox_schema()}, std::pair{"-unique-ids", &unique_id_schema()},
                                      std::pair{"-accounts", &record_schema()}})
        if (file_exists(path + end)) reports.push_back(inspect_file(path + end, *schema));
    return reports;
}

}  // namespace popgate
