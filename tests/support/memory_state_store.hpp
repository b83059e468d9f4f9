#pragma once

#include "gateway/state/maildrop_locks.hpp"
#include "gateway/state/state_store.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace popgate::test {

/// A StateStore in memory, for tests of what uses one. Never suspends. `failure` makes every call fail.
class MemoryStateStore : public StateStore {
public:
    std::map<std::string, StoredMailbox> stored;
    std::map<std::string, RetiredIds> retired_ids;
    std::map<std::pair<std::string, std::string>, StoredRecord> records;  ///< by kind and name
    std::optional<Error> failure;

    Result<StoredMailbox> load(Fiber&, const std::string& mailbox) override {
        if (failure) return *failure;
        const auto found = stored.find(mailbox);
        return found == stored.end() ? StoredMailbox{} : found->second;
    }

    Result<std::optional<std::uint64_t>> save(Fiber&, const std::string& mailbox, MailboxChange change) override {
        if (failure) return *failure;
        StoredMailbox& target = stored[mailbox];
        if (change.head) {
            if (change.head->version != target.head.version) return std::optional<std::uint64_t>();
            const auto corrected = target.head.sizes_corrected;
            target.head = *change.head;
            target.head.sizes_corrected = corrected;
            if (change.forget_all_before) target.messages.clear();
            std::erase_if(target.messages, [&](const StoredMessage& message) {
                return std::ranges::find(change.removed, message.number) != change.removed.end();
            });
            for (auto& message : change.added) target.messages.push_back(std::move(message));
            std::ranges::sort(target.messages, {}, &StoredMessage::number);
        }
        for (const auto& each : change.changed) apply(each, target);
        target.head.sizes_corrected += change.sizes_corrected;
        if (change.head) ++target.head.version;
        return std::optional(target.head.version);
    }

    Result<bool> forget(Fiber&, const std::string& mailbox) override {
        if (failure) return *failure;
        const auto found = stored.find(mailbox);
        if (found == stored.end() || found->second.head.version == 0) return false;
        found->second.head = {};
        found->second.messages.clear();
        return true;
    }

    Status keep_imported(Fiber&, const std::string& mailbox, const std::string& generation,
                         const std::map<std::string, std::string, std::less<>>& unique_ids) override {
        if (failure) return *failure;
        stored[mailbox].imported = unique_ids;
        stored[mailbox].imported_generation = generation;
        return {};
    }

    Status keep_first_generation(Fiber&, const std::string& mailbox, const std::string& generation) override {
        if (failure) return *failure;
        stored[mailbox].first_generation = generation;
        return {};
    }

    Result<RetiredIds> retired(Fiber&, const std::string& mailbox) override {
        if (failure) return *failure;
        return retired_ids[mailbox];
    }

    Status keep_retired(Fiber&, const std::string& mailbox, const RetiredIds& ids, std::int64_t) override {
        if (failure) return *failure;
        for (const auto& [id, times] : ids) {
            auto& kept = retired_ids[mailbox][id];
            kept = std::max(kept, times);
        }
        return {};
    }

    Result<std::vector<std::string>> mailboxes(Fiber&) override {
        if (failure) return *failure;
        std::vector<std::string> keys;
        for (const auto& [key, mailbox] : stored) keys.push_back(key);
        return keys;
    }

    Result<StoredRecord> record(Fiber&, const std::string& kind, const std::string& name) override {
        if (failure) return *failure;
        const auto found = records.find({kind, name});
        return found == records.end() ? StoredRecord{} : found->second;
    }

    Result<bool> keep_record(Fiber&, const std::string& kind, const std::string& name, const std::string& octets,
                             std::uint64_t expected) override {
        if (failure) return *failure;
        const auto found = records.find({kind, name});
        if ((found == records.end() ? 0 : found->second.revision) != expected) return false;
        records[{kind, name}] = StoredRecord{octets, ++last_revision_};
        return true;
    }

    Result<bool> erase_record(Fiber&, const std::string& kind, const std::string& name) override {
        if (failure) return *failure;
        return records.erase({kind, name}) > 0;
    }

    Result<std::vector<std::string>> record_names(Fiber&, const std::string& kind) override {
        if (failure) return *failure;
        std::vector<std::string> names;
        for (const auto& [key, record] : records)
            if (key.first == kind) names.push_back(key.second);
        return names;
    }

    Result<std::unique_ptr<Claim>> try_claim(Fiber&, const std::string& what) override {
        if (failure) return *failure;
        if (!claimed_->insert(what).second) return std::unique_ptr<Claim>();
        return std::unique_ptr<Claim>(std::make_unique<Held>(claimed_, what));
    }

    Result<MaildropAnswer> hold_maildrop(Fiber&, const std::string& mailbox) override {
        return MaildropAnswer{locks_->try_lock(mailbox), {}};
    }
    std::string impairment() const override { return {}; }
    bool lasts() const override { return true; }

private:
    struct Held final : Claim {
        Held(std::shared_ptr<std::set<std::string>> all, std::string name)
            : claimed(std::move(all)), what(std::move(name)) {}
        ~Held() override { claimed->erase(what); }
        std::shared_ptr<std::set<std::string>> claimed;
        std::string what;
    };

    std::uint64_t last_revision_ = 0;
    std::shared_ptr<MaildropLocks> locks_ = std::make_shared<MaildropLocks>();
    std::shared_ptr<std::set<std::string>> claimed_ = std::make_shared<std::set<std::string>>();

    static void apply(const MessageChange& change, StoredMailbox& target) {
        const auto found = std::ranges::find(target.messages, change.number, &StoredMessage::number);
        if (found == target.messages.end() || found->info.id != change.id) return;
        if (change.exact_octets) {
            found->info.octets = *change.exact_octets;
            found->info.octets_are_exact = true;
        }
        if (change.unique_id) found->info.unique_id = *change.unique_id;
        if (change.arrival) found->info.arrival = *change.arrival;
        if (change.retrieved) found->retrieved = *change.retrieved;
        if (change.failures) found->failures = *change.failures;
        if (change.hidden) found->hidden = *change.hidden;
        if (change.quarantined) found->quarantined = *change.quarantined;
    }
};

}  // namespace popgate::test
