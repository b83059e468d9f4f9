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

std::vector<std::string> ids_of(const std::vector<MessageInfo>& messages, std::size_t first, std::size_t end) {
    std::vector<std::string> ids;
    ids.reserve(end - first);
    for (auto i = first; i < end; ++i) ids.push_back(messages[i].id);
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
    : api_(std::move(api)),
      settings_(std::move(settings)),
      label_(std::move(label)),
      user_(std::move(user)),
      ahead_(api_->fiber(), api_->upstream(), [this](Fiber& fiber, const MessageInfo& message) {
          auto other = api_->ahead(fiber);
          if (!other) return http::ReadAhead::Read();
          return http::ReadAhead::Read(
              [other = std::move(other), id = message.id](BodySink& sink) { return other->raw(id, sink); });
      }) {}

Result<Listing> GmailMailbox::list(KnownMailbox known) {
    auto listing = Look(*api_, label_, most_units(*settings_), std::move(known)).list();
    if (!listing) return listing.error();
    if (const auto state = parse_listing_state(listing->state)) history_id_ = state->history_id;
    return listing;
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

Status GmailMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    return ahead_.fetch(message, sink, [&](BodySink& to) { return api_->raw(message.id, to); });
}

// The API knows no part of a message: the answer is given up when the sink is closed.
Status GmailMailbox::fetch_top(const MessageInfo& message, BodySink& sink) { return api_->raw(message.id, sink); }

Mailbox::RemovalReport GmailMailbox::remove(const std::vector<MessageInfo>& messages) {
    if (!lacks_scope_) {
        auto report = change_all(messages, [&](const auto& ids) { return api_->destroy(ids); });
        if (!lacks_scope_) return report;
        log(LogLevel::warning, "gmail_trash",
            {{"user", user_},
             {"text", "the token may not delete for ever (scope https://mail.google.com/): messages go to the trash"}});
    }
    return change_all(messages, [&](const auto& ids) { return api_->modify(ids, {"TRASH"}, {label_.id}); });
}

Mailbox::RemovalReport GmailMailbox::purge(const std::vector<MessageInfo>& messages) {
    auto report = change_all(messages, [&](const auto& ids) { return api_->destroy(ids); });
    if (!report.status && lacks_scope_)
        report.status =
            Error{Errc::permanent, "the token may not delete for ever: it needs the scope https://mail.google.com/",
                  report.status.error().detail};
    return report;
}

Mailbox::RemovalReport GmailMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    if (messages.empty()) return {};
    const auto label = label_for(target);
    if (!label) return {std::vector(messages.size(), Removal::failed), label.error()};
    std::vector<std::string> add;
    if (!label->empty()) add.push_back(*label);
    return change_all(messages, [&](const auto& ids) { return api_->modify(ids, add, {label_.id}); });
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
    for (std::size_t first = 0; first < messages.size() && report.status; first += most_ids) {
        const auto end = std::min(messages.size(), first + most_ids);
        // What another client has put elsewhere meanwhile is not in this mailbox: it must not be destroyed there.
        const auto there = find_there(ids_of(messages, first, end));
        if (!there) {
            report.status = there.error();
            return report;
        }
        std::vector<std::size_t> places;
        for (auto i = first; i < end; ++i) {
            report.outcomes[i] = Removal::gone;
            if (there->contains(messages[i].id)) places.push_back(i);
        }
        if (!places.empty()) change_some(messages, places, change, report);
    }
    return report;
}

/// The answer says nothing of the single message. Where it is no success, or lost, they are asked for themselves.
void GmailMailbox::change_some(const std::vector<MessageInfo>& messages, const std::vector<std::size_t>& places,
                               const Change& change, RemovalReport& report) {
    std::vector<std::string> ids;
    for (const auto place : places) ids.push_back(messages[place].id);
    const auto tell_all = [&](Removal outcome) {
        for (const auto place : places) report.outcomes[place] = outcome;
    };
    auto response = change(ids);
    if (response && says_done(*response)) return tell_all(Removal::removed);
    report.status = response ? api_->fault(*response, "the messages cannot be removed") : response.error();
    tell_all(Removal::failed);
    if (response && response->status == 403) {
        if (is_lack_of_scope(reason_of(response->body))) lacks_scope_ = true;
        return;  // nothing was done
    }
    tell_all(Removal::unknown);
    auto there = ask_there(ids);
    if (!there) return;
    if (response && (response->status == 404 || response->status == 400) && !there->empty() &&
        there->size() < ids.size()) {
        // One that is gone may have been in the way of the others.
        std::erase_if(ids, [&](const auto& id) { return !there->contains(id); });
        response = change(ids);
        if (!response) return;
        if (says_done(*response)) there->clear();
    }
    for (const auto place : places)
        report.outcomes[place] = there->contains(messages[place].id) ? Removal::failed : Removal::removed;
    if (there->empty()) report.status = Status{};
}

/// Those of the messages that are still under the label: history tells which of them need be asked for.
Result<GmailMailbox::Ids> GmailMailbox::find_there(const std::vector<std::string>& ids) {
    if (history_id_.empty()) return ask_there(ids);
    auto history = api_->history(history_id_, label_.id);
    if (!history) return history.error();
    if (!*history) {
        history_id_.clear();
        return ask_there(ids);
    }
    for (auto& change : (*history)->changes) touched_[std::move(change.id)] = change.has_left;
    history_id_ = std::move((*history)->next);
    Ids there;
    std::vector<std::string> to_ask;
    for (const auto& id : ids) {
        const auto touched = touched_.find(id);
        if (touched == touched_.end())
            there.insert(id);
        else if (!touched->second)
            to_ask.push_back(id);
    }
    if (to_ask.empty()) return there;
    auto asked = ask_there(to_ask);
    if (!asked) return asked.error();
    there.merge(*asked);
    return there;
}

/// The same, by asking for each.
Result<GmailMailbox::Ids> GmailMailbox::ask_there(std::vector<std::string> ids) {
    std::vector<Detail> found;
    DetailReader reader(*api_, most_units(*settings_));
    if (auto status = reader.read(ids, std::nullopt, found); !status) return status.error();
    if (!reader.unanswered().empty())
        return Error{Errc::temporary, "it is not known which messages are still there", reader.unanswered().front()};
    Ids there;
    for (auto& each : found)
        if (is_under(label_.id, each.labels)) there.insert(std::move(each.id));
    return there;
}

Status GmailMailbox::mark_seen(const std::vector<MessageInfo>& messages) {
    for (std::size_t first = 0; first < messages.size(); first += most_ids) {
        const auto end = std::min(messages.size(), first + most_ids);
        const auto response = api_->modify(ids_of(messages, first, end), {}, {"UNREAD"});
        if (!response) return response.error();
        if (!says_done(*response)) return api_->fault(*response, "the messages cannot be marked as read");
    }
    return {};
}

}  // namespace popgate::gmail
