#pragma once

#include "gateway/state/state_store.hpp"

#include <memory>
#include <string>

namespace popgate {

class MaildropLocks;
class SqliteFiles;

/// A store in SQLite files: `path` has what can mostly be learned again, and PATH-unique-ids what cannot (imported
/// unique-ids, retired ids and first generations), so that an index that is wiped or broken changes no unique-id.
/// PATH-accounts has the accounts' records, PATH-claims the locks behind claims. An empty path is memory.
///
/// What is damaged in the first is moved aside and its readable rest kept. The others are never replaced:
/// while the second cannot be read, load() fails. Several processes may use the same files at once, but each has
/// maildrop locks of its own.
class SqliteStore final : public StateStore {
public:
    /// Opens the files. Blocks.
    explicit SqliteStore(const std::string& path);
    ~SqliteStore() override;

    Result<StoredMailbox> load(Fiber& fiber, const std::string& mailbox) override;
    Result<std::optional<std::uint64_t>> save(Fiber& fiber, const std::string& mailbox, MailboxChange change) override;
    Result<bool> forget(Fiber& fiber, const std::string& mailbox) override;
    Status keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                         const std::map<std::string, std::string, std::less<>>& unique_ids) override;
    Status keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) override;
    Result<RetiredIds> retired(Fiber& fiber, const std::string& mailbox) override;
    Status keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) override;
    Result<std::vector<std::string>> mailboxes(Fiber& fiber) override;
    Result<StoredRecord> record(Fiber& fiber, const std::string& kind, const std::string& name) override;
    Result<bool> keep_record(Fiber& fiber, const std::string& kind, const std::string& name, const std::string& octets,
                             std::uint64_t expected) override;
    Result<bool> erase_record(Fiber& fiber, const std::string& kind, const std::string& name) override;
    Result<std::vector<std::string>> record_names(Fiber& fiber, const std::string& kind) override;
    Result<std::unique_ptr<Claim>> try_claim(Fiber& fiber, const std::string& what) override;
    Result<MaildropAnswer> hold_maildrop(Fiber& fiber, const std::string& mailbox) override;
    std::string impairment() const override;
    bool lasts() const override;

private:
    std::shared_ptr<SqliteFiles> files_;  // with each call too: one may end after its deadline, and after the store
    std::shared_ptr<MaildropLocks> locks_;
};

}  // namespace popgate
