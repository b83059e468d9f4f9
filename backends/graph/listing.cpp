#include "backends/graph/listing.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <unordered_set>
#include <utility>

namespace popgate::graph {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t largest_page = 500;
constexpr std::size_t smallest_page = 20;
constexpr int most_empty_pages = 20;  // in a row; some are usual
constexpr int most_beginnings = 2;
constexpr int most_comparisons = 3;
constexpr int most_passes = 4;

const std::string properties = "$select=id,receivedDateTime&$expand=" + std::string(size_property);

Error bad_listing(std::string detail) {
    return {Errc::temporary, "the mail server does not answer as it should", std::move(detail)};
}

/// Of an answer to a link that the server once gave: it knows no longer what it meant.
bool is_out_of_date(const http::Response& response, bool is_stored) {
    if (response.status == 410) return true;
    const auto code = parse_error_code(response.body);
    for (const std::string_view each : {"syncStateNotFound", "SyncStateNotFound", "resyncRequired", "ResyncRequired"})
        if (code == each) return true;
    return is_stored && (response.status == 400 || response.status == 404);
}

/// After a 504: asks for less at once. False where that was little enough.
bool halve(std::size_t& page_size) {
    if (page_size / 2 < smallest_page) return false;
    page_size /= 2;
    return true;
}

/// Sees where links lead round in circles, or on and on to nothing.
class Trail {
public:
    bool leads_nowhere(const Page& page, const http::Url& from, const http::Url& next) {
        empty_pages_ = page.items.empty() ? empty_pages_ + 1 : 0;
        if (page.items.empty()) return empty_pages_ > most_empty_pages;  // it may be told to ask the same once more
        seen_.insert(std::hash<std::string>()(from.target));
        return seen_.contains(std::hash<std::string>()(next.target));
    }

private:
    int empty_pages_ = 0;
    std::unordered_set<std::size_t> seen_;
};

}  // namespace

Result<Pages> read_pages(Api& api, const std::string& path) {
    auto page_size = largest_page;
    const auto first_page = [&] { return api.url(path + "&$top=" + std::to_string(page_size)); };
    Pages pages;
    Trail trail;
    for (auto url = first_page();;) {
        const auto answered = api.get(url, page_size);
        if (!answered) return answered.error();
        if (answered->status == 504 && halve(page_size)) {
            if (!pages.has_many_pages) url = first_page();
            continue;
        }
        if (!answered->ok()) return api.failure(*answered, "the mailbox cannot be listed");
        auto page = parse_page(answered->body);
        if (!page) return page.error();
        const bool is_last = page->next_link.empty();
        auto next = is_last ? Result<http::Url>(url) : api.follow(page->next_link);
        if (!next) return next.error();
        if (!is_last && trail.leads_nowhere(*page, url, *next)) return bad_listing("pages that lead nowhere");
        std::ranges::move(page->items, std::back_inserter(pages.items));
        if (is_last) return pages;
        url = std::move(*next);
        pages.has_many_pages = true;
    }
}

Look::Look(Api& api, const Folder& folder, KnownMailbox known)
    : api_(api),
      folder_("/mailFolders/" + http::encode_component(folder.id)),
      state_before_(std::move(known.state)),
      snapshot_(std::move(known.messages)),
      page_size_(largest_page) {
    if (known.patience > 0ms) patience_ = Clock::now() + known.patience;
}

Result<Listing> Look::list() {
    const auto before = parse_listing_state(state_before_);
    const auto url = before ? api_.follow(before->link) : bad_listing("no state");
    if (!url) return everything();
    const auto outcome = by_delta(*url, true);
    if (!outcome) return outcome.error();
    if (*outcome == Outcome::unfinished) return take_unfinished();
    if (*outcome != Outcome::complete) return everything();
    const auto agreement = compare(true);
    if (!agreement) return agreement.error();
    // Of a look that was interrupted it is not known which messages were only remembered. One too many does no harm,
    // and to begin anew could be interrupted again, for ever.
    if (*agreement == Agreement::yes || (*agreement == Agreement::more && before->unfinished)) return take(true);
    return everything();
}

Result<Listing> Look::everything() {
    for (int beginnings = 0; beginnings < most_beginnings; ++beginnings) {
        snapshot_.begin_anew();
        const auto outcome = by_delta(api_.url(folder_ + "/messages/delta?" + properties), false);
        if (!outcome) return outcome.error();
        if (*outcome == Outcome::unfinished) return take_unfinished();
        if (*outcome == Outcome::not_offered) break;
        if (*outcome == Outcome::must_begin_anew) continue;
        const auto agreement = compare(false);
        if (!agreement) return agreement.error();
        if (*agreement == Agreement::yes) return take(false);
        break;
    }
    return plainly();
}

Result<Look::Outcome> Look::by_delta(http::Url url, bool from_state) {
    Trail trail;
    for (bool is_first = true;;) {
        const auto answered = api_.get(url, page_size_);
        if (!answered) return answered.error();
        if (answered->status == 504 && halve(page_size_)) continue;
        if (!answered->ok()) {
            if (is_out_of_date(*answered, from_state && is_first)) return Outcome::must_begin_anew;
            const bool is_refused = answered->status == 400 || answered->status == 405 || answered->status == 501;
            if (is_first && is_refused) return Outcome::not_offered;
            return api_.failure(*answered, "the mailbox cannot be listed");
        }
        const auto page = parse_page(answered->body);
        if (!page) return page.error();
        for (const auto& item : page->items) snapshot_.apply(item);
        if (!page->delta_link.empty()) {
            // Whoever takes it for true sends it again: it must lead back here.
            if (const auto checked = api_.follow(page->delta_link); !checked) return checked.error();
            link_ = page->delta_link;
            return Outcome::complete;
        }
        auto next = api_.follow(page->next_link);
        if (!next) return next.error();
        if (trail.leads_nowhere(*page, url, *next)) return bad_listing("pages that lead nowhere");
        url = std::move(*next);
        is_first = false;
        if (patience_ && Clock::now() >= *patience_) {
            link_ = page->next_link;
            return Outcome::unfinished;
        }
    }
}

// The folder's own count is asked after the last page, so what has come in between makes them disagree: then the
// changes since then are asked for. It counts items, and not all need be messages: where it disagrees, the count of the
// collection that is listed decides.
Result<Look::Agreement> Look::compare(bool with_unseen) {
    for (int attempt = 1;; ++attempt) {
        const auto listed = snapshot_.size(with_unseen);
        const auto items = item_count();
        if (!items) return items.error();
        if (*items == listed) return Agreement::yes;
        const auto messages = message_count();
        if (!messages) return messages.error();
        const auto expected = messages->value_or(*items);
        if (expected == listed) return Agreement::yes;
        const auto agreement = listed < expected ? Agreement::fewer : Agreement::more;
        if (attempt == most_comparisons) return agreement;
        pause(attempt);
        auto url = api_.follow(link_);
        if (!url) return url.error();
        const auto patience = std::exchange(patience_, std::nullopt);  // what is left is little
        const auto outcome = by_delta(std::move(*url), true);
        patience_ = patience;
        if (!outcome) return outcome.error();
        if (*outcome != Outcome::complete) return agreement;
    }
}

// Pages are cut by position here: what is removed meanwhile moves a message over the boundary, unseen. So where there
// is more than one page, two passes must have shown the same messages.
Result<Listing> Look::plainly() {
    link_.clear();
    std::vector<std::string> before;
    for (int passes = 1; passes <= most_passes; ++passes) {
        const auto pass = read_pages(api_, folder_ + "/messages?" + properties + "&$orderby=receivedDateTime%20asc");
        if (!pass) return pass.error();
        snapshot_.begin_anew();
        std::vector<std::string> ids;
        for (const auto& item : pass->items) {
            snapshot_.apply(item);
            ids.push_back(item.id);
        }
        std::ranges::sort(ids);
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        if (!pass->has_many_pages || (passes > 1 && ids == before)) {
            const auto messages = message_count();
            if (!messages) return messages.error();
            const auto items = *messages ? Result<std::uint64_t>(**messages) : item_count();
            if (!items) return items.error();
            if (ids.size() >= *items) return take(false);
        }
        before = std::move(ids);
        pause(passes);
    }
    return Error{Errc::temporary, "the mailbox could not be listed completely, please retry",
                 "the number of messages keeps disagreeing with their list"};
}

Result<std::uint64_t> Look::item_count() {
    const auto answered = api_.get(api_.url(folder_ + "?$select=id,totalItemCount"));
    if (!answered) return answered.error();
    if (!answered->ok()) return api_.failure(*answered, "the messages cannot be counted");
    const auto folder = parse_folder(answered->body);
    if (!folder) return folder.error();
    if (!folder->items) return bad_listing("a folder without a number of items");
    return *folder->items;
}

Result<std::optional<std::uint64_t>> Look::message_count() {
    const auto answered = api_.get(api_.url(folder_ + "/messages?$select=id&$top=1&$count=true"));
    if (!answered) return answered.error();
    if (!answered->ok()) return api_.failure(*answered, "the messages cannot be counted");
    const auto page = parse_page(answered->body);
    if (!page) return page.error();
    return page->count;
}

Listing Look::take(bool with_unseen) {
    Listing listing;
    listing.messages = snapshot_.take(with_unseen);
    if (!link_.empty()) listing.state = to_text({false, link_});
    return listing;
}

Listing Look::take_unfinished() {
    Listing listing;
    const auto listed = snapshot_.size(true);
    const auto items = item_count();
    listing.still_to_come = items && *items > listed ? *items - listed : 1;
    listing.messages = snapshot_.take(true);
    listing.state = to_text({true, link_});
    return listing;
}

void Look::pause(int attempt) {
    auto& fiber = api_.fiber();
    const auto until = Clock::now() + 100ms * attempt;
    while (Clock::now() < until && !fiber.interrupted() && Clock::now() < fiber.limit()) fiber.sleep_until(until);
}

}  // namespace popgate::graph
