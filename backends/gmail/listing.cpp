#include "backends/gmail/listing.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>

namespace popgate::gmail {

using namespace std::chrono_literals;

namespace {

constexpr int attempts = 3;
constexpr auto pause = 500ms;  // a list may lag behind the label's count for a moment

constexpr std::string_view version = "gmail1";

// Of a message without details, until it has been retrieved. Clients pass over a message of 0 octets.
constexpr std::uint64_t usual_octets = 4096;

/// Newer ids are greater.
bool is_older_id(std::string_view a, std::string_view b) { return std::pair(a.size(), a) < std::pair(b.size(), b); }

/// Milliseconds are not kept, so the order is what can be told from a MessageInfo alone.
bool is_older(const MessageInfo& a, const MessageInfo& b) {
    return std::tuple(a.arrival, a.id.size(), std::string_view(a.id)) <
           std::tuple(b.arrival, b.id.size(), std::string_view(b.id));
}

template <class Number>
bool take_number(std::string_view& text, std::string_view name, Number& number) {
    if (!text.starts_with(name)) return false;
    text.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc{};
}

}  // namespace

std::string to_text(const ListingState& state) {
    return std::string(version) + " history=" + (state.history_id.empty() ? "0" : state.history_id) +
           " uncounted=" + std::to_string(state.uncounted) + ".";
}

std::optional<ListingState> parse_listing_state(std::string_view text) {
    ListingState state;
    std::uint64_t history_id = 0;
    if (!text.starts_with(version)) return std::nullopt;
    text.remove_prefix(version.size());
    if (!take_number(text, " history=", history_id) || !take_number(text, " uncounted=", state.uncounted) ||
        text != ".")
        return std::nullopt;
    if (history_id != 0) state.history_id = std::to_string(history_id);
    return state;
}

Look::Look(Api& api, Label label, std::uint32_t most_units, KnownMailbox known)
    : api_(api),
      label_(std::move(label)),
      known_(std::move(known)),
      before_(parse_listing_state(known_.state)),
      reader_(api, most_units) {
    if (known_.patience > 0ms) until_ = Clock::now() + known_.patience;
    places_.reserve(known_.messages.size());
    for (std::size_t i = 0; i < known_.messages.size(); ++i) places_.emplace(known_.messages[i].id, i);
}

Result<Listing> Look::list() {
    if (before_ && !before_->history_id.empty()) {
        const auto is_done = changes();
        if (!is_done) return is_done.error();
        if (*is_done) return put_together();
    }
    if (auto status = everything(); !status) return status.error();
    return put_together();
}

Result<std::uint64_t> Look::count() {
    auto label = api_.label(label_.id);
    if (!label) return label.error();
    if (!*label) return Error{Errc::temporary, "the mailbox is no longer there", label_.id};
    return (*label)->messages_total;
}

/// Asks for the details of these messages, known or not, and takes those that are under the label.
Status Look::learn(std::vector<std::string> ids) {
    std::vector<Detail> found;
    const auto before = ids.size();
    vanished_.clear();
    vanished_.insert(ids.begin(), ids.end());
    auto status = reader_.read(ids, until_, found);
    // What was found is worth keeping where somebody will go on from there.
    const bool may_go_on = until_ && ids.size() < before;
    if (!status && (status.error().code != Errc::temporary || !may_go_on)) return status;
    for (const auto& id : ids) vanished_.erase(id);
    undescribed_.clear();
    for (const auto& id : reader_.unanswered()) {
        vanished_.erase(id);
        if (const auto place = places_.find(id); place != places_.end())
            is_there_[place->second] = true;
        else
            undescribed_.push_back(id);
    }
    for (auto& detail : found) {
        vanished_.erase(detail.id);
        if (!is_under(label_.id, detail.labels)) continue;
        if (const auto place = places_.find(detail.id); place != places_.end()) {
            is_there_[place->second] = true;
            continue;
        }
        MessageInfo message;
        message.id = std::move(detail.id);
        message.octets = detail.octets;
        message.arrival = detail.arrival;
        fresh_.push_back(std::move(message));
    }
    // Nobody has said that they are gone.
    for (const auto& id : ids)
        if (const auto place = places_.find(id); place != places_.end()) is_there_[place->second] = true;
    to_come_ = ids.size();
    return {};
}

/// False where history does not tell all.
Result<bool> Look::changes() {
    auto history = api_.history(before_->history_id, label_.id);
    if (!history) return history.error();
    if (!*history) return false;
    is_there_.assign(known_.messages.size(), true);
    state_ = {std::move((*history)->next), before_->uncounted};

    std::unordered_map<std::string, bool> has_left;  // the last word about each
    for (auto& change : (*history)->changes) has_left[std::move(change.id)] = change.has_left;
    std::vector<std::string> to_ask;
    for (const auto& [id, left] : has_left) {
        if (const auto place = places_.find(id); place != places_.end()) is_there_[place->second] = false;
        if (!left) to_ask.push_back(id);
    }
    if (auto status = learn(std::move(to_ask)); !status) return status.error();
    if (!reader_.unanswered().empty()) return false;  // whether they are under the label, a list tells
    if (to_come_ > 0) {
        state_.history_id.clear();
        return true;
    }
    const auto adds_up = [&](std::uint64_t total) {
        return static_cast<std::int64_t>(count_there()) + before_->uncounted == static_cast<std::int64_t>(total);
    };
    if (adds_up(label_.messages_total)) return true;
    // Something may have happened since the label was asked for.
    const auto total = count();
    if (!total) return total.error();
    return adds_up(*total);
}

Status Look::everything() {
    fresh_.clear();
    to_come_ = 0;
    // Before the list, so that nothing between the two is missed.
    auto history_id = api_.history_id();
    if (!history_id) return history_id.error();
    state_ = {std::move(*history_id), 0};
    auto ids = all_ids();
    if (!ids) return ids.error();

    // The list alone may have taken all the time there was; and each look has to get on a little.
    if (until_) until_ = std::max(*until_, Clock::now() + known_.patience / 4);

    // all_ids() has marked the known ones that need no question.
    std::erase_if(*ids, [&](const std::string& id) {
        const auto place = places_.find(id);
        return place != places_.end() && is_there_[place->second];
    });
    if (auto status = learn(std::move(*ids)); !status) return status;
    if (!undescribed_.empty() && !adds_up_)
        return Error{Errc::temporary, "the mail server's list of messages is not complete", "without details"};
    if (to_come_ == 0)
        if (auto status = confirm_vanished(); !status) return status;
    if (to_come_ == 0 && adds_up_ && count_there() < label_.messages_total) {
        // Their details say that they are not under the label. Then the label must count fewer, too.
        const auto total = count();
        if (!total) return total.error();
        if (count_there() < *total)
            return Error{Errc::temporary, "the mail server's list of messages is not complete", "without the label"};
    }
    if (to_come_ > 0)
        state_.history_id.clear();
    else if (!adds_up_)
        state_.uncounted = static_cast<std::int64_t>(label_.messages_total) - static_cast<std::int64_t>(count_there());
    return {};
}

/// What a list told and its details did not know must be in no later list, or the mailbox would look shorter than it
/// is.
Status Look::confirm_vanished() {
    if (vanished_.empty()) return {};
    const auto listed = api_.ids({label_.id}, false);
    if (!listed) return listed.error();
    if (std::ranges::none_of(*listed, [&](const auto& id) { return vanished_.contains(id); })) return {};
    return Error{Errc::temporary, "the mail server's list of messages is not complete", "listed, but not to be had"};
}

/// Until a list has as many ids as the label counts. Where that does not come about: every id that any list told, if
/// those are enough. Which of them are there is then told by their details, but for known ones that the last list had.
Result<std::vector<std::string>> Look::all_ids() {
    const bool lives_in_trash = label_.id == "TRASH" || label_.id == "SPAM";
    std::unordered_set<std::string> all;
    for (int attempt = 0; attempt <= attempts; ++attempt) {
        // At last: what the label counts and the list leaves out may be in the trash.
        const bool with_trash = attempt == attempts;
        if (attempt > 0) api_.fiber().sleep_until(Clock::now() + pause);
        auto listed = api_.ids({label_.id}, with_trash || lives_in_trash);
        if (!listed) return listed.error();
        const auto total_before = label_.messages_total;
        const auto total = count();
        if (!total) return total.error();
        label_.messages_total = *total;
        if (!with_trash) {
            is_there_.assign(known_.messages.size(), false);
            for (const auto& id : *listed)
                if (const auto place = places_.find(id); place != places_.end()) is_there_[place->second] = true;
        }
        // In between is what came or went meanwhile, which history will tell the next time.
        const auto [fewest, most] = std::minmax(total_before, label_.messages_total);
        adds_up_ = !with_trash && listed->size() >= fewest && listed->size() <= most;
        if (adds_up_) return listed;
        for (auto& id : *listed) all.insert(std::move(id));
        if (attempt + 1 >= attempts && all.size() >= fewest) return std::vector<std::string>(all.begin(), all.end());
    }
    return Error{Errc::temporary, "the mail server's list of messages is not complete",
                 std::to_string(all.size()) + " of " + std::to_string(label_.messages_total)};
}

std::size_t Look::count_there() const {
    return static_cast<std::size_t>(std::ranges::count(is_there_, true)) + fresh_.size() + undescribed_.size();
}

/// A message that came without details stands behind the one with the next smaller id: that place it keeps, since the
/// next look knows it.
void Look::guess_arrivals() {
    for (const auto& id : undescribed_) {
        const MessageInfo* before = nullptr;
        const auto look_at = [&](const MessageInfo& other) {
            if (is_older_id(other.id, id) && (!before || is_older_id(before->id, other.id))) before = &other;
        };
        for (std::size_t i = 0; i < known_.messages.size(); ++i)
            if (is_there_[i]) look_at(known_.messages[i]);
        for (const auto& each : fresh_) look_at(each);
        MessageInfo message;
        message.id = id;
        message.octets = usual_octets;
        if (before) message.arrival = before->arrival;
        fresh_.push_back(std::move(message));
    }
}

Listing Look::put_together() {
    guess_arrivals();
    Listing listing;
    auto& messages = listing.messages;
    messages.reserve(known_.messages.size() + fresh_.size());
    for (std::size_t i = 0; i < known_.messages.size(); ++i)
        if (is_there_[i]) messages.push_back(std::move(known_.messages[i]));
    if (!std::ranges::is_sorted(messages, is_older)) std::ranges::sort(messages, is_older);
    const auto middle = static_cast<std::ptrdiff_t>(messages.size());
    std::ranges::sort(fresh_, is_older);
    std::ranges::move(fresh_, std::back_inserter(messages));
    std::inplace_merge(messages.begin(), messages.begin() + middle, messages.end(), is_older);
    listing.state = to_text(state_);
    listing.still_to_come = to_come_;
    return listing;
}

}  // namespace popgate::gmail
