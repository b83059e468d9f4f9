#include "gateway/state/sqlite_store.hpp"

#include "gateway/net/blocking_call.hpp"
#include "gateway/state/mailbox_tables.hpp"
#include "gateway/state/maildrop_locks.hpp"
#include "gateway/state/record_tables.hpp"
#include "gateway/state/retired_tables.hpp"
#include "gateway/state/sqlite_files.hpp"
#include "gateway/state/unique_id_tables.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

namespace popgate {

namespace {

using namespace std::chrono_literals;
using sqlite::Database;
using Use = StateFile::Use;

constexpr auto call_limit = 30s;

/// Runs `function(abandoned)`, which gives a Result, on the pool. Once the caller has stopped waiting, `abandoned` is
/// true, and what was to be written is not.
template <class Function>
auto on_pool(Fiber& fiber, Function function) -> decltype(function(std::declval<const std::atomic<bool>&>())) {
    using Answer = decltype(function(std::declval<const std::atomic<bool>&>()));
    auto abandoned = std::make_shared<std::atomic<bool>>(false);
    auto answer = blocking_call(
        fiber, Clock::now() + call_limit,
        [abandoned, function = std::move(function)]() mutable { return std::optional<Answer>(function(*abandoned)); },
        Blocking::state);
    if (answer && *answer) return std::move(**answer);
    *abandoned = true;
    return Error{Errc::temporary, "the mailbox index is not available",
                 "state store: too slow, interrupted, or too many calls at once"};
}

}  // namespace

SqliteStore::SqliteStore(const std::string& path)
    : files_(std::make_shared<SqliteFiles>(path)), locks_(std::make_shared<MaildropLocks>()) {}
SqliteStore::~SqliteStore() = default;

Result<StoredMailbox> SqliteStore::load(Fiber& fiber, const std::string& mailbox) {
    return on_pool(fiber, [files = files_, mailbox](const std::atomic<bool>&) -> Result<StoredMailbox> {
        StoredMailbox stored;
        auto status = files->on_mailboxes(Use::read, [&](Database& database) {
            stored = load_mailbox(database, mailbox);
            return true;
        });
        if (!status) return status.error();
        KeptUniqueIds kept;
        status = files->on_unique_ids(Use::read, [&](Database& database) {
            kept = load_unique_ids(database, mailbox);
            return true;
        });
        if (!status) return status.error();
        stored.first_generation = std::move(kept.first_generation);
        stored.imported = std::move(kept.imported);
        stored.imported_generation = std::move(kept.imported_generation);
        return stored;
    });
}

Result<std::optional<std::uint64_t>> SqliteStore::save(Fiber& fiber, const std::string& mailbox, MailboxChange change) {
    using Saved = Result<std::optional<std::uint64_t>>;
    return on_pool(fiber, [files = files_, mailbox, change = std::move(change)](const std::atomic<bool>& abandoned) {
        Saved saved = std::optional<std::uint64_t>();
        const auto status =
            files->on_mailboxes(change.durable ? Use::durable_write : Use::write, [&](Database& database) {
                saved = save_mailbox(database, mailbox, change);
                return saved.has_value() && !abandoned;
            });
        return status ? std::move(saved) : Saved(status.error());
    });
}

Result<bool> SqliteStore::forget(Fiber& fiber, const std::string& mailbox) {
    return on_pool(fiber, [files = files_, mailbox](const std::atomic<bool>& abandoned) -> Result<bool> {
        bool was_there = false;
        const auto status = files->on_mailboxes(Use::durable_write, [&](Database& database) {
            was_there = forget_mailbox(database, mailbox);
            return !abandoned;
        });
        if (!status) return status.error();
        return was_there;
    });
}

Status SqliteStore::keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                                  const ImportedIds& unique_ids) {
    return on_pool(fiber, [files = files_, mailbox, generation, unique_ids](const std::atomic<bool>& abandoned) {
        return files->on_unique_ids(Use::durable_write, [&](Database& database) {
            keep_imported_ids(database, mailbox, generation, unique_ids);
            return !abandoned;
        });
    });
}

Status SqliteStore::keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) {
    return on_pool(fiber, [files = files_, mailbox, generation](const std::atomic<bool>& abandoned) {
        return files->on_unique_ids(Use::durable_write, [&](Database& database) {
            popgate::keep_first_generation(database, mailbox, generation);
            return !abandoned;
        });
    });
}

Result<RetiredIds> SqliteStore::retired(Fiber& fiber, const std::string& mailbox) {
    return on_pool(fiber, [files = files_, mailbox](const std::atomic<bool>&) -> Result<RetiredIds> {
        RetiredIds ids;
        const auto status = files->on_unique_ids(Use::read, [&](Database& database) {
            ids = load_retired_ids(database, mailbox);
            return true;
        });
        if (!status) return status.error();
        return ids;
    });
}

Status SqliteStore::keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) {
    return on_pool(fiber, [files = files_, mailbox, ids, now](const std::atomic<bool>& abandoned) {
        return files->on_unique_ids(Use::durable_write, [&](Database& database) {
            keep_retired_ids(database, mailbox, ids, now);
            return !abandoned;
        });
    });
}

Result<std::vector<std::string>> SqliteStore::mailboxes(Fiber& fiber) {
    using Keys = std::vector<std::string>;
    return on_pool(fiber, [files = files_](const std::atomic<bool>&) -> Result<Keys> {
        Keys keys, more;
        auto status = files->on_mailboxes(Use::read, [&](Database& database) {
            keys = mailbox_keys(database);
            return true;
        });
        if (!status) return status.error();
        status = files->on_unique_ids(Use::read, [&](Database& database) {
            more = unique_id_keys(database);
            return true;
        });
        if (!status) return status.error();
        keys.insert(keys.end(), more.begin(), more.end());
        std::ranges::sort(keys);
        keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
        return keys;
    });
}

Result<StoredRecord> SqliteStore::record(Fiber& fiber, const std::string& kind, const std::string& name) {
    return on_pool(fiber, [files = files_, kind, name](const std::atomic<bool>&) -> Result<StoredRecord> {
        StoredRecord record;
        const auto status = files->on_records(Use::read, [&](Database& database) {
            record = load_record(database, kind, name);
            return true;
        });
        if (!status) return status.error();
        return record;
    });
}

Result<bool> SqliteStore::keep_record(Fiber& fiber, const std::string& kind, const std::string& name,
                                      const std::string& octets, std::uint64_t expected) {
    return on_pool(fiber,
                   [files = files_, kind, name, octets, expected](const std::atomic<bool>& abandoned) -> Result<bool> {
                       bool kept = false;
                       const auto status = files->on_records(Use::durable_write, [&](Database& database) {
                           kept = save_record(database, kind, name, octets, expected);
                           return kept && !abandoned;
                       });
                       if (!status) return status.error();
                       return kept;
                   });
}

Result<bool> SqliteStore::erase_record(Fiber& fiber, const std::string& kind, const std::string& name) {
    return on_pool(fiber, [files = files_, kind, name](const std::atomic<bool>& abandoned) -> Result<bool> {
        bool was_there = false;
        const auto status = files->on_records(Use::durable_write, [&](Database& database) {
            was_there = popgate::erase_record(database, kind, name);
            return was_there && !abandoned;
        });
        if (!status) return status.error();
        return was_there;
    });
}

Result<std::vector<std::string>> SqliteStore::record_names(Fiber& fiber, const std::string& kind) {
    using Names = std::vector<std::string>;
    return on_pool(fiber, [files = files_, kind](const std::atomic<bool>&) -> Result<Names> {
        Names names;
        const auto status = files->on_records(Use::read, [&](Database& database) {
            names = popgate::record_names(database, kind);
            return true;
        });
        if (!status) return status.error();
        return names;
    });
}

Result<std::unique_ptr<Claim>> SqliteStore::try_claim(Fiber& fiber, const std::string& what) {
    return on_pool(fiber, [files = files_, what](const std::atomic<bool>&) { return files->try_claim(what); });
}

std::string SqliteStore::impairment() const { return files_->impairment(); }
bool SqliteStore::lasts() const { return files_->lasts(); }

Result<MaildropAnswer> SqliteStore::hold_maildrop(Fiber&, const std::string& mailbox) {
    return MaildropAnswer{locks_->try_lock(mailbox), {}};
}

}  // namespace popgate
