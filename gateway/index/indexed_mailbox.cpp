#include "gateway/index/indexed_mailbox.hpp"

#include "backends/unique_id_format.hpp"
#include "gateway/index/shown.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/pop3/body_encoder.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace popgate {

using namespace std::chrono_literals;

namespace {

constexpr int conflicts = 3;                // with other sessions of this mailbox, before the login is given up
constexpr int hiding_conflicts = 10;        // a QUIT is worth more patience
constexpr std::size_t saved_at_once = 100;  // messages delivered
constexpr auto saved_every = 5s;
constexpr auto measuring_patience = 60s;  // clients wait for the reply to PASS meanwhile
constexpr std::size_t neighbours = 2;

std::int64_t seconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::int64_t in_seconds(std::chrono::milliseconds duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

/// True for a format that does not tell generations apart: what had the ids first must be known for ever.
bool repeats_in_generations(const std::string& unique_ids) {
    const auto format = UniqueIdFormat::parse(unique_ids);
    return format && !format->is_native() && format->needs_uid() && !format->needs_uid_validity();
}

MessageChange change_of(const MessageInfo& message) {
    MessageChange change;
    change.number = message.tag;
    change.id = message.id;
    return change;
}

/// What is to be stored of a mailbox that was looked at. `anew`: every message again.
MailboxChange change_of(Reconciled& mailbox, const std::vector<std::uint32_t>& altered, bool anew) {
    MailboxChange change;
    change.forget_all_before = mailbox.replaced || anew;
    for (const auto& each : mailbox.messages) {
        if (each.number >= mailbox.first_new || change.forget_all_before) {
            change.added.push_back(each);
        } else if (std::ranges::binary_search(altered, each.number)) {
            MessageChange renamed;
            renamed.number = each.number;
            renamed.id = each.info.id;
            renamed.unique_id = each.info.unique_id;
            change.changed.push_back(std::move(renamed));
        }
    }
    // An empty mailbox may be an accident (a disk that is not mounted): what was known of its messages, that they were
    // deleted for one, stays until there is mail again.
    if (change.forget_all_before)
        std::ranges::sort(change.added, {}, &StoredMessage::number);
    else if (!mailbox.messages.empty())
        change.removed = std::move(mailbox.removed);
    return change;
}

/// Of those messages that are among the stored ones, whatever their numbers are there.
std::vector<MessageChange> changes_of(const std::vector<MessageInfo>& messages,
                                      const std::vector<StoredMessage>& stored) {
    std::unordered_map<std::string_view, std::uint32_t> numbers;
    for (const auto& each : stored) numbers.emplace(each.info.id, each.number);
    std::vector<MessageChange> changes;
    for (const auto& message : messages) {
        const auto found = numbers.find(message.id);
        if (found == numbers.end()) continue;
        changes.push_back(change_of(message));
        changes.back().number = found->second;
    }
    return changes;
}

/// Counts a message's octets as RETR will send them.
class MeasuringSink final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override try {
        encoder_.encode(octets, encoded_);
        encoded_.clear();
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
    std::uint64_t octets() {
        encoder_.finish(encoded_);
        return encoder_.octets();
    }

private:
    pop3::BodyEncoder encoder_;
    std::string encoded_;
};

/// Wants no more than to see something come.
class ProbingSink final : public BodySink {
public:
    bool write(std::string_view) noexcept override { return false; }
};

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

IndexedMailbox::IndexedMailbox(Fiber& fiber, StateStore& store, Mailbox& mailbox, std::string key, IndexRules rules)
    : fiber_(fiber), store_(store), mailbox_(mailbox), key_(std::move(key)), rules_(std::move(rules)) {}

Result<std::unique_ptr<IndexedMailbox>> IndexedMailbox::open(Fiber& fiber, StateStore& store, Mailbox& mailbox,
                                                             std::string key, IndexRules rules) {
    std::unique_ptr<IndexedMailbox> index(new IndexedMailbox(fiber, store, mailbox, std::move(key), std::move(rules)));
    // What a client has deleted would come back to it.
    if (index->keeps_deleted() && !store.lasts())
        return Error{Errc::temporary, "it is not known which messages were deleted", store.impairment()};
    if (auto status = index->load_and_list(); !status) return status.error();
    if (index->rules_.sizes == Sizes::exact)
        if (auto status = index->measure_sizes(); !status) return status.error();
    return index;
}

bool IndexedMailbox::keeps_deleted() const {
    return rules_.policy.on_delete == OnDelete::keep || rules_.policy.on_delete == OnDelete::mark_read;
}

std::string IndexedMailbox::unique_id(const MessageInfo& message) const {
    return message.unique_id.empty() ? fit_unique_id(mailbox_.unique_id(message)) : message.unique_id;
}

Status IndexedMailbox::load_and_list() {
    auto stored = store_.load(fiber_, key_);
    if (!stored) return stored.error();

    KnownMailbox known;
    known.first_generation = stored->first_generation;
    const auto since_reconciled = seconds_since_1970() - stored->head.reconciled;
    // A clock that was ahead must not put the next one off for years.
    const bool is_due = since_reconciled < 0 || since_reconciled >= in_seconds(rules_.reconcile_every);
    if (!stored->head.state.empty() && stored->head.unique_ids == rules_.unique_ids) {
        if (!is_due) known.state = stored->head.state;
        // Lent and not copied: there may be very many. A backend without a state makes nothing of them.
        known.messages.reserve(stored->messages.size());
        for (auto& each : stored->messages) {
            known.messages.push_back(std::move(each.info));
            known.messages.back().tag = static_cast<std::uint32_t>(known.messages.size());
        }
    }
    const bool look_at_everything = known.state.empty();
    const auto known_below = stored->head.next_number;
    auto listing = mailbox_.list(std::move(known));
    if (!listing) return listing.error();

    for (int attempt = 0; attempt < conflicts; ++attempt) {
        if (attempt > 0) {
            // Another session of this mailbox has saved what it found: the places that tags mean are others now.
            stored = store_.load(fiber_, key_);
            if (!stored) return stored.error();
            for (auto& each : listing->messages) each.tag = 0;
        }
        const auto saved = merge_and_save(std::move(*stored), *listing, known_below, look_at_everything);
        if (!saved) return saved.error();
        if (*saved) return {};
    }
    return Error{Errc::temporary, "other sessions keep changing the mailbox", {}};
}

// False where somebody else has saved meanwhile; `listing` is then as it was, but for tags. Messages from number
// `known_below` on were not stored when the listing was asked for.
Result<bool> IndexedMailbox::merge_and_save(StoredMailbox stored, Listing& listing, std::uint32_t known_below,
                                            bool looked_at_everything) {
    const auto now = seconds_since_1970();
    const bool same_format = stored.head.version == 0 || stored.head.unique_ids == rules_.unique_ids;
    const auto known_before = stored.messages.size();
    head_ = stored.head;
    if (stored.first_generation.empty() && !listing.generation.empty() && repeats_in_generations(rules_.unique_ids))
        if (auto kept = store_.keep_first_generation(fiber_, key_, listing.generation); !kept) return kept.error();
    decltype(stored.imported) imported;
    if (stored.imported_generation == listing.generation) imported = std::move(stored.imported);
    auto merged = reconcile(std::move(stored), std::move(listing.messages), listing.generation,
                            {now, rules_.sizes != Sizes::backend, same_format});
    // More likely a disk that is not mounted than a mailbox that was made anew: clients, and the index, would forget
    // all.
    if (merged.replaced && merged.messages.empty())
        return Error{Errc::temporary, "the mailbox has been replaced by an empty one",
                     "another UIDVALIDITY; popgate mailbox forget, if that is meant"};
    if (merged.replaced)
        log(LogLevel::warning, "mailbox_replaced",
            {{"user", rules_.user},
             {"text", "the mail server numbers its messages anew: clients will see all of them as new"},
             {"before", std::uint64_t{known_before}},
             {"now", std::uint64_t{merged.messages.size()}}});

    const auto altered =
        settle_unique_ids(merged, imported, [this](const MessageInfo& message) { return mailbox_.unique_id(message); });
    auto change = change_of(merged, altered, !same_format);
    // What another session has found meanwhile may only have come after this listing: it stays, and what is known of it
    // (that it was deleted, for one). Which listing is the later one nobody knows, so the next look is at everything.
    if (std::erase_if(change.removed, [&](std::uint32_t number) { return number >= known_below; }) > 0)
        listing.state.clear();
    const auto shown = choose(merged.messages, merged.replaced ? 0 : head_.view_floor);
    if (!shown) return shown.error();

    const bool reconciled = looked_at_everything && !listing.state.empty();
    const bool changed = head_.version == 0 || !change.added.empty() || !change.removed.empty() ||
                         !change.changed.empty() || change.forget_all_before || reconciled ||
                         head_.state != listing.state || head_.view_floor != shown->view_floor;
    if (changed) {
        head_.state = listing.state;
        head_.generation = listing.generation;
        head_.unique_ids = rules_.unique_ids;
        head_.next_number = merged.next_number;
        head_.view_floor = shown->view_floor;
        if (reconciled) head_.reconciled = now;
        change.head = head_;
        const auto saved = store_.save(fiber_, key_, std::move(change));
        if (saved && !*saved) {
            for (auto& each : merged.messages) listing.messages.push_back(std::move(each.info));
            return false;
        }
        // Unsaved, the session goes on: what it learns is learned again, and what must last says so when it does not.
        is_stored_ = saved.has_value();
        if (is_stored_) head_.version = **saved;
    }
    show(std::move(merged.messages), shown->places);
    return true;
}

Result<Shown> IndexedMailbox::choose(const std::vector<StoredMessage>& messages, std::uint32_t view_floor) {
    std::vector<bool> unread;
    if (rules_.policy.view.kind == View::Kind::unread) {
        std::vector<MessageInfo> infos;
        infos.reserve(messages.size());
        for (const auto& each : messages) infos.push_back(each.info);
        auto asked = mailbox_.unread(infos);
        if (!asked) return asked.error();
        unread = std::move(*asked);
    }
    return choose_shown(messages, rules_.policy, unread, view_floor, seconds_since_1970());
}

void IndexedMailbox::show(std::vector<StoredMessage> messages, const std::vector<std::size_t>& places) {
    const auto& expire_after = rules_.policy.expire_after;
    const auto expired_before = seconds_since_1970() - (expire_after ? in_seconds(*expire_after) : 0);
    for (auto& each : messages) {
        each.info.tag = each.number;
        if (each.failures > 0) failures_[each.number] = each.failures;
        // Retrieved before it arrived: the clock was behind, and the time counts from its arrival.
        if (expire_after && each.retrieved != 0 && !each.hidden &&
            std::max(each.retrieved, each.info.arrival) <= expired_before)
            expired_.push_back(each.info);
    }
    shown_.reserve(places.size());
    retrieved_.reserve(places.size());
    for (const auto place : places) {
        retrieved_.push_back(messages[place].retrieved != 0);
        shown_.push_back(std::move(messages[place].info));
    }
    neighbours_.assign(shown_.begin(),
                       shown_.begin() + static_cast<std::ptrdiff_t>(std::min(neighbours + 1, shown_.size())));
}

Status IndexedMailbox::measure_sizes() {
    const auto patience = Clock::now() + measuring_patience;
    const auto total = static_cast<std::uint64_t>(shown_.size());
    for (std::size_t i = 0; i < shown_.size(); ++i) {
        auto& message = shown_[i];
        if (message.octets_are_exact) continue;
        if (Clock::now() > patience || fiber_.interrupted()) {
            save_delivered();
            return Error{Errc::temporary,
                         "the messages are being measured, " + std::to_string(i) + " of " + std::to_string(total),
                         {}};
        }
        const auto octets = measure(message);
        if (!octets) {
            // One that cannot be had must not keep the others from the client; its RETR will say so.
            if (octets.error().code == Errc::gone || others_can_be_had(message)) continue;
            save_delivered();
            return octets.error();
        }
        message.octets = *octets;
        message.octets_are_exact = true;
        delivered_.push_back(change_of(message));
        delivered_.back().exact_octets = *octets;
        save_now_and_then();
    }
    save_delivered();
    return {};
}

Result<std::uint64_t> IndexedMailbox::measure(const MessageInfo& message) {
    MeasuringSink sink;
    if (auto status = mailbox_.fetch(message, sink); !status) return status.error();
    return sink.octets();
}

void IndexedMailbox::delivered(const MessageInfo& message, std::uint64_t octets) {
    auto change = change_of(message);
    change.retrieved = seconds_since_1970();
    if (rules_.sizes != Sizes::backend) change.exact_octets = octets;
    if (failures_.erase(message.tag) > 0) change.failures = 0;
    if (octets != message.octets) {
        ++sizes_corrected_;
        ++unsaved_corrections_;
        log(LogLevel::info, "size_corrected",
            {{"user", rules_.user}, {"message", message.id}, {"listed", message.octets}, {"octets", octets}});
    }
    delivered_.push_back(std::move(change));
}

void IndexedMailbox::save_now_and_then() {
    if (delivered_.size() >= saved_at_once || Clock::now() >= saved_at_ + saved_every) save_delivered();
}

void IndexedMailbox::save_delivered() {
    saved_at_ = Clock::now();
    if (delivered_.empty()) return;
    (void)save_changes(std::exchange(delivered_, {}), std::exchange(unsaved_corrections_, 0), false);
}

void IndexedMailbox::failed(const MessageInfo& message, const std::string& error) {
    if (rules_.quarantine_after == 0 || !failed_now_.emplace(message.tag, true).second) return;
    // A store that is down, or refuses everything, says nothing of this message.
    if (!others_can_be_had(message)) return;
    auto& failures = failures_[message.tag];
    if (failures < UINT8_MAX) ++failures;
    auto change = change_of(message);
    change.failures = failures;
    if (failures >= rules_.quarantine_after) {
        change.quarantined = true;
        ++quarantined_count_;
        log(LogLevel::warning, "quarantined",
            {{"user", rules_.user},
             {"unique_id", unique_id(message)},
             {"message", message.id},
             {"failures", std::uint64_t{failures}},
             {"error", error}});
    }
    (void)save_changes({std::move(change)}, 0, false);
}

bool IndexedMailbox::others_can_be_had(const MessageInfo& but) {
    std::size_t tried = 0;
    for (const auto& other : neighbours_) {
        if (other.tag == but.tag || tried++ == neighbours) continue;
        ProbingSink sink;
        const auto status = mailbox_.fetch_top(other, sink);
        if (status || status.error().code == Errc::sink_closed) return true;
    }
    return false;
}

IndexedMailbox::Outcome IndexedMailbox::remove(const std::vector<MessageInfo>& marked) {
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
        auto report = outcome.status ? apply_policy(batch)
                                     : Mailbox::RemovalReport{std::vector(batch.size(), Removal::failed), {}};
        if (outcome.status && report.status.has_error()) outcome.status = report.status;
        write_audit_lines(batch, report.outcomes);
        forget_removed(batch, report.outcomes);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const bool is_gone = report.outcomes[i] == Removal::removed || report.outcomes[i] == Removal::gone;
            if (begin + i >= marked.size()) {
                expired_count_ += is_gone;
            } else if (is_gone) {
                ++outcome.removed;
            } else {
                ++(report.outcomes[i] == Removal::unknown ? outcome.unknown : outcome.failed);
            }
        }
    }
    return outcome;
}

Mailbox::RemovalReport IndexedMailbox::apply_policy(const std::vector<MessageInfo>& batch) {
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
    if (report.status) report.status = hide(batch);
    if (report.status) std::ranges::fill(report.outcomes, Removal::removed);
    return report;
}

// Durable before the client hears of it: what it deleted must not come back. Only under the head that is known: numbers
// may have come to mean other messages, or none, when the mailbox was forgotten and listed anew meanwhile.
Status IndexedMailbox::hide(const std::vector<MessageInfo>& batch) {
    const auto not_recorded = [](std::string why) {
        return Error{Errc::temporary, "what was deleted could not be recorded", std::move(why)};
    };
    if (!is_stored_) return not_recorded("the state store");
    auto head = head_;
    std::vector<MessageChange> changes;
    changes.reserve(batch.size());
    for (const auto& each : batch) changes.push_back(change_of(each));
    for (int attempt = 0; attempt < hiding_conflicts; ++attempt) {
        if (attempt > 0) {
            const auto stored = store_.load(fiber_, key_);
            if (!stored) return not_recorded(stored.error().text);
            head = stored->head;
            if (head.version == 0) return not_recorded("forgotten during the session");
            if (head.generation != head_.generation)
                return not_recorded("the mailbox has been replaced by another one");
            changes = changes_of(batch, stored->messages);
        }
        MailboxChange change;
        change.head = head;
        change.durable = true;
        change.changed = changes;
        for (auto& each : change.changed) each.hidden = true;
        const auto saved = store_.save(fiber_, key_, std::move(change));
        if (!saved) return not_recorded(saved.error().text);
        if (!*saved) continue;
        // Where the numbers of this session do not hold any more, its version must not come to hold again.
        if (attempt == 0) head_.version = **saved;
        return {};
    }
    return not_recorded("other sessions keep changing the mailbox");
}

// So that the next session need not ask which ones are missing. Where the look itself was not saved, its head must not
// be: the state would speak of messages that are not stored.
void IndexedMailbox::forget_removed(const std::vector<MessageInfo>& batch, const std::vector<Removal>& outcomes) {
    if (keeps_deleted() || !is_stored_) return;
    MailboxChange change;
    for (std::size_t i = 0; i < batch.size(); ++i)
        if (outcomes[i] == Removal::removed || outcomes[i] == Removal::gone) change.removed.push_back(batch[i].tag);
    if (change.removed.empty()) return;
    change.head = head_;
    const auto saved = store_.save(fiber_, key_, std::move(change));
    if (saved && *saved) head_.version = **saved;
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

Status IndexedMailbox::save_changes(std::vector<MessageChange> changes, std::uint64_t sizes_corrected, bool durable) {
    MailboxChange change;
    change.changed = std::move(changes);
    change.sizes_corrected = sizes_corrected;
    change.durable = durable;
    const auto saved = store_.save(fiber_, key_, std::move(change));
    if (!saved) return saved.error();
    if (!*saved) return Error{Errc::temporary, "the mailbox is not known any more", "forgotten during the session"};
    return {};
}

}  // namespace popgate
