#include "backends/graph/wire.hpp"

#include "backends/ascii.hpp"
#include "backends/http/json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <charconv>

namespace popgate::graph {

namespace json = boost::json;
using http::find;
using http::number_of;
using http::text_of;

namespace {

constexpr std::string_view not_understood = "the mail server does not answer as it should";
constexpr std::size_t longest_id = 1024;
constexpr std::string_view state_version = "graph1";

Error bad(std::string detail) { return {Errc::temporary, std::string(not_understood), std::move(detail)}; }

template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

/// "Integer 0x0E08" comes back as "Integer 0xe08", and a "Long" is the same property.
bool is_size(std::string_view property) {
    const auto space = property.find(' ');
    if (space == std::string_view::npos) return false;
    const auto type = property.substr(0, space);
    auto tag = property.substr(space + 1);
    if (!equal_but_for_case(type, "integer") && !equal_but_for_case(type, "long")) return false;
    if (!tag.starts_with("0x") && !tag.starts_with("0X")) return false;
    tag.remove_prefix(2);
    return parse_number<std::uint32_t>(tag, 16) == 0x0E08U;
}

std::optional<std::uint64_t> size_of(const json::value& message) {
    const auto* properties = find(message, "singleValueExtendedProperties");
    if (!properties || !properties->is_array()) return std::nullopt;
    for (const auto& each : properties->get_array())
        if (is_size(text_of(each, "id").value_or(""))) return number_of(each, "value");
    return std::nullopt;
}

Result<Item> parse_item(const json::value& value) {
    Item item;
    item.id = text_of(value, "id").value_or("");
    const auto is_visible = [](char c) { return c > 0x20 && c < 0x7F; };
    if (item.id.empty() || item.id.size() > longest_id || !std::ranges::all_of(item.id, is_visible))
        return bad("a message without a usable id");
    item.removed = find(value, "@removed") != nullptr;
    if (const auto date = text_of(value, "receivedDateTime")) item.arrival = http::parse_rfc3339(*date);
    item.octets = size_of(value);
    return item;
}

Folder folder_of(const json::value& value) {
    return {text_of(value, "id").value_or(""), text_of(value, "displayName").value_or(""),
            number_of(value, "totalItemCount")};
}

/// The array of a page, checked.
Result<const json::array*> values_of(const json::value& page) {
    const auto* values = find(page, "value");
    if (!values || !values->is_array()) return bad("a page without values");
    return &values->get_array();
}

std::string code_of(const json::value& answer) {
    const auto* error = find(answer, "error");
    return error ? text_of(*error, "code").value_or("") : "";
}

std::optional<std::chrono::seconds> retry_after(const json::value& answer) {
    const auto* headers = find(answer, "headers");
    if (!headers || !headers->is_object()) return std::nullopt;
    for (const auto& header : headers->get_object()) {
        if (!equal_but_for_case(header.key(), "Retry-After")) continue;
        if (const auto seconds = number_of(*headers, header.key()); seconds && *seconds <= 86'400)
            return std::chrono::seconds(*seconds);
    }
    return std::nullopt;
}

}  // namespace

Result<Page> parse_page(std::string_view text) {
    const auto parsed = http::parse_json(text, not_understood);
    if (!parsed) return parsed.error();
    const auto values = values_of(*parsed);
    if (!values) return values.error();
    Page page;
    page.items.reserve((*values)->size());
    for (const auto& value : **values) {
        auto item = parse_item(value);
        if (!item) return item.error();
        page.items.push_back(std::move(*item));
    }
    page.next_link = text_of(*parsed, "@odata.nextLink").value_or("");
    page.delta_link = text_of(*parsed, "@odata.deltaLink").value_or("");
    page.count = number_of(*parsed, "@odata.count");
    return page;
}

Result<Folder> parse_folder(std::string_view text) {
    const auto parsed = http::parse_json(text, not_understood);
    if (!parsed) return parsed.error();
    auto folder = folder_of(*parsed);
    if (folder.id.empty()) return bad("a folder without id");
    return folder;
}

Result<FolderPage> parse_folders(std::string_view text) {
    const auto parsed = http::parse_json(text, not_understood);
    if (!parsed) return parsed.error();
    const auto values = values_of(*parsed);
    if (!values) return values.error();
    FolderPage page;
    for (const auto& value : **values) page.folders.push_back(folder_of(value));
    page.next_link = text_of(*parsed, "@odata.nextLink").value_or("");
    return page;
}

std::string parse_error_code(std::string_view text) {
    const auto parsed = http::parse_json(text, not_understood);
    return parsed ? code_of(*parsed) : "";
}

std::string to_batch(std::span<const InnerRequest> requests) {
    json::array inner;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto& request = requests[i];
        json::object headers{{"Prefer", "IdType=\"ImmutableId\""}};
        json::object one{{"id", std::to_string(i + 1)}, {"method", request.method}, {"url", request.url}};
        if (!request.body.empty()) {
            headers["Content-Type"] = "application/json";
            boost::system::error_code error;
            one["body"] = json::parse(request.body, error);
        }
        one["headers"] = std::move(headers);
        inner.push_back(std::move(one));
    }
    return json::serialize(json::object{{"requests", std::move(inner)}});
}

Result<std::vector<InnerAnswer>> parse_batch(std::string_view text, std::size_t count) {
    const auto parsed = http::parse_json(text, not_understood);
    if (!parsed) return parsed.error();
    const auto* responses = find(*parsed, "responses");
    if (!responses || !responses->is_array()) return bad("a batch without answers");
    std::vector<InnerAnswer> answers(count);
    for (const auto& each : responses->get_array()) {
        const auto place = parse_number<std::size_t>(text_of(each, "id").value_or(""));
        const auto status = number_of(each, "status");
        if (!place || *place == 0 || *place > count || !status || *status < 100 || *status > 599) continue;
        auto& answer = answers[*place - 1];
        answer.status = static_cast<int>(*status);
        answer.wait = retry_after(each);
        if (const auto* body = find(each, "body")) {
            answer.code = code_of(*body);
            answer.parent_folder = text_of(*body, "parentFolderId").value_or("");
        }
    }
    return answers;
}

std::string to_text(const ListingState& state) {
    return std::string(state_version) + (state.unfinished ? " unfinished " : " finished ") +
           std::to_string(state.link.size()) + " " + state.link;
}

std::optional<ListingState> parse_listing_state(std::string_view text) {
    const auto word = [&] {
        const auto end = std::min(text.find(' '), text.size());
        const auto first = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        return first;
    };
    if (word() != state_version) return std::nullopt;
    const auto kind = word();
    const auto length = parse_number<std::size_t>(word());
    if ((kind != "unfinished" && kind != "finished") || length != text.size() || text.empty()) return std::nullopt;
    return ListingState{kind == "unfinished", std::string(text)};
}

}  // namespace popgate::graph
