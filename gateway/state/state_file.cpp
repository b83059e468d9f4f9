#include "gateway/state/state_file.hpp"

#include "gateway/state/file_steps.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

using namespace std::chrono_literals;

// All waits of a call together stay below the store's deadline for it.
constexpr auto lock_patience = 8s;
constexpr auto write_patience = 10s;
constexpr std::size_t most_idle = 8;

std::string errno_text(const std::string& what) { return what + ": " + std::generic_category().message(errno); }

int open_lock(const std::string& path) {
    if (make_private_file(path)) sync_directory_of(path);
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return file >= 0 ? file : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

}  // namespace

StateFileLock::StateFileLock(const std::string& path) : file_(open_lock(path + ".lock")) {}

StateFileLock::~StateFileLock() {
    if (exists()) ::close(file_);
}

void StateFileLock::lock(Kind kind) {
    if (!exists()) return;
    const auto give_up = std::chrono::steady_clock::now() + lock_patience;
    while (::flock(file_, (kind == Kind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > give_up)
            throw Failure(Failure::Kind::other, errno_text("locking"));
        std::this_thread::sleep_for(5ms);
    }
}

void StateFileLock::unlock() {
    if (exists()) ::flock(file_, LOCK_UN);
}

struct StateFile::Connection {
    explicit Connection(const std::string& path) {
        if (path.empty()) return;
        lock.emplace(path);
    }
    std::optional<StateFileLock> lock;
    std::optional<Database> database;
    std::uint64_t inode = 0;
    bool is_immutable = false;
    bool is_durable = true;  // SQLite's default
};

StateFile::StateFile(Options options) : options_(std::move(options)) {}
StateFile::~StateFile() = default;

bool StateFile::is_read_only() const {
    const std::lock_guard lock(mutex_);
    return is_read_only_;
}

std::unique_ptr<StateFile::Connection> StateFile::take() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto connection = std::move(idle_.back());
            idle_.pop_back();
            return connection;
        }
    }
    return std::make_unique<Connection>(path());
}

void StateFile::give_back(std::unique_ptr<Connection> connection) {
    // One that takes the file for unchanging must look anew each time.
    if (connection->is_immutable) return;
    const std::lock_guard lock(mutex_);
    if (idle_.size() < most_idle) idle_.push_back(std::move(connection));
}

void StateFile::make_or_finish(Connection& connection) {
    connection.lock->lock(StateFileLock::Kind::exclusive);
    if (file_exists(replacement_of(path()))) finish_replacement(path());
    if (file_exists(path())) return;
    const auto draft = path() + ".new";
    remove_database(draft);
    if (!make_private_file(draft)) throw Failure(Failure::Kind::other, errno_text("making " + draft));
    {
        Database database(draft, Database::Open::existing);
        sqlite::adopt(database, schema());
    }
    if (::rename(draft.c_str(), replacement_of(path()).c_str()) != 0)
        throw Failure(Failure::Kind::other, errno_text("renaming " + draft));
    finish_replacement(path());
}

void StateFile::enter(Connection& connection) {
    for (int attempt = 0;; ++attempt) {
        connection.lock->lock(StateFileLock::Kind::shared);
        const bool is_there = file_exists(path());
        if (!is_there && must_be_there_) throw Failure(Failure::Kind::missing, "it is missing");
        if (is_there && !file_exists(replacement_of(path()))) break;
        if (!connection.lock->exists() || attempt == 3) {
            if (is_there) break;
            throw Failure(Failure::Kind::read_only, "it cannot be made: " + path());
        }
        make_or_finish(connection);
    }
    if (connection.database && connection.inode == inode_of(path())) return;
    connection.database.reset();
    open_database(connection);
}

void StateFile::open_database(Connection& connection) {
    connection.inode = inode_of(path());
    // Of one octet, SQLite would make a database.
    if (is_file_below(path(), 512) && !is_file_below(path(), 1))
        throw Failure(Failure::Kind::foreign, "file is not a database");
    if (!options_.empty_is_new && is_file_below(path(), 1))
        throw Failure(Failure::Kind::corrupt, "it has become empty");
    make_private(path());
    connection.is_durable = true;
    connection.is_immutable = false;
    const auto open = [&](Database::Open how) {
        connection.database.emplace(path(), how);
        sqlite::adopt(*connection.database, schema());
    };
    std::optional<Failure> failure;
    try {
        open(Database::Open::existing);
    } catch (const Failure& caught) {
        failure = caught;
    }
    // A log cannot be begun there. Without one, nobody writes now, and the file alone is all there is.
    const bool may_be_immutable = failure && failure->kind != Failure::Kind::corrupt &&
                                  directory_is_read_only(path()) &&
                                  (!file_exists(path() + "-wal") || is_file_below(path() + "-wal", 1));
    if (failure && !may_be_immutable) throw Failure(*failure);
    if (failure) {
        connection.database.reset();
        connection.is_immutable = true;
        open(Database::Open::immutable);
    }
    const std::lock_guard lock(mutex_);
    is_read_only_ = connection.is_immutable || connection.database->is_read_only();
}

void StateFile::work_on(Connection& connection, Use use, const std::function<bool(Database&)>& work) {
    auto& database = *connection.database;
    const bool durable = use == Use::durable_write;
    if (use != Use::read && durable != std::exchange(connection.is_durable, durable))
        database.query(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL").step();
    sqlite::Transaction transaction(
        database, use == Use::read ? sqlite::Transaction::Kind::read : sqlite::Transaction::Kind::write);
    // Another process may have brought it to a later version meanwhile.
    if (const auto version = database.number("PRAGMA user_version"); version != schema().version())
        throw Failure(version > schema().version() ? Failure::Kind::newer : Failure::Kind::corrupt,
                      "it has become version " + std::to_string(version));
    if (work(database)) transaction.commit();
}

void StateFile::run(Use use, const std::function<bool(Database&)>& work) {
    std::unique_lock writing(writing_, std::defer_lock);
    if ((use != Use::read || is_memory()) && !writing.try_lock_for(write_patience))
        throw Failure(Failure::Kind::other, "others were writing all the time");
    // After a failure, it goes: the next one opens the file anew.
    auto connection = take();
    if (is_memory()) {
        if (!connection->database) {
            connection->database.emplace(std::string(), Database::Open::create);
            sqlite::adopt(*connection->database, schema());
        }
        struct GiveBack {  // memory is lost with its connection
            StateFile& file;
            std::unique_ptr<Connection>& connection;
            ~GiveBack() { file.give_back(std::move(connection)); }
        } const give_back_always{*this, connection};
        return work_on(*connection, use, work);
    }
    try {
        enter(*connection);
        work_on(*connection, use, work);
    } catch (Failure& failure) {
        failure.inode = connection->inode;
        throw;
    }
    connection->lock->unlock();
    give_back(std::move(connection));
}

}  // namespace popgate
