#include "backends/rest/listing.hpp"

#include "backends/http/json.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

namespace popgate::rest {

namespace {

constexpr int most_looks = 4;
constexpr std::size_t longest_id = 255;
constexpr std::size_t most_pages = 100'000;
constexpr std::string_view list_fails = "the mailbox cannot be listed";

Error malformed(std::string detail) {
    return {Errc::temporary, "the mail server does not answer as it should", std::move(detail)};
}

std::optional<std::uint64_t> number_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
    return number;
}

std::int64_t date_in(const std::string& text, DateForm form) {
    if (form == DateForm::rfc3339) return http::parse_rfc3339(text).value_or(0);
    const auto number = static_cast<std::int64_t>(number_in(text).value_or(0));
    return form == DateForm::epoch_milliseconds ? number / 1000 : number;
}

bool is_usable_id(const std::string& id) {
    // "." and ".." in a URL would mean the folder, and encoding does not help.
    return !id.empty() && id != "." && id != ".." && id.size() <= longest_id &&
           std::ranges::none_of(id, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

/// Where a page begins.
struct Place {
    std::uint64_t offset = 0;
    std::uint64_t page = 0;
    std::string cursor;
};

Result<Page> read_page(Api& api, const std::string& folder_id, const Place& place) {
    const auto& description = api.description();
    ListStream list(description.messages, {description.id, description.size, description.date, description.seen},
                    {description.next, description.total});
    const Values values = {{"folder", folder_id},
                           {"limit", std::to_string(description.page_size)},
                           {"offset", std::to_string(place.offset)},
                           {"page", std::to_string(place.page)},
                           {"cursor", place.cursor}};
    const auto read =
        api.read(place.cursor.empty() ? description.list : description.list_next, values, list, list_fails);
    if (!read) return read.error();
    Page page;
    page.items.reserve(list.elements.size());
    std::unordered_set<std::string_view> ids;
    for (auto& element : list.elements) {
        if (!is_usable_id(element[0])) return malformed("a message without an id that can be used");
        // Two messages that cannot be told from each other: one of them would go unseen.
        if (!ids.insert(element[0]).second) return malformed("an id that is there twice");
        const auto size = number_in(element[1]);
        if (!size && description.sizes_are_exact) return malformed("a message without size");
        page.items.push_back({.message = {.id = element[0],
                                          .octets = size.value_or(0),
                                          .arrival = date_in(element[2], description.dates),
                                          .octets_are_exact = description.sizes_are_exact},
                              .seen = element[3] == "true" || element[3] == "1"});
    }
    if (list.values[0] != "false") page.next = std::move(list.values[0]);
    page.total = number_in(list.values[1]);
    if (!description.total.empty() && !page.total) return malformed("the number of messages is not told");
    return page;
}

/// One look at all pages.
class Look {
public:
    Look(Api& api, const std::string& folder_id) : api_(api), folder_id_(folder_id) {}

    Status run(std::optional<Page> first) {
        const auto paging = api_.description().paging;
        Place place{api_.description().first, api_.description().first, {}};
        for (std::size_t pages = 0; pages < most_pages; ++pages) {
            auto page = first ? Result<Page>(std::move(*first)) : read_page(api_, folder_id_, place);
            first.reset();
            if (!page) return page.error();
            const auto count = page->items.size();
            if (pages > 0 && page->total != total_) has_moved_ = true;
            total_ = page->total;
            const bool has_new = take(std::move(page->items));
            if (paging == Paging::none) return {};
            if (count > 0 && !has_new) {
                // It would come again and again: a server that does not know the parameter.
                if (is_same_page_) return malformed("a page without a message that is new");
                has_moved_ = true;  // what was on it was on another page a moment ago
                return {};
            }
            if (paging == Paging::cursor) {
                if (page->next.empty()) return {};
                if (!cursors_.insert(page->next).second) return malformed("a cursor that leads to where it came from");
                place.cursor = std::move(page->next);
                continue;
            }
            read_ += count;
            // A short page need not be the last one: a server may give less than it was asked for.
            if (count == 0 || (total_ && read_ >= *total_)) return {};
            place.offset += count;
            ++place.page;
        }
        return malformed("pages without end");
    }

    bool agrees() const { return !has_moved_ && (!total_ || *total_ == items.size()); }
    /// True where nothing but another look could show that a message was moved from one page to another meanwhile.
    bool is_doubtful() const {
        const auto paging = api_.description().paging;
        return !total_ && read_ > 0 && (paging == Paging::offset || paging == Paging::page);
    }
    std::string account() const {
        return std::to_string(items.size()) + " messages where " + (total_ ? std::to_string(*total_) : "others") +
               " were told";
    }

    std::vector<Page::Item> items;

private:
    bool take(std::vector<Page::Item> more) {
        const auto before = items.size();
        std::vector<std::string> ids;
        for (const auto& item : more) ids.push_back(item.message.id);
        is_same_page_ = ids == page_ids_;
        page_ids_ = std::move(ids);
        for (auto& item : more)
            if (ids_.insert(item.message.id).second) items.push_back(std::move(item));
        return items.size() > before;
    }

    Api& api_;
    const std::string& folder_id_;
    std::unordered_set<std::string> ids_;
    std::unordered_set<std::string> cursors_;
    std::optional<std::uint64_t> total_;
    std::uint64_t read_ = 0;
    std::vector<std::string> page_ids_;
    bool is_same_page_ = false;
    bool has_moved_ = false;
};

bool has_come_before(const Page::Item& a, const Page::Item& b) {
    const auto key = [](const MessageInfo& message) {
        return std::tuple(message.arrival, message.id.size(), std::string_view(message.id));  // 9 before 10
    };
    return key(a.message) < key(b.message);
}

bool has_same_ids(std::vector<Page::Item>& a, std::vector<Page::Item>& b) {
    return std::ranges::equal(
        a, b, {}, [](const auto& item) { return item.message.id; }, [](const auto& item) { return item.message.id; });
}

}  // namespace

Result<Page> read_first_page(Api& api, const std::string& folder_id) {
    return read_page(api, folder_id, {api.description().first, api.description().first, {}});
}

Result<std::vector<Page::Item>> read_list(Api& api, const std::string& folder_id, std::optional<Page> first) {
    std::optional<std::vector<Page::Item>> before;
    std::string account;
    for (int looks = 0; looks < most_looks; ++looks) {
        Look look(api, folder_id);
        const auto done = look.run(std::exchange(first, std::nullopt));
        if (!done) return done.error();
        account = look.account();
        if (!api.description().date.empty()) std::ranges::sort(look.items, has_come_before);
        if (look.agrees() && (!look.is_doubtful() || (before && has_same_ids(*before, look.items))))
            return std::move(look.items);
        before = std::move(look.items);
    }
    return Error{Errc::temporary, "the mailbox is changing, please try again", account};
}

Result<std::vector<Folder>> read_folders(Api& api) {
    const auto& description = api.description();
    ListStream list(description.folders, {description.folder_id, description.folder_name, description.folder_use}, {});
    const auto read = api.read(description.folder_list, {}, list, "the folders cannot be listed");
    if (!read) return read.error();
    std::vector<Folder> folders;
    for (auto& element : list.elements) {
        if (!is_usable_id(element[0])) return malformed("a folder without an id that can be used");
        folders.push_back({std::move(element[0]), std::move(element[1]), std::move(element[2])});
    }
    return folders;
}

}  // namespace popgate::rest
