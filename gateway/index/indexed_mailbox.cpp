#include "gateway/index/indexed_mailbox.hpp"

#include "backends/unique_id_format.hpp"
#include "gateway/index/clock_trust.hpp"
#include "gateway/index/retired_ids.hpp"
#include "gateway/index/seconds.hpp"
#include "gateway/index/shown.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/pop3/body_encoder.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace popgate {

using namespace std::chrono_literals;

namespace {

constexpr int conflicts = 12;               // with other sessions of this mailbox, before the login is given up
constexpr std::size_t saved_at_once = 100;  // messages delivered
constexpr auto saved_every = 5s;
constexpr auto measuring_patience = 60s;  // clients wait for the reply to PASS meanwhile
constexpr std::size_t neighbours = 2;
constexpr std::size_t expected_at_once = 32;

std::int64_t in_seconds(std::chrono::milliseconds duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

/// True for a format that does not tell generations apart: what had the ids first must be known for ever.
bool repeats_in_generations(const std::string& unique_ids) {
    const auto format = UniqueIdFormat::parse(unique_ids);
    return format && !format->is_native() && format->needs_uid() && !format->needs_uid_validity();
}

bool needs_arrival(const MaildropPolicy& policy) {
    return policy.view.kind == View::Kind::last_days || policy.expire_after;
}

/// What is to be stored of a mailbox that was looked at. `anew`: every message again.
MailboxChange changes_to(Reconciled& mailbox, const std::vector<std::uint32_t>& renamed, bool anew) {
    MailboxChange change;
    change.forget_all_before = mailbox.replaced || anew;
    const bool some_differ = mailbox.first_new != mailbox.next_number || !mailbox.dated.empty() || !renamed.empty() ||
                             !mailbox.removed.empty();
    if (!change.forget_all_before && !some_differ) return change;
    const auto are_added = [&](const StoredMessage& each) {
        return each.number >= mailbox.first_new || change.forget_all_before;
    };
    change.added.reserve(static_cast<std::size_t>(std::ranges::count_if(mailbox.messages, are_added)));
    for (const auto& each : mailbox.messages) {
        if (are_added(each)) {
            change.added.push_back(each);
            continue;
        }
        const bool is_renamed = std::ranges::binary_search(renamed, each.number);
        const bool is_dated = std::ranges::binary_search(mailbox.dated, each.number);
        if (!is_renamed && !is_dated) continue;
        MessageChange altered;
        altered.number = each.number;
        altered.id = each.info.id;
        if (is_renamed) altered.unique_id = each.info.unique_id.str();
        if (is_dated) altered.arrival = each.info.arrival;
        change.changed.push_back(std::move(altered));
    }
    // An empty mailbox may be an accident (a disk that is not mounted): what was known of its messages, that they were
    // deleted for one, stays until there is mail again.
    if (change.forget_all_before)
        std::ranges::sort(change.added, {}, &StoredMessage::number);
    else if (!mailbox.messages.empty())
        change.removed = std::move(mailbox.removed);
    return change;
}

/// Of a listing that came in parts, whose numbers say nothing of the messages' age. Nobody has been shown them.
void number_in_order(Reconciled& mailbox) {
    for (auto& each : mailbox.messages) each.number = mailbox.next_number++;
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

}  // namespace

IndexRules index_rules(const RouteConfig& route, const Config& config, const std::string& user) {
    return {user,
            route.sizes,
            policy_for(route, config.accounts, user),
            route.backend.unique_ids,
            route.quarantine_after,
            config.state.reconcile_every,
            {}};
}

Error IndexProgress::error() const {
    return Error{Errc::temporary,
                 "the mailbox is being read for the first time: " + std::to_string(messages) + " of " +
                     std::to_string(total()) + " messages so far",
                 {}};
}

MessageChange IndexedMailbox::change_of(const MessageInfo& message) {
    MessageChange change;
    change.number = message.tag;
    change.id = message.id;
    return change;
}

IndexedMailbox::IndexedMailbox(Fiber& fiber, StateStore& store, Mailbox& mailbox, std::string key, IndexRules rules)
    : fiber_(fiber), store_(store), mailbox_(mailbox), key_(std::move(key)), rules_(std::move(rules)) {}

Result<std::unique_ptr<IndexedMailbox>> IndexedMailbox::open(Fiber& fiber, StateStore& store, Mailbox& mailbox,
                                                             std::string key, IndexRules rules,
                                                             IndexProgress& progress) {
    std::unique_ptr<IndexedMailbox> index(new IndexedMailbox(fiber, store, mailbox, std::move(key), std::move(rules)));
    // What a client has deleted would come back to it.
    if (index->keeps_deleted() && !store.lasts())
        return Error{Errc::temporary, "it is not known which messages were deleted", store.impairment()};
    if (auto status = index->load_and_list(progress); !status) return status.error();
    if (progress.still_to_come > 0) return progress.error();
    if (index->rules_.sizes == Sizes::exact)
        if (auto status = index->measure_sizes(); !status) return status.error();
    return index;
}

bool IndexedMailbox::keeps_deleted() const {
    return rules_.policy.on_delete == OnDelete::keep || rules_.policy.on_delete == OnDelete::mark_read;
}

std::string IndexedMailbox::unique_id(const MessageInfo& message) const {
    return message.unique_id.empty() ? fit_unique_id(mailbox_.unique_id(message)) : message.unique_id.str();
}

Status IndexedMailbox::load_and_list(IndexProgress& progress) {
    auto stored = store_.load(fiber_, key_);
    if (!stored) return stored.error();

    KnownMailbox known;
    known.first_generation = stored->first_generation;
    known.generation = stored->head.generation;
    known.wants_arrival = needs_arrival(rules_.policy);
    known.patience = rules_.patience;
    const auto since_reconciled = seconds_since_1970() - stored->head.reconciled;
    // A clock that was ahead must not put the next one off for years.
    const bool is_due = since_reconciled < 0 || since_reconciled >= in_seconds(rules_.reconcile_every);
    const bool was_broken_off = stored->head.reconciled < 0;
    if (!stored->head.state.empty() && stored->head.unique_ids == rules_.unique_ids) {
        if (!is_due || was_broken_off) known.state = stored->head.state;
        // Lent and not copied: there may be very many. A backend without a state makes nothing of them.
        known.messages.reserve(stored->messages.size());
        for (auto& each : stored->messages) {
            known.messages.push_back(std::move(each.info));
            known.messages.back().tag = static_cast<std::uint32_t>(known.messages.size());
        }
    }
    const bool look_at_everything = known.state.empty();
    const bool known_were_lent = !known.messages.empty();
    const auto known_below = stored->head.next_number;
    auto listing = mailbox_.list(std::move(known));
    if (!listing) return listing.error();
    ids_may_return_ = listing->ids_may_return;
    IndexProgress found{listing->messages.size(), listing->still_to_come, listing->state != stored->head.state};
    if (found.still_to_come > 0 && !found.gets_on) {
        const auto not_lent = known_were_lent ? 0 : std::ssize(stored->messages);
        found.gets_on = std::ranges::count(listing->messages, 0U, &MessageInfo::tag) > not_lent;
    }

    for (int attempt = 0; attempt < conflicts; ++attempt) {
        if (attempt > 0) {
            // Another session of this mailbox has saved what it found: the places that tags mean are others now.
            stored = store_.load(fiber_, key_);
            if (!stored) return stored.error();
            for (auto& each : listing->messages) each.tag = 0;
        }
        const auto saved = merge_and_save(std::move(*stored), *listing, known_below, look_at_everything);
        if (!saved) return saved.error();
        // What another session has saved meanwhile, the next part of a listing that is not whole begins with.
        if (*saved || found.still_to_come > 0) {
            progress = found;
            return {};
        }
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
    const bool is_whole = listing.still_to_come == 0;
    head_ = stored.head;
    auto hit = head_.version == 0 ? metrics::IndexHit::first : metrics::IndexHit::unchanged;
    if (stored.first_generation.empty() && !listing.generation.empty() && repeats_in_generations(rules_.unique_ids))
        if (auto kept = store_.keep_first_generation(fiber_, key_, listing.generation); !kept) return kept.error();
    decltype(stored.imported) imported;
    if (stored.imported_generation == listing.generation) imported = std::move(stored.imported);
    auto merged = reconcile(std::move(stored), std::move(listing.messages), listing.generation,
                            {now, rules_.sizes != Sizes::backend, same_format, is_whole});
    // More likely a disk that is not mounted than a mailbox that was made anew: clients, and the index, would forget
    // all.
    if (merged.replaced && merged.messages.empty() && !is_whole) return true;
    if (merged.replaced && merged.messages.empty())
        return Error{Errc::temporary, "the mailbox has been replaced by an empty one",
                     "another UIDVALIDITY; popgate mailbox forget, if that is meant"};
    if (merged.replaced)
        log(LogLevel::warning, "mailbox_replaced",
            {{"user", rules_.user},
             {"text", "the mail server numbers its messages anew: clients will see all of them as new"},
             {"before", std::uint64_t{known_before}},
             {"now", std::uint64_t{merged.messages.size()}}});

    if (listing.ids_may_return)
        if (auto status = tell_returned_apart(merged, listing, same_format, known_below, imported); !status)
            return status.error();
    const auto renamed =
        settle_unique_ids(merged, imported, [this](const MessageInfo& message) { return mailbox_.unique_id(message); });
    const bool renumbered = is_whole && head_.reconciled < 0 && head_.view_floor == 0;
    if (renumbered) number_in_order(merged);
    auto change = changes_to(merged, renamed, !same_format || renumbered);
    // What another session has found meanwhile may only have come after this listing: it stays, and what is known of it
    // (that it was deleted, for one). Which listing is the later one nobody knows, so the next look is at everything.
    if (std::erase_if(change.removed, [&](std::uint32_t number) { return number >= known_below; }) > 0)
        listing.state.clear();
    const bool has_others = !change.added.empty() || !change.removed.empty() || !change.changed.empty();
    if (has_others && head_.version != 0) hit = metrics::IndexHit::changed;
    const auto view_floor = merged.replaced ? 0 : head_.view_floor;
    const auto shown = is_whole ? choose(merged.messages, view_floor) : Shown{{}, view_floor};
    if (!shown) return shown.error();

    // What was put together over some time is not: a message that went meanwhile may still be in it.
    const bool reconciled = looked_at_everything && is_whole && !listing.state.empty();
    const bool changed = head_.version == 0 || has_others || change.forget_all_before || reconciled || !is_whole ||
                         head_.reconciled < 0 || head_.state != listing.state || head_.view_floor != shown->view_floor;
    if (changed) {
        head_.state = listing.state;
        head_.generation = listing.generation;
        head_.unique_ids = rules_.unique_ids;
        head_.next_number = merged.next_number;
        head_.view_floor = shown->view_floor;
        if (!is_whole)
            head_.reconciled = -static_cast<std::int64_t>(listing.still_to_come);
        else
            head_.reconciled = reconciled ? now : std::max<std::int64_t>(head_.reconciled, 0);
        change.head = head_;
        const auto saved = store_.save(fiber_, key_, std::move(change));
        if (saved && !*saved) {
            for (auto& each : merged.messages) listing.messages.push_back(std::move(each.info));
            return false;
        }
        // Unsaved, the session goes on: what it learns is learned again, and what must last says so when it does not.
        is_stored_ = saved.has_value();
        if (is_stored_) head_.version = **saved;
        if (!is_whole && !is_stored_) return saved.error();  // nothing would ever come of it
    }
    if (!is_whole) return true;
    metrics::index_opens.add(hit);
    show(std::move(merged.messages), shown->places);
    return true;
}

// Retires the ids of messages that have gone, and tells those apart that came under a retired one.
Status IndexedMailbox::tell_returned_apart(Reconciled& merged, const Listing& listing, bool same_format,
                                           std::uint32_t known_below,
                                           std::map<std::string, std::string, std::less<>>& imported) {
    // Of an empty mailbox nothing is removed, see changes_to().
    const bool some_have_gone =
        listing.still_to_come == 0 && !merged.messages.empty() && (merged.replaced || !merged.removed.empty());
    const bool all_are_new = merged.replaced || !same_format;
    if (!some_have_gone && !all_are_new && merged.next_number == merged.first_new && imported.empty()) return {};
    auto retired = store_.retired(fiber_, key_);
    if (!retired) return retired.error();
    if (some_have_gone) {
        // Their ids were lent to the backend.
        const auto before = store_.load(fiber_, key_);
        if (!before) return before.error();
        std::unordered_set<std::string_view> there;
        for (const auto& each : merged.messages) there.insert(each.info.id);
        std::vector<MessageInfo> gone;
        for (const auto& each : before->messages)
            if (each.number < known_below && !there.contains(each.info.id)) gone.push_back(each.info);
        if (auto status = retire(gone, *retired); !status) return status;
    }
    const auto derive = [this](const MessageInfo& message) { return mailbox_.unique_id(message); };
    name_returned(merged.messages, all_are_new ? 0 : merged.first_new, *retired, derive);
    keep_from_returned(imported, *retired);
    return {};
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
    const auto expire_after = believes_the_clock() ? rules_.policy.expire_after : std::nullopt;
    const auto expired_before = seconds_since_1970() - (expire_after ? in_seconds(*expire_after) : 0);
    if (expire_after) {
        for (const auto& each : messages) {
            // Retrieved before it arrived: the clock was behind, and the time counts from its arrival.
            if (each.retrieved == 0 || each.hidden || std::max(each.retrieved, each.info.arrival) > expired_before)
                continue;
            expired_.push_back(each.info);
            expired_.back().tag = each.number;
        }
    }
    shown_.reserve(places.size());
    retrieved_.reserve(places.size());
    for (const auto place : places) {
        auto& each = messages[place];
        if (each.failures > 0) failures_[each.number] = each.failures;
        retrieved_.push_back(each.retrieved != 0);
        shown_.push_back(std::move(each.info));
        shown_.back().tag = each.number;
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
        expect_behind(i);
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

void IndexedMailbox::expect_behind(std::size_t place) {
    std::vector<const MessageInfo*> next;
    for (auto i = place + 1; i < shown_.size() && next.size() < expected_at_once; ++i)
        if (!shown_[i].octets_are_exact) next.push_back(&shown_[i]);
    mailbox_.expect(next);
}

Result<std::uint64_t> IndexedMailbox::measure(const MessageInfo& message) {
    MeasuringSink sink;
    if (auto status = mailbox_.fetch(message, sink); !status) return status.error();
    return sink.octets();
}

void IndexedMailbox::delivered(const MessageInfo& message, std::uint64_t octets) {
    metrics::messages_retrieved.add();
    auto change = change_of(message);
    change.retrieved = seconds_since_1970();
    if (rules_.sizes != Sizes::backend) change.exact_octets = octets;
    if (failures_.erase(message.tag) > 0) change.failures = 0;
    if (octets != message.octets) {
        ++sizes_corrected_;
        metrics::sizes_corrected.add();
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
        metrics::messages_quarantined.add();
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
