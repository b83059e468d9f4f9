#pragma once

#include "gateway/state/state_store.hpp"

#include <memory>
#include <string>

namespace popgate {

class SqliteFiles;

/// A store in two SQLite files: `path` has what can mostly be learned again, and PATH-unique-ids what cannot (imported
/// unique-ids, retired ids and first generations), so that an index that is wiped or broken changes no unique-id. An
/// empty path is memory.
///
/// What is damaged in the first is moved aside and its readable rest kept. The second is never replaced: while it
/// cannot be read, load() fails. Several processes may use the same files at once.
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
    std::string impairment() const override;
    bool lasts() const override;

private:
    std::shared_ptr<SqliteFiles> files_;  // with each call too: one may end after its deadline, and after the store
};

}  // namespace popgate
