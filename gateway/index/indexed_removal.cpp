#include "gateway/index/indexed_mailbox.hpp"
#include "gateway/index/retired_ids.hpp"
#include "gateway/index/seconds.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace popgate {

namespace {

constexpr int hiding_conflicts = 10;  // with other sessions of this mailbox: a QUIT is worth some patience

/// Of those messages that are among the stored ones, whatever their numbers are there.
std::vector<MessageChange> changes_of(const std::vector<MessageInfo>& messages,
                                      const std::vector<StoredMessage>& stored) {
    std::unordered_map<std::string_view, std::uint32_t> numbers;
    for (const auto& each : stored) numbers.emplace(each.info.id, each.number);
    std::vector<MessageChange> changes;
    for (const auto& message : messages) {
        const auto found = numbers.find(message.id);
        if (found == numbers.end()) continue;
        auto& change = changes.emplace_back();
        change.number = found->second;
        change.id = message.id;
    }
    return changes;
}

std::string_view action_name(OnDelete action) {
    switch (action) {
        case OnDelete::destroy: return "delete";
        case OnDelete::purge: return "purge";
        case OnDelete::trash: return "trash";
        case OnDelete::archive: return "archive";
        case OnDelete::mark_read: return "mark-read";
        case OnDelete::keep: return "keep";
    }
    return {};
}

std::string_view outcome_name(Removal outcome) {
    switch (outcome) {
        case Removal::removed: return "removed";
        case Removal::gone: return "gone";
        case Removal::failed: return "failed";
        case Removal::unknown: return "unknown";
    }
    return {};
}

}  // namespace

IndexedMailbox::Outcome IndexedMailbox::remove(const std::vector<MessageInfo>& marked, const RemovalRight& right) {
    save_delivered();
    Outcome outcome;
    auto all = marked;
    const auto is_marked = [numbers = [&] {
        std::vector<std::uint32_t> sorted;
        for (const auto& each : marked) sorted.push_back(each.tag);
        std::ranges::sort(sorted);
        return sorted;
    }()](const MessageInfo& each) { return std::ranges::binary_search(numbers, each.tag); };
    for (const auto& each : expired_)
        if (!is_marked(each)) all.push_back(each);

    for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
        end = begin + std::min(mailbox_.removal_batch(), all.size() - begin);
        const std::vector<MessageInfo> batch(all.begin() + static_cast<std::ptrdiff_t>(begin),
                                             all.begin() + static_cast<std::ptrdiff_t>(end));
        if (outcome.status && right.confirm) outcome.status = right.confirm();
        auto report = outcome.status ? apply_policy(batch, right)
                                     : Mailbox::RemovalReport{std::vector(batch.size(), Removal::failed), {}};
        if (outcome.status && report.status.has_error()) outcome.status = report.status;
        write_audit_lines(batch, report.outcomes);
        forget_removed(batch, report.outcomes);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const bool is_gone = report.outcomes[i] == Removal::removed || report.outcomes[i] == Removal::gone;
            if (begin + i >= marked.size()) {
                expired_count_ += is_gone;
                if (is_gone) metrics::messages_expired.add();
            } else if (is_gone) {
                ++outcome.removed;
                metrics::messages_removed.add();
            } else {
                ++(report.outcomes[i] == Removal::unknown ? outcome.unknown : outcome.failed);
            }
        }
    }
    return outcome;
}

Mailbox::RemovalReport IndexedMailbox::apply_policy(const std::vector<MessageInfo>& batch, const RemovalRight& right) {
    Mailbox::RemovalReport report;
    {
        const Fiber::Fence fence(fiber_, right.until);
        report = remove_upstream(batch);
    }
    if (!keeps_deleted()) return report;
    if (report.status) report.status = hide(batch);
    if (report.status) std::ranges::fill(report.outcomes, Removal::removed);
    return report;
}

Mailbox::RemovalReport IndexedMailbox::remove_upstream(const std::vector<MessageInfo>& batch) {
    switch (rules_.policy.on_delete) {
        case OnDelete::destroy: return mailbox_.remove(batch);
        case OnDelete::purge: return mailbox_.purge(batch);
        case OnDelete::trash: return mailbox_.move(batch, SpecialFolder::trash);
        case OnDelete::archive: return mailbox_.move(batch, SpecialFolder::archive);
        case OnDelete::mark_read:
        case OnDelete::keep: break;
    }
    Mailbox::RemovalReport report{std::vector(batch.size(), Removal::failed), {}};
    if (rules_.policy.on_delete == OnDelete::mark_read) report.status = mailbox_.mark_seen(batch);
    return report;
}

// Durable before the client hears of it: what it deleted must not come back. Only under the head that is known: numbers
// may have come to mean other messages, or none, when the mailbox was forgotten and listed anew meanwhile.
Status IndexedMailbox::hide(const std::vector<MessageInfo>& batch) {
    const auto not_recorded = [](std::string why) {
        return Error{Errc::temporary, "what was deleted could not be recorded", std::move(why)};
    };
    if (!is_stored_) return not_recorded("the state store");
    const auto status = change_stored(batch, hiding_conflicts, [](MailboxChange& change, MessageChange one) {
        one.hidden = true;
        change.changed.push_back(std::move(one));
        change.durable = true;
    });
    return status ? Status{} : not_recorded(status.error().text);
}

// Writes what `add` makes of each of the messages that is still stored, under the head that is stored now.
Status IndexedMailbox::change_stored(const std::vector<MessageInfo>& batch, int attempts,
                                     const std::function<void(MailboxChange&, MessageChange)>& add) {
    const auto failed = [](std::string why) { return Error{Errc::temporary, std::move(why), {}}; };
    auto head = head_;
    std::vector<MessageChange> changes;
    changes.reserve(batch.size());
    for (const auto& each : batch) changes.push_back(change_of(each));
    for (int attempt = 0; attempt < attempts; ++attempt) {
        if (attempt > 0) {
            const auto stored = store_.load(fiber_, key_);
            if (!stored) return failed(stored.error().text);
            head = stored->head;
            if (head.version == 0) return failed("forgotten during the session");
            if (head.generation != head_.generation) return failed("the mailbox has been replaced by another one");
            changes = changes_of(batch, stored->messages);
        }
        MailboxChange change;
        change.head = head;
        for (const auto& each : changes) add(change, each);
        const auto saved = store_.save(fiber_, key_, std::move(change));
        if (!saved) return failed(saved.error().text);
        if (!*saved) continue;
        // Where the numbers of this session do not hold any more, its version must not come to hold again.
        if (attempt == 0) head_.version = **saved;
        return {};
    }
    return failed("other sessions keep changing the mailbox");
}

// So that the next session need not ask which ones are missing, and, where their ids may return, knows those that come
// under them for others. Where the look itself was not saved, its head must not be: the state would speak of messages
// that are not stored.
void IndexedMailbox::forget_removed(const std::vector<MessageInfo>& batch, const std::vector<Removal>& outcomes) {
    if (keeps_deleted()) return;
    std::vector<MessageInfo> gone;
    for (std::size_t i = 0; i < batch.size(); ++i)
        if (outcomes[i] == Removal::removed || outcomes[i] == Removal::gone) gone.push_back(batch[i]);
    if (gone.empty()) return;
    if (ids_may_return_) {
        auto retired = store_.retired(fiber_, key_);
        // What stays in the index is found gone by the next look, and retired then.
        if (!retired || !retire(gone, *retired)) return;
    }
    if (is_stored_)
        (void)change_stored(
            gone, ids_may_return_ ? hiding_conflicts : 1,
            [](MailboxChange& change, const MessageChange& one) { change.removed.push_back(one.number); });
}

// Adds them to `retired`.
Status IndexedMailbox::retire(const std::vector<MessageInfo>& gone, RetiredIds& retired) {
    const auto counted =
        count_retired(gone, retired, [this](const MessageInfo& message) { return mailbox_.unique_id(message); });
    if (counted.empty()) return {};
    if (auto status = store_.keep_retired(fiber_, key_, counted, seconds_since_1970()); !status) return status;
    for (const auto& [id, times] : counted) retired[id] = std::max(retired[id], times);
    return {};
}

void IndexedMailbox::write_audit_lines(const std::vector<MessageInfo>& batch,
                                       const std::vector<Removal>& outcomes) const {
    for (std::size_t i = 0; i < batch.size(); ++i)
        log(LogLevel::info, "removal",
            {{"user", rules_.user},
             {"unique_id", unique_id(batch[i])},
             {"message", batch[i].id},
             {"action", action_name(rules_.policy.on_delete)},
             {"outcome", outcome_name(outcomes[i])}});
}

}  // namespace popgate
