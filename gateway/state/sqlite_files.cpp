#include "gateway/state/sqlite_files.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/state/file_steps.hpp"
#include "gateway/state/mailbox_tables.hpp"
#include "gateway/state/rebuild.hpp"
#include "gateway/state/record_tables.hpp"
#include "gateway/state/unique_id_tables.hpp"

#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;
using Kind = sqlite::Failure::Kind;

namespace {

using namespace std::chrono_literals;

constexpr auto report_every = 60s;

std::string beside(const std::string& path, const char* end) { return path.empty() ? path : path + end; }

std::string unique_ids_path(const std::string& path) { return beside(path, "-unique-ids"); }

std::unique_ptr<StateFile> make_mailbox_file(const std::string& path) {
    return std::make_unique<StateFile>(StateFile::Options{path, &mailbox_schema(), true});
}

/// Runs `work`, and gives the failure instead of throwing it.
std::optional<Failure> attempt(StateFile& file, StateFile::Use use, const SqliteFiles::Work& work) {
    try {
        file.run(use, work);
        return std::nullopt;
    } catch (const Failure& failure) {
        return failure;
    }
}

bool nothing(Database&) { return true; }

void count_failure(StateFile::Use use) {
    metrics::state_failures.add(use == StateFile::Use::read ? metrics::StoreUse::read : metrics::StoreUse::write);
}

}  // namespace

SqliteFiles::SqliteFiles(const std::string& path)
    : path_(path),
      mailboxes_(make_mailbox_file(path)),
      unique_ids_(std::make_unique<StateFile>(StateFile::Options{unique_ids_path(path), &unique_id_schema(), false})),
      records_(std::make_unique<StateFile>(StateFile::Options{beside(path, "-accounts"), &record_schema(), false})),
      claims_(std::make_shared<Claims>(beside(path, "-claims"))) {
    if (!path.empty()) make_directory_of(path);
    open_mailboxes();
    open_unique_ids();
    metrics::state_writable.set(impairment_.empty());
}

void SqliteFiles::stand_in(const std::string& why) {
    report("state_unusable", path_, why);
    impairment_ = path_ + " cannot be used (" + why + "), and what is remembered ends with this process";
    stands_in_ = true;
    mailboxes_ = make_mailbox_file({});
}

void SqliteFiles::open_mailboxes() {
    auto failure = attempt(*mailboxes_, StateFile::Use::read, nothing);
    if (failure && failure->kind == Kind::corrupt && repair(failure->inode))
        failure = attempt(*mailboxes_, StateFile::Use::read, nothing);
    if (failure) return stand_in(failure->what());
    if (!mailboxes_->is_read_only()) return;
    impairment_ = path_ + " is read-only, and what is new is not remembered";
    report("state_read_only", path_, impairment_);
}

void SqliteFiles::open_unique_ids() {
    if (unique_ids_->is_memory()) return;
    const auto& path = unique_ids_->path();
    bool was_made_before = false;
    const auto look = [&](Database& database) {
        was_made_before = has_unique_ids(database);
        return true;
    };
    // Where it once was, it is never made anew: what is missing would change unique-ids.
    if (on_mailboxes(StateFile::Use::read, look) && was_made_before) unique_ids_->must_be_there();
    const bool is_missing = !file_exists(path);
    const auto failure = attempt(*unique_ids_, StateFile::Use::read, nothing);
    if (failure && is_missing && !was_made_before && !file_exists(path)) {
        // So nothing has ever been kept, and nothing is forgotten by knowing nothing.
        unique_ids_cannot_be_made_ = true;
        report("state_unusable", path, failure->what());
        return;
    }
    unique_ids_->must_be_there();
    if (failure) {
        report("state_unusable", path, failure->what());
    } else if (!was_made_before && !mailboxes_->is_read_only()) {
        attempt(*mailboxes_, StateFile::Use::durable_write, [](Database& database) {
            note_unique_ids(database);
            return true;
        });
    }
}

/// True when the file is worth another attempt.
bool SqliteFiles::repair(std::uint64_t inode) {
    const std::lock_guard lock(repairing_);
    if (inode == 0 || inode_of(path_) != inode) return inode != 0;
    log(LogLevel::error, "state_corrupt", {{"file", path_}});
    try {
        const auto rebuilt = rebuild(*mailboxes_, inode);
        if (!rebuilt) return true;
        const auto& salvaged = rebuilt->salvaged;
        log(LogLevel::warning, "state_rebuilt",
            {{"file", path_},
             {"moved_to", rebuilt->moved_to},
             {"mailboxes", salvaged.mailboxes},
             {"messages", salvaged.messages},
             {"lost_mailboxes", salvaged.lost_mailboxes},
             {"lost_chunks", salvaged.lost_chunks}});
    } catch (const Failure& failure) {
        report("state_not_rebuilt", path_, failure.what());
        return false;
    }
    // Of the old file it may not have been readable.
    if (file_exists(unique_ids_path(path_)))
        attempt(*mailboxes_, StateFile::Use::durable_write, [](Database& database) {
            note_unique_ids(database);
            return true;
        });
    return true;
}

Status SqliteFiles::on_mailboxes(StateFile::Use use, const Work& work) {
    auto failure = attempt(*mailboxes_, use, work);
    // What was our database a moment ago and is none now is damaged too.
    const bool is_damaged = failure && (failure->kind == Kind::corrupt || failure->kind == Kind::foreign);
    if (is_damaged && !mailboxes_->is_memory() && repair(failure->inode)) failure = attempt(*mailboxes_, use, work);
    note(use, failure ? failure->what() : "");
    if (!failure) return {};
    count_failure(use);
    report(use == StateFile::Use::read ? "state_unreadable" : "state_not_written", path_, failure->what());
    return Error{Errc::temporary, "the mailbox index is not available", failure->what()};
}

Status SqliteFiles::on_unique_ids(StateFile::Use use, const Work& work) {
    const bool reads = use == StateFile::Use::read;
    if (unique_ids_cannot_be_made_ && reads) return {};
    const auto failure = attempt(*unique_ids_, use, work);
    if (failure) note(use, failure->what());
    if (!failure) return {};
    count_failure(use);
    report(reads ? "state_unique_ids_unreadable" : "state_not_written", unique_ids_->path(), failure->what());
    return Error{Errc::temporary,
                 reads ? "the unique-ids of this mailbox cannot be read" : "the unique-ids cannot be stored",
                 failure->what()};
}

Status SqliteFiles::on_records(StateFile::Use use, const Work& work) {
    const bool reads = use == StateFile::Use::read;
    if (!records_->is_memory()) {
        if (file_exists(records_->path()))
            records_->must_be_there();
        else if (reads && !records_->has_been_there())
            return {};
    }
    const auto failure = attempt(*records_, use, work);
    if (!failure) return {};
    count_failure(use);
    report(reads ? "state_accounts_unreadable" : "state_not_written", records_->path(), failure->what());
    return Error{Errc::temporary, reads ? "the accounts cannot be read" : "the accounts cannot be stored",
                 failure->what()};
}

void SqliteFiles::note(StateFile::Use use, const std::string& failure) {
    const bool reads = use == StateFile::Use::read;
    const std::lock_guard lock(mutex_);
    (reads ? read_failure_ : write_failure_) = failure;
    if (!reads) metrics::state_writable.set(impairment_.empty() && failure.empty());
}

std::string SqliteFiles::impairment() const {
    const std::lock_guard lock(mutex_);
    if (!impairment_.empty()) return impairment_;
    if (!write_failure_.empty()) return path_ + " could not be written the last time (" + write_failure_ + ")";
    if (!read_failure_.empty()) return path_ + " could not be read the last time (" + read_failure_ + ")";
    return {};
}

void SqliteFiles::report(const char* event, const std::string& path, const std::string& reason) {
    const auto now = std::chrono::steady_clock::now();
    {
        const std::lock_guard lock(mutex_);
        const auto [last, is_first] = reported_.try_emplace(event + path, now);
        if (!is_first && now - last->second < report_every) return;
        last->second = now;
    }
    log(LogLevel::error, event, {{"file", path}, {"reason", reason}});
}

}  // namespace popgate
