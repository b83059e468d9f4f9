#pragma once

#include "gateway/state/claims.hpp"
#include "gateway/state/state_file.hpp"
#include "gateway/state/state_store.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace popgate {

/// The files of a SqliteStore, and what becomes of their faults: repaired where that can be, reported in the log,
/// and told as an Error. Any thread may use it; all of it blocks.
class SqliteFiles {
public:
    explicit SqliteFiles(const std::string& path);

    using Work = std::function<bool(sqlite::Database&)>;

    /// On the file of mailboxes. One that turns out to be damaged is rebuilt, and `work` is done once more.
    Status on_mailboxes(StateFile::Use use, const Work& work);
    /// On the file of unique-ids.
    Status on_unique_ids(StateFile::Use use, const Work& work);
    /// On the file of accounts, which the first write makes; before that there is nothing to read, and `work` is not
    /// called.
    Status on_records(StateFile::Use use, const Work& work);
    Result<std::unique_ptr<Claim>> try_claim(const std::string& what) { return claims_->try_claim(what); }

    std::string impairment() const;
    bool lasts() const { return !stands_in_; }

private:
    void open_mailboxes();
    void open_unique_ids();
    void stand_in(const std::string& why);
    bool repair(std::uint64_t inode);
    void report(const char* event, const std::string& path, const std::string& reason);
    void note(StateFile::Use use, const std::string& failure);

    std::string path_;
    std::unique_ptr<StateFile> mailboxes_;
    std::unique_ptr<StateFile> unique_ids_;
    std::unique_ptr<StateFile> records_;
    std::shared_ptr<Claims> claims_;
    bool stands_in_ = false;
    bool unique_ids_cannot_be_made_ = false;

    std::mutex repairing_;
    mutable std::mutex mutex_;
    std::string impairment_;  // by what the file is, for good
    std::string write_failure_;
    std::string read_failure_;
    std::map<std::string, std::chrono::steady_clock::time_point> reported_;
};

}  // namespace popgate
