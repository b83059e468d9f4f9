#pragma once

#include "gateway/state/sqlite_database.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace popgate {

/// Held by everybody who works on a state file, shared, and by the one alone who replaces it. Ends with its process.
class StateFileLock {
public:
    enum class Kind { shared, exclusive };

    /// Opens PATH.lock. It stays missing where nothing can be written; then nobody can replace the file either.
    explicit StateFileLock(const std::string& path);
    StateFileLock(const StateFileLock&) = delete;
    StateFileLock& operator=(const StateFileLock&) = delete;
    ~StateFileLock();

    bool exists() const { return file_ >= 0; }
    /// Waits for some seconds at most, then throws sqlite::Failure.
    void lock(Kind kind);
    void unlock();

private:
    int file_;
};

/// A database file of ours with its connections. Any thread may use it; everything blocks, and throws sqlite::Failure.
class StateFile {
public:
    struct Options {
        std::string path;  ///< empty: memory
        const sqlite::Schema* schema = nullptr;
        /// False where a file without content is one that has lost it.
        bool empty_is_new = true;
    };
    explicit StateFile(Options options);
    ~StateFile();

    /// Where it is missing, a file is made, complete before it has its name. Once it must not be missing any more, that
    /// is a failure.
    void must_be_there() { must_be_there_ = true; }
    bool has_been_there() const { return must_be_there_; }

    const std::string& path() const { return options_.path; }
    const sqlite::Schema& schema() const { return *options_.schema; }
    bool is_memory() const { return options_.path.empty(); }

    enum class Use { read, write, durable_write };
    /// Runs `work` in a transaction, and commits it if `work` answers true.
    void run(Use use, const std::function<bool(sqlite::Database&)>& work);

    /// What could last be opened could not be written.
    bool is_read_only() const;

private:
    struct Connection;
    std::unique_ptr<Connection> take();
    void give_back(std::unique_ptr<Connection> connection);
    void enter(Connection& connection);
    void make_or_finish(Connection& connection);
    void open_database(Connection& connection);
    void work_on(Connection& connection, Use use, const std::function<bool(sqlite::Database&)>& work);

    Options options_;
    std::atomic<bool> must_be_there_ = false;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Connection>> idle_;
    bool is_read_only_ = false;
    std::timed_mutex writing_;  // spares the threads of this process a busy wait for one another
};

}  // namespace popgate
