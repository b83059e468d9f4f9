#include "gateway/state/sqlite_database.hpp"

#include <chrono>
#include <new>
#include <thread>

namespace popgate::sqlite {

namespace {

using namespace std::chrono_literals;

constexpr int busy_milliseconds = 10'000;

Failure::Kind kind_of(int code) {
    switch (code & 0xFF) {
        case SQLITE_CORRUPT:
        case SQLITE_CONSTRAINT:  // rows that are there already: only an index that lies can bring it about
            return Failure::Kind::corrupt;
        case SQLITE_NOTADB: return Failure::Kind::foreign;
        case SQLITE_READONLY: return Failure::Kind::read_only;
        default: return Failure::Kind::other;
    }
}

[[noreturn]] void fail(sqlite3* handle, int code) {
    const auto* text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
    throw Failure(kind_of(code), std::string(text) + " (" + std::to_string(code) + ")");
}

/// As SQLite reads it in a URI.
std::string immutable_uri(const std::string& path) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string uri = "file:";
    for (const char c : path) {
        if (c == '%' || c == '?' || c == '#') {
            const auto octet = static_cast<unsigned char>(c);
            uri += '%';
            uri += digits[octet >> 4];
            uri += digits[octet & 15];
        } else {
            uri += c;
        }
    }
    return uri + "?immutable=1";
}

}  // namespace

Database::Database(const std::string& path, Open how) {
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= how == Open::immutable ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE;
    if (how == Open::create || path.empty()) flags |= SQLITE_OPEN_CREATE;
    const auto name = path.empty() ? ":memory:" : how == Open::immutable ? immutable_uri(path) : path;
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
    handle_.reset(handle);
    if (code != SQLITE_OK) fail(handle, code);
    sqlite3_busy_timeout(handle, busy_milliseconds);
    // What a file says of itself is not trusted to call functions.
    sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    execute("PRAGMA cell_size_check = ON");
}

void Database::execute(const std::string& statements) {
    if (const int code = sqlite3_exec(handle(), statements.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(handle(), code);
}

std::int64_t Database::number(const char* text) {
    auto row = query(text);
    return row.step() ? row.number(0) : 0;
}

bool Database::is_read_only() const { return sqlite3_db_readonly(handle(), "main") == 1; }

Database::Query Database::query(const char* statement) {
    auto& prepared = prepared_[statement];
    if (!prepared) {
        sqlite3_stmt* made = nullptr;
        const int code = sqlite3_prepare_v3(handle(), statement, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
        // Our statements are right: a table or column that is unknown has been lost.
        if ((code & 0xFF) == SQLITE_ERROR) throw Failure(Failure::Kind::corrupt, sqlite3_errmsg(handle()));
        if (code != SQLITE_OK) fail(handle(), code);
        prepared.reset(made);
    }
    return Query(prepared.get());
}

Database::Query::~Query() {
    if (!statement_) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

Database::Query& Database::Query::bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
}

Database::Query& Database::Query::bind(std::string_view octets) {
    const auto* data = octets.data() ? octets.data() : "";  // null would be NULL
    sqlite3_bind_blob64(statement_, ++bound_, data, octets.size(), SQLITE_STATIC);
    return *this;
}

bool Database::Query::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    fail(sqlite3_db_handle(statement_), code);
}

std::int64_t Database::Query::number(int column) { return sqlite3_column_int64(statement_, column); }

std::string_view Database::Query::octets(int column) {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    if (!data && sqlite3_errcode(sqlite3_db_handle(statement_)) == SQLITE_NOMEM) throw std::bad_alloc();
    return {data, data ? size : 0};
}

Transaction::Transaction(Database& database, Kind kind) : database_(database) {
    database.query(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN").step();
}

Transaction::~Transaction() {
    if (is_open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
    database_.query("COMMIT").step();
    is_open_ = false;
}

namespace {

/// The version of a database of ours; 0 when it is empty.
std::int64_t version_of(Database& database, const Schema& schema) {
    const auto application = database.number("PRAGMA application_id");
    const auto version = database.number("PRAGMA user_version");
    const auto entries = database.number("SELECT count(*) FROM sqlite_schema");
    if (application == 0 && version == 0 && entries == 0) return 0;
    if (application != schema.application_id) throw Failure(Failure::Kind::foreign, "it belongs to another program");
    if (version > schema.version())
        throw Failure(Failure::Kind::newer, "it was written by a newer popgate, as version " + std::to_string(version));
    if (version < 1 || entries == 0) throw Failure(Failure::Kind::corrupt, "its header is damaged");
    return version;
}

/// Two that do it at once find each other busy without being made to wait.
void use_write_ahead_log(Database& database) {
    for (int attempt = 0;; ++attempt) {
        try {
            database.query("PRAGMA journal_mode = WAL").step();
            return;
        } catch (const Failure& failure) {
            if (failure.kind != Failure::Kind::other || attempt == 100) throw;
        }
        std::this_thread::sleep_for(20ms);
    }
}

}  // namespace

void adopt(Database& database, const Schema& schema) {
    bool is_latest = false;
    {
        Transaction look(database, Transaction::Kind::read);
        is_latest = version_of(database, schema) == schema.version();
        look.commit();
    }
    if (!is_latest) {
        Transaction change(database, Transaction::Kind::write);
        for (auto version = version_of(database, schema); version < schema.version(); ++version)
            schema.steps.at(static_cast<std::size_t>(version))(database);
        database.execute("PRAGMA application_id = " + std::to_string(schema.application_id) +
                         "; PRAGMA user_version = " + std::to_string(schema.version()));
        change.commit();
    }
    if (!database.is_read_only()) use_write_ahead_log(database);
}

}  // namespace popgate::sqlite
