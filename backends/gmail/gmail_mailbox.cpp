#include "backends/gmail/gmail_mailbox.hpp"

#include "backends/gmail/details.hpp"
#include "backends/gmail/listing.hpp"
#include "gateway/observe/log.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_set>
#include <utility>

namespace popgate::gmail {

namespace {

std::vector<std::string> ids_of(const std::vector<MessageInfo>& messages) {
    std::vector<std::string> ids;
    ids.reserve(messages.size());
    for (const auto& each : messages) ids.push_back(each.id);
    return ids;
}

/// X-GM-MSGID, which the API writes as hexadecimal.
std::uint64_t number_of(std::string_view id) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number, 16);
    return error == std::errc{} && end == id.data() + id.size() ? number : 0;
}

}  // namespace

std::uint32_t most_units(const Settings& settings) { return std::max(settings.units_per_minute / 12, cost::get); }

GmailMailbox::GmailMailbox(std::unique_ptr<Api> api, std::shared_ptr<const Settings> settings, Label label,
                           std::string user)
    : api_(std::move(api)), settings_(std::move(settings)), label_(std::move(label)), user_(std::move(user)) {}

Result<Listing> GmailMailbox::list(KnownMailbox known) {
    return Look(*api_, label_, most_units(*settings_), std::move(known)).list();
}

std::string GmailMailbox::unique_id(const MessageInfo& message) const {
    if (settings_->unique_ids.is_native()) return message.id;
    UniqueIdParts parts;
    parts.gmail_id = number_of(message.id);
    return parts.gmail_id == 0 ? message.id : settings_->unique_ids.make(parts);
}

Result<std::vector<bool>> GmailMailbox::unread(const std::vector<MessageInfo>& messages) {
    const auto listed = api_->ids({label_.id, "UNREAD"}, label_.id == "TRASH" || label_.id == "SPAM");
    if (!listed) return listed.error();
    const std::unordered_set<std::string_view> ids(listed->begin(), listed->end());
    std::vector<bool> unread;
    unread.reserve(messages.size());
    for (const auto& each : messages) unread.push_back(ids.contains(each.id));
    return unread;
}

Status GmailMailbox::fetch(const MessageInfo& message, BodySink& sink) { return api_->raw(message.id, sink); }

// The API knows no part of a message: the answer is given up when the sink is closed.
Status GmailMailbox::fetch_top(const MessageInfo& message, BodySink& sink) { return api_->raw(message.id, sink); }

struct GmailMailbox::Change {
    std::function<Result<http::Response>(const std::vector<std::string>&)> ask;
    bool destroys = false;  ///< the message is gone afterwards, not only the label
};

Mailbox::RemovalReport GmailMailbox::remove(const std::vector<MessageInfo>& messages) {
    if (may_destroy_) {
        auto report = purge(messages);
        if (may_destroy_) return report;
        log(LogLevel::warning, "gmail_trash",
            {{"user", user_},
             {"text", "the token may not delete for ever (scope https://mail.google.com/): messages go to the trash"}});
    }
    return change_all(messages, {[&](const auto& ids) { return api_->modify(ids, {"TRASH"}, {label_.id}); }});
}

Mailbox::RemovalReport GmailMailbox::purge(const std::vector<MessageInfo>& messages) {
    return change_all(messages, {[&](const auto& ids) { return api_->destroy(ids); }, true});
}

Mailbox::RemovalReport GmailMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    if (messages.empty()) return {};
    const auto label = label_for(target);
    if (!label) return {std::vector(messages.size(), Removal::failed), label.error()};
    std::vector<std::string> add;
    if (!label->empty()) add.push_back(*label);
    return change_all(messages, {[&](const auto& ids) { return api_->modify(ids, add, {label_.id}); }});
}

/// Empty: none, all mail.
Result<std::string> GmailMailbox::label_for(SpecialFolder target) {
    const bool is_trash = target == SpecialFolder::trash;
    const auto& name = is_trash ? settings_->trash_folder : settings_->archive_folder;
    Result<std::string> label = std::string(is_trash ? "TRASH" : "");
    if (!name.empty()) label = api_->find_label(name);
    // They would be listed again, for ever.
    if (label && *label == label_.id)
        return Error{Errc::permanent,
                     std::string("the ") + (is_trash ? "trash" : "archive") + " folder is the mailbox itself",
                     {}};
    return label;
}

Mailbox::RemovalReport GmailMailbox::change_all(const std::vector<MessageInfo>& messages, const Change& change) {
    RemovalReport report{std::vector(messages.size(), Removal::failed), {}};
    const auto ids = ids_of(messages);
    for (std::size_t first = 0; first < ids.size() && report.status; first += most_ids) {
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
        const auto count = static_cast<std::ptrdiff_t>(std::min(most_ids, ids.size() - first));
        change_some({begin, begin + count}, report.outcomes, first, change, report.status);
    }
    return report;
}

/// The answer says nothing of the single message. Where it is no success, or lost, they are asked for themselves.
void GmailMailbox::change_some(const std::vector<std::string>& ids, std::vector<Removal>& outcomes, std::size_t first,
                               const Change& change, Status& status) {
    const auto tell = [&](std::size_t i, Removal outcome) { outcomes[first + i] = outcome; };
    auto response = change.ask(ids);
    if (response && response->ok()) {
        for (std::size_t i = 0; i < ids.size(); ++i) tell(i, Removal::removed);
        return;
    }
    if (response) {
        status = api_->fault(*response, "the messages cannot be removed");
        if (response->status == 403) {
            if (change.destroys && is_lack_of_scope(reason_of(response->body))) {
                may_destroy_ = false;
                status = Error{Errc::permanent,
                               "the token may not delete for ever: it needs the scope https://mail.google.com/",
                               status.error().detail};
            }
            return;  // nothing was done
        }
    } else {
        status = response.error();
    }
    for (std::size_t i = 0; i < ids.size(); ++i) tell(i, Removal::unknown);
    auto there = still_there(ids, change.destroys);
    if (!there) return;
    std::vector<std::string> left;
    for (std::size_t i = 0; i < ids.size(); ++i)
        if ((*there)[i]) left.push_back(ids[i]);
    // One that is gone may have been in the way of the others.
    if (response && (response->status == 404 || response->status == 400) && !left.empty() && left.size() < ids.size()) {
        response = change.ask(left);
        if (response && response->ok()) left.clear();
        if (!response) return;
    }
    for (std::size_t i = 0; i < ids.size(); ++i)
        tell(i, std::ranges::find(left, ids[i]) == left.end() ? Removal::removed : Removal::failed);
    if (left.empty()) status = Status{};
}

/// Of each whether it is under the label, or `anywhere` in the account.
Result<std::vector<bool>> GmailMailbox::still_there(const std::vector<std::string>& ids, bool anywhere) {
    auto to_ask = ids;
    std::vector<Detail> found;
    const auto status = DetailReader(*api_, most_units(*settings_)).read(to_ask, std::nullopt, found);
    if (!status) return status.error();
    std::unordered_set<std::string_view> there;
    for (const auto& each : found)
        if (anywhere || is_under(label_.id, each.labels)) there.insert(each.id);
    std::vector<bool> is_there;
    is_there.reserve(ids.size());
    for (const auto& id : ids) is_there.push_back(there.contains(id));
    return is_there;
}

Status GmailMailbox::mark_seen(const std::vector<MessageInfo>& messages) {
    const auto ids = ids_of(messages);
    for (std::size_t first = 0; first < ids.size(); first += most_ids) {
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
        const auto count = static_cast<std::ptrdiff_t>(std::min(most_ids, ids.size() - first));
        const auto response = api_->modify({begin, begin + count}, {}, {"UNREAD"});
        if (!response) return response.error();
        if (!response->ok()) return api_->fault(*response, "the messages cannot be marked as read");
    }
    return {};
}

}  // namespace popgate::gmail
