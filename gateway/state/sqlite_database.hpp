#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::sqlite {

/// A fault of the file or of what is in it. Thrown within this folder only: the store makes an Error of it.
class Failure : public std::runtime_error {
public:
    enum class Kind {
        corrupt,    ///< ours, and damaged
        foreign,    ///< another program's, or no database at all
        newer,      ///< ours, of a later version
        missing,    ///< not there, where it must be
        read_only,  ///< it can be read
        other,      ///< full, busy, or the system's fault
    };
    Failure(Kind what, const std::string& text) : std::runtime_error(text), kind(what) {}
    Kind kind;
    std::uint64_t inode = 0;  ///< of the file, where it was opened
};

/// One connection, used by one thread at a time. Everything blocks, for no longer than the busy timeout.
class Database {
public:
    enum class Open { existing, create, immutable };

    /// A `path` that is empty means memory. "immutable" reads a file in a directory that cannot be written.
    Database(const std::string& path, Open how);

    void execute(const std::string& statements);
    /// The first value of the first row; 0 without a row.
    std::int64_t number(const char* query);
    bool is_read_only() const;

    /// A prepared statement in use; free again when it goes.
    class Query {
    public:
        explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
        Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
        Query& operator=(Query&&) = delete;
        ~Query();

        /// Values in order. Octets are not copied: they must stay until the last step().
        Query& bind(std::int64_t value);
        Query& bind(std::string_view octets);
        /// True when there is a row. Its octets stay until the next step.
        bool step();
        std::int64_t number(int column);
        std::string_view octets(int column);

    private:
        sqlite3_stmt* statement_;
        int bound_ = 0;
    };

    /// `statement` is a literal: it is prepared once and known by its address.
    Query query(const char* statement);

    sqlite3* handle() const { return handle_.get(); }

private:
    struct Close {
        void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
    };
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };
    std::unique_ptr<sqlite3, Close> handle_;
    std::map<const char*, std::unique_ptr<sqlite3_stmt, Finalize>> prepared_;  // go before the handle
};

/// All or nothing: rolled back unless committed.
class Transaction {
public:
    enum class Kind { read, write };
    Transaction(Database& database, Kind kind);
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();
    void commit();

private:
    Database& database_;
    bool is_open_ = true;
};

/// What a file of ours holds. Its `application_id` and version stand in the header.
struct Schema {
    std::int32_t application_id;
    /// Step n brings version n to version n + 1; the latest version is their number. A new one goes behind the others,
    /// and none ever changes.
    std::vector<void (*)(Database&)> steps;

    std::int64_t version() const { return static_cast<std::int64_t>(steps.size()); }
};

/// Makes sure that the database is ours and of the latest version; what is empty or older is brought there in one
/// transaction. A file that is foreign or newer is not touched.
void adopt(Database& database, const Schema& schema);

}  // namespace popgate::sqlite
