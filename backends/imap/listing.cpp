#include "backends/imap/listing.hpp"

#include "backends/imap/expunge.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace popgate::imap {

namespace {

constexpr int listing_attempts = 3;
// No answer may be without bound: of FETCH so many messages, of a search so many numbers.
constexpr std::uint32_t listing_window = 2000;
// A server that is quick is asked for more at once, so that fewer round trips pass.
constexpr std::uint32_t widest_window = 10'000;
constexpr auto quick = std::chrono::seconds(1);
constexpr std::uint32_t search_window = 40'000;
// A search tells the whole set of UIDs, so that its answer grows with the gaps in it. VANISHED does not, but may come
// with a line for each message whose flags have changed: with less than so many gaps the search is the better bargain.
constexpr std::size_t few_ranges = 200;

Error incomplete(std::string detail) {
    return {Errc::temporary, "the mail server's list of messages is not complete", std::move(detail)};
}

/// In the order of UIDs, each once; an answer that repeats itself is forgiven.
void sort_by_uid(std::vector<ListedMessage>& messages) {
    std::ranges::stable_sort(messages, {}, &ListedMessage::uid);
    const auto same = [](const auto& a, const auto& b) { return a.uid == b.uid; };
    messages.erase(std::unique(messages.begin(), messages.end(), same), messages.end());
}

}  // namespace

Look::Look(EtpanSession& session, std::string mailbox, const UniqueIdFormat* gmail_ids, KnownMailbox known)
    : session_(session),
      mailbox_(std::move(mailbox)),
      gmail_ids_(gmail_ids),
      known_(std::move(known)),
      before_(parse_listing_state(known_.state)) {
    if (before_ && known_.wants_arrival && !before_->has_dates) before_.reset();
    learn_known();
}

void Look::learn_known() {
    known_uids_.reserve(known_.messages.size());
    bool is_usable = true;
    for (std::size_t i = 0; i < known_.messages.size(); ++i) {
        const auto& message = known_.messages[i];
        const auto uid = uid_of(message);
        if (uid == 0 || (gmail_ids_ && message.unique_id.empty())) is_usable = false;
        if (before_ && before_->uid_next != 0 && uid >= before_->uid_next) is_usable = false;
        if (uid != 0) known_uids_.push_back({uid, i, true});
    }
    if (!std::ranges::is_sorted(known_uids_, {}, &Known::uid)) std::ranges::sort(known_uids_, {}, &Known::uid);
    const auto same = [](const auto& a, const auto& b) { return a.uid == b.uid; };
    const auto twins = std::unique(known_uids_.begin(), known_uids_.end(), same);
    if (twins != known_uids_.end()) is_usable = false;
    known_uids_.erase(twins, known_uids_.end());
    if (!is_usable) before_.reset();
}

// With few gaps among the UIDs a search is cheaper, see above.
bool Look::may_resync() const {
    if (!before_ || before_->highest_modseq == 0 || !session_.has_capability("QRESYNC")) return false;
    if (!session_.has_capability("ESEARCH")) return true;
    std::size_t ranges = 0;
    for (std::size_t i = 0; i < known_uids_.size(); ++i)
        if (i == 0 || known_uids_[i].uid != known_uids_[i - 1].uid + 1) ++ranges;
    return ranges >= few_ranges;
}

Result<Listing> Look::list() {
    if (gmail_ids_ && !session_.has_capability("X-GM-EXT-1"))
        return Error{Errc::permanent, "the mail server has no Gmail ids, which unique_ids asks for", {}};
    if (may_resync()) {
        const auto enabled = session_.enable_resync();
        if (enabled.has_error()) return enabled.error();
        resyncs_ = *enabled;
    }
    Result<std::vector<MessageInfo>> messages = Error{};
    for (int attempt = 0; attempt < listing_attempts; ++attempt) {
        const auto selected = select();
        if (selected.has_error()) return selected.error();
        if (attempt > 0 && selected->uid_validity != selected_.uid_validity)
            return Error{Errc::temporary, "the mailbox has been replaced by another one", "UIDVALIDITY changed"};
        selected_ = *selected;
        messages = look();
        // Other clients may have removed messages while it was looked: look again at what is there now.
        if (!messages.has_error() || session_.broken()) break;
    }
    if (messages.has_error()) return messages.error();
    const ListingState state{selected_.uid_validity, selected_.uid_next, selected_.highest_modseq, has_dates_};
    return Listing{std::move(*messages), to_text(state), std::to_string(selected_.uid_validity)};
}

// Where SELECT does not tell UIDNEXT, STATUS may. It must be asked before the SELECT that counts: what came in between
// is then a message beyond UIDNEXT, and not one that is missing below it.
Result<Selected> Look::select() {
    auto selected = session_.select(mailbox_);
    if (selected.has_error() || selected->uid_next != 0) return selected;
    const auto uid_next = session_.ask_uid_next(mailbox_);
    if (session_.broken()) return uid_next.error();
    if (uid_next.has_error() || *uid_next == 0) return selected;
    selected = session_.select(mailbox_);
    if (!selected.has_error() && selected->uid_next == 0) selected->uid_next = *uid_next;
    return selected;
}

Result<std::vector<MessageInfo>> Look::look() {
    if (!before_ || before_->uid_validity != selected_.uid_validity) return everything();
    auto messages = changes();
    if (!messages.has_error() || session_.broken()) return messages;
    return everything();
}

Result<std::vector<MessageInfo>> Look::changes() {
    for (auto& each : known_uids_) each.is_there = true;
    const bool tells_next = before_->uid_next != 0 && selected_.uid_next != 0;
    if (tells_next && selected_.uid_next < before_->uid_next) return incomplete("UIDNEXT went back");
    Listed fresh;
    if (tells_next && selected_.uid_next > before_->uid_next)
        if (auto status = fetch_new(before_->uid_next, fresh); status.has_error()) return status.error();

    const auto exists = std::size_t{selected_.exists};
    const auto adds_up = [&] { return count_there() + fresh.size() == exists; };
    if (fresh.size() > exists) return incomplete("more messages than there are");
    if (tells_next && adds_up()) return put_together(fresh);
    if (resyncs_)
        if (auto status = find_vanished(before_->highest_modseq, exists - fresh.size()); status.has_error())
            return status.error();
    if (!tells_next || !adds_up()) {
        // All but the new ones, which are the last.
        auto present = search_first(selected_.exists - static_cast<std::uint32_t>(fresh.size()));
        if (present.has_error()) return present.error();
        for (auto& each : known_uids_) each.is_there = present->contains(each.uid);
        if (auto status = fetch_unknown(*present, fresh); status.has_error()) return status.error();
    }
    return put_together(fresh);
}

Status Look::fetch_new(std::uint32_t first_uid, Listed& fresh) {
    const auto last_uid = selected_.uid_next - 1;
    if (last_uid - first_uid >= listing_window) return fetch_from_the_end(first_uid, fresh);
    return fetch_uids(std::to_string(first_uid) + ":" + std::to_string(last_uid), fresh);
}

// By sequence numbers, since nobody knows how many messages so wide a range of UIDs holds.
Status Look::fetch_from_the_end(std::uint32_t first_uid, Listed& fresh) {
    for (auto last = selected_.exists; last > 0;) {
        const auto first = last - std::min(last, listing_window) + 1;
        auto listed = window(first, last);
        if (listed.has_error()) return listed.error();
        const bool reaches_known = listed->front().uid < first_uid;
        for (const auto& each : *listed)
            if (each.uid >= first_uid) fresh.push_back(each);
        if (reaches_known) break;
        last = first - 1;
    }
    sort_by_uid(fresh);
    return {};
}

// What else the server tells is not asked for; what it does not tell is found by counting.
Status Look::fetch_uids(const std::string& set, Listed& fresh) {
    UidSet asked;
    (void)asked.add_text(set, SIZE_MAX);
    asked.settle();
    auto listed = session_.list(Numbers::uid, set, items());
    if (listed.has_error()) return listed.error();
    for (const auto& each : *listed)
        if (asked.contains(each.uid)) fresh.push_back(each);
    sort_by_uid(fresh);
    return {};
}

// In windows, and no further than the server tells of what it said was there: it may have named billions.
Status Look::fetch_unknown(const UidSet& present, Listed& fresh) {
    std::vector<std::uint32_t> window;
    auto known = known_uids_.begin();
    const auto fetch_window = [&]() -> Status {
        Listed told;
        for (const auto& set : make_uid_sets(std::exchange(window, {})))
            if (auto status = fetch_uids(set, told); status.has_error()) return status;
        fresh.insert(fresh.end(), told.begin(), told.end());
        return {};
    };
    for (const auto& range : present.ranges())
        for (std::uint64_t uid = range.first; uid <= range.last; ++uid) {
            while (known != known_uids_.end() && known->uid < uid) ++known;
            if (known != known_uids_.end() && known->uid == uid) continue;
            window.push_back(static_cast<std::uint32_t>(uid));
            if (window.size() < listing_window) continue;
            const auto before = fresh.size();
            if (auto status = fetch_window(); status.has_error()) return status;
            if (fresh.size() - before != listing_window)
                return incomplete("messages that a search found are not there");
        }
    auto status = window.empty() ? Status{} : fetch_window();
    sort_by_uid(fresh);
    return status;
}

// Messages by sequence number: every one exactly once, in the order of UIDs.
Result<std::vector<ListedMessage>> Look::window(std::uint32_t first, std::uint32_t last) {
    auto listed = session_.list(Numbers::sequence, std::to_string(first) + ":" + std::to_string(last), items());
    if (listed.has_error()) return listed.error();
    std::erase_if(*listed, [&](const auto& each) { return each.number < first || each.number > last; });
    if (!std::ranges::is_sorted(*listed, {}, &ListedMessage::number))
        std::ranges::stable_sort(*listed, {}, &ListedMessage::number);
    // An answer that repeats itself is forgiven.
    const auto same = [](const auto& a, const auto& b) { return a.number == b.number && a.uid == b.uid; };
    listed->erase(std::unique(listed->begin(), listed->end(), same), listed->end());
    std::uint32_t last_uid = 0;
    for (std::size_t i = 0; i < listed->size(); ++i) {
        const auto& each = (*listed)[i];
        const auto expected = first + static_cast<std::uint32_t>(i);
        if (each.number != expected || each.uid <= last_uid)
            return incomplete("message " + std::to_string(each.number) + " with UID " + std::to_string(each.uid) +
                              " where number " + std::to_string(expected) + " was due");
        last_uid = each.uid;
    }
    if (listed->size() != last - first + std::size_t{1})
        return incomplete("message " + std::to_string(first + listed->size()) + " was not listed");
    return listed;
}

Result<std::vector<MessageInfo>> Look::everything() {
    // A known message keeps what is known of it, where the UIDVALIDITY says that it is the same one, and a date that is
    // known does not deny it; its tag is given back all the same, since the caller compares generations.
    const bool may_know = !before_ || before_->uid_validity == selected_.uid_validity;
    const bool is_sure = before_.has_value();
    const bool is_same_generation = known_.generation == std::to_string(selected_.uid_validity);
    const auto is_another = [&](const MessageInfo& old, const MessageInfo& now) {
        return !is_same_generation || (old.arrival != 0 && now.arrival != 0 && old.arrival != now.arrival);
    };
    has_dates_ = known_.wants_arrival;
    std::vector<MessageInfo> messages;
    messages.reserve(std::min<std::uint32_t>(selected_.exists, 1'000'000));
    std::uint32_t last_uid = 0;
    auto known = known_uids_.begin();
    auto width = listing_window;
    for (std::uint64_t first = 1, last = 0; first <= selected_.exists; first = last + 1) {
        last = std::min<std::uint64_t>(selected_.exists, first + width - 1);
        const auto asked = std::chrono::steady_clock::now();
        auto listed = window(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last));
        if (std::chrono::steady_clock::now() - asked < quick) width = std::min(2 * width, widest_window);
        if (listed.has_error()) return listed.error();
        if (listed->front().uid <= last_uid)
            return incomplete("UID " + std::to_string(listed->front().uid) + " behind " + std::to_string(last_uid));
        last_uid = listed->back().uid;
        for (const auto& each : *listed) {
            if (gmail_ids_ && each.gmail_id == 0) return incomplete("a message without X-GM-MSGID");
            messages.push_back(info_of(each));
            while (known != known_uids_.end() && known->uid < each.uid) ++known;
            if (!may_know || known == known_uids_.end() || known->uid != each.uid) continue;
            const auto& old = known_.messages[known->place];
            auto& now = messages.back();
            now.tag = old.tag;
            if (!is_sure && is_another(old, now)) continue;
            now.octets = old.octets;
            now.octets_are_exact = old.octets_are_exact;
            if (old.arrival != 0) now.arrival = old.arrival;
            if (!old.unique_id.empty()) now.unique_id = old.unique_id;
        }
    }
    return messages;
}

Status Look::find_vanished(std::uint64_t modseq, std::size_t still_due) {
    for (std::size_t first = 0; first < known_uids_.size() && count_there() > still_due; first += search_window) {
        const auto last = std::min(known_uids_.size(), first + search_window) - 1;
        const auto set = std::to_string(known_uids_[first].uid) + ":" + std::to_string(known_uids_[last].uid);
        const auto vanished = session_.vanished_since(set, modseq);
        // Without it a search will do.
        if (vanished.has_error()) return session_.broken() ? Status{vanished.error()} : Status{};
        for (auto i = first; i <= last; ++i)
            if (vanished->contains(known_uids_[i].uid)) known_uids_[i].is_there = false;
    }
    return {};
}

Result<UidSet> Look::search_first(std::uint32_t count) {
    UidSet found;
    for (std::uint64_t first = 1; first <= count; first += search_window) {
        const auto last = std::min<std::uint64_t>(count, first + search_window - 1);
        const auto part = session_.search(std::to_string(first) + ":" + std::to_string(last));
        if (part.has_error()) return part.error();
        if (part->size() != last - first + 1) return incomplete("a search did not find what is there");
        for (const auto& range : part->ranges()) found.add(range.first, range.last);
    }
    found.settle();
    return found;
}

std::size_t Look::count_there() const {
    return static_cast<std::size_t>(std::ranges::count(known_uids_, true, &Known::is_there));
}

Result<std::vector<MessageInfo>> Look::put_together(Listed& fresh) {
    if (count_there() + fresh.size() != selected_.exists) return incomplete("the numbers do not add up");
    auto next = fresh.begin();
    for (const auto& each : known_uids_) {
        while (next != fresh.end() && next->uid < each.uid) ++next;
        if (next == fresh.end()) break;
        if (next->uid == each.uid) return incomplete("a known message was told as new");
    }
    for (const auto& each : fresh)
        if (gmail_ids_ && each.gmail_id == 0) return incomplete("a message without X-GM-MSGID");

    has_dates_ = before_->has_dates && (known_.wants_arrival || fresh.empty());
    // Nothing can fail any more, so what is known may be moved.
    if (fresh.empty() && is_as_known()) return std::move(known_.messages);
    std::vector<MessageInfo> messages;
    messages.reserve(selected_.exists);
    next = fresh.begin();
    for (const auto& each : known_uids_) {
        if (!each.is_there) continue;
        for (; next != fresh.end() && next->uid < each.uid; ++next) messages.push_back(info_of(*next));
        messages.push_back(std::move(known_.messages[each.place]));
    }
    for (; next != fresh.end(); ++next) messages.push_back(info_of(*next));
    return messages;
}

bool Look::is_as_known() const {
    std::size_t place = 0;
    return known_uids_.size() == known_.messages.size() &&
           std::ranges::all_of(known_uids_, [&](const Known& each) { return each.is_there && each.place == place++; });
}

MessageInfo Look::info_of(const ListedMessage& message) const {
    MessageInfo info{std::to_string(message.uid), message.octets, message.arrival};
    if (gmail_ids_) {
        UniqueIdParts parts;
        parts.uid = message.uid;
        parts.uid_validity = selected_.uid_validity;
        parts.gmail_id = message.gmail_id;
        info.unique_id = gmail_ids_->make(parts);
    }
    return info;
}

}  // namespace popgate::imap
