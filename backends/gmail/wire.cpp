#include "backends/gmail/wire.hpp"

#include "backends/http/json.hpp"

#include <algorithm>
#include <optional>

namespace popgate::gmail {

namespace json = boost::json;

namespace {

constexpr std::string_view broken = "the mail server does not answer as it should";

Error bad(std::string detail) { return {Errc::temporary, std::string(broken), std::move(detail)}; }

Result<json::value> parse_object(std::string_view body) {
    auto value = http::parse_json(body, broken);
    if (value && !value->is_object()) return bad("no JSON object");
    return value;
}

// Ids go into URLs, and into UIDL.
bool is_id(std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    });
}

bool is_history_id(std::string_view text) {
    return !text.empty() && text.size() <= 20 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Null for a list that is not there, which is an empty one; an error for what is no list.
Result<const json::array*> list_of(const json::value& object, std::string_view key) {
    const auto* value = http::find(object, key);
    if (!value) return nullptr;
    if (!value->is_array()) return bad(std::string(key) + " is no list");
    return &value->get_array();
}

Result<std::string> id_of(const json::value& message) {
    auto id = http::text_of(message, "id");
    if (!id || !is_id(*id)) return bad("a message without a valid id");
    return std::move(*id);
}

std::optional<std::vector<std::string>> labels_of(const json::value& object) {
    const auto* value = http::find(object, "labelIds");
    const auto* list = value ? value->if_array() : nullptr;
    if (!list) return std::nullopt;
    std::vector<std::string> labels;
    for (const auto& each : *list)
        if (const auto* text = each.if_string()) labels.emplace_back(*text);
    return labels;
}

bool holds(const std::vector<std::string>& labels, std::string_view label) {
    return std::ranges::find(labels, label) != labels.end();
}

/// True where a message that gets or loses one of these labels may come or go.
bool concerns(const std::string& label, const std::optional<std::vector<std::string>>& labels) {
    return !labels || holds(*labels, label) || holds(*labels, "TRASH") || holds(*labels, "SPAM");
}

Label label_of(const json::value& object) {
    return {http::text_of(object, "id").value_or(""), http::text_of(object, "name").value_or(""),
            http::number_of(object, "messagesTotal").value_or(0)};
}

/// Gives each entry of one kind within a record of history, with its message's id.
template <class Take>
Status each_change(const json::value& record, std::string_view kind, Take take) {
    const auto list = list_of(record, kind);
    if (!list) return list.error();
    if (!*list) return {};
    for (const auto& entry : **list) {
        const auto* message = http::find(entry, "message");
        if (!message) return bad("a change of no message");
        auto id = id_of(*message);
        if (!id) return id.error();
        take(entry, *message, std::move(*id));
    }
    return {};
}

// A message that lost the label and got it back in one step is there, so what has come is read last; but what is
// deleted never comes back.
Status add_changes(const json::value& record, const std::string& label, std::vector<HistoryPage::Change>& changes) {
    auto status = each_change(record, "labelsRemoved", [&](const auto& entry, const auto&, std::string id) {
        const auto labels = labels_of(entry);
        if (concerns(label, labels)) changes.push_back({std::move(id), labels && holds(*labels, label)});
    });
    if (!status) return status;
    status = each_change(record, "labelsAdded", [&](const auto& entry, const auto&, std::string id) {
        if (concerns(label, labels_of(entry))) changes.push_back({std::move(id), false});
    });
    if (!status) return status;
    status = each_change(record, "messagesAdded", [&](const auto&, const auto& message, std::string id) {
        // Whether these are its labels of then or of now, it is not under this one, or a later change says so.
        const auto labels = labels_of(message);
        if (!labels || holds(*labels, label)) changes.push_back({std::move(id), false});
    });
    if (!status) return status;
    return each_change(record, "messagesDeleted", [&](const auto&, const auto&, std::string id) {
        changes.push_back({std::move(id), true});
    });
}

}  // namespace

Result<IdPage> parse_id_page(std::string_view body) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    const auto messages = list_of(*value, "messages");
    if (!messages) return messages.error();
    IdPage page;
    page.next_page = http::text_of(*value, "nextPageToken").value_or("");
    if (!*messages) return page;
    page.ids.reserve((*messages)->size());
    for (const auto& message : **messages) {
        auto id = id_of(message);
        if (!id) return id.error();
        page.ids.push_back(std::move(*id));
    }
    return page;
}

Result<Label> parse_label(std::string_view body) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    auto label = label_of(*value);
    if (label.id.empty()) return bad("a label without an id");
    return label;
}

Result<std::vector<Label>> parse_labels(std::string_view body) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    const auto list = list_of(*value, "labels");
    if (!list) return list.error();
    std::vector<Label> labels;
    if (!*list) return labels;
    for (const auto& each : **list) {
        labels.push_back(label_of(each));
        if (labels.back().id.empty()) return bad("a label without an id");
    }
    return labels;
}

Result<Detail> parse_detail(std::string_view body) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    auto id = id_of(*value);
    if (!id) return id.error();
    Detail detail;
    detail.id = std::move(*id);
    detail.octets = http::number_of(*value, "sizeEstimate").value_or(0);
    detail.arrival = static_cast<std::int64_t>(http::number_of(*value, "internalDate").value_or(0) / 1000);
    detail.labels = labels_of(*value).value_or(std::vector<std::string>());
    return detail;
}

bool is_under(const std::string& label, const std::vector<std::string>& labels) {
    if (!holds(labels, label)) return false;
    return label == "TRASH" || label == "SPAM" || (!holds(labels, "TRASH") && !holds(labels, "SPAM"));
}

Result<HistoryPage> parse_history(std::string_view body, const std::string& label) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    const auto records = list_of(*value, "history");
    if (!records) return records.error();
    HistoryPage page;
    page.history_id = http::text_of(*value, "historyId").value_or("");
    if (!is_history_id(page.history_id)) return bad("no history id");
    page.next_page = http::text_of(*value, "nextPageToken").value_or("");
    if (!*records) return page;
    for (const auto& record : **records)
        if (auto status = add_changes(record, label, page.changes); !status) return status.error();
    return page;
}

Result<std::string> parse_history_id(std::string_view body) {
    const auto value = parse_object(body);
    if (!value) return value.error();
    auto id = http::text_of(*value, "historyId");
    if (!id || !is_history_id(*id)) return bad("no history id");
    return std::move(*id);
}

std::string reason_of(std::string_view body) {
    const auto value = http::parse_json(body, broken);
    const auto* error = value ? http::find(*value, "error") : nullptr;
    if (!error) return {};
    for (const auto* const key : {"errors", "details"}) {
        const auto* list = http::find(*error, key);
        const auto* entries = list ? list->if_array() : nullptr;
        if (!entries) continue;
        for (const auto& each : *entries)
            if (auto reason = http::text_of(each, "reason")) return std::move(*reason);
    }
    return http::text_of(*error, "status").value_or("");
}

bool is_rate_limit(std::string_view reason) {
    return reason == "userRateLimitExceeded" || reason == "rateLimitExceeded" || reason == "dailyLimitExceeded" ||
           reason == "quotaExceeded" || reason == "RATE_LIMIT_EXCEEDED" || reason == "RESOURCE_EXHAUSTED";
}

bool is_lack_of_scope(std::string_view reason) {
    return reason == "insufficientPermissions" || reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
}

}  // namespace popgate::gmail
