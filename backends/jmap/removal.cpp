#include "backends/jmap/jmap_mailbox.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace popgate::jmap {

using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

constexpr std::string_view cannot_remove = "some messages cannot be removed";
constexpr auto first_pause = 500ms;  // twice as long each time

}  // namespace

struct JmapMailbox::Fates {
    std::unordered_map<std::string, Removal> of;
};

// Deliberately one Email/set after another: the server answers for each id, and what it puts off is asked for again.
Status JmapMailbox::change(Changes changes, Outcome& outcome) {
    const auto patience = Clock::now() + api_->upstream().patience;
    Clock::duration pause = first_pause;
    while (!changes.empty()) {
        json::object update;
        json::array destroy;
        std::vector<std::string> ids;
        for (const auto& [id, patch] : changes) {
            if (ids.size() == api_->set_batch()) break;
            ids.push_back(id);
            if (patch.is_null())
                destroy.emplace_back(id);
            else
                update[id] = patch;
        }
        json::object arguments;
        if (!update.empty()) arguments["update"] = std::move(update);
        if (!destroy.empty()) arguments["destroy"] = std::move(destroy);
        const auto reply = api_->call({api_->make("Email/set", std::move(arguments))});
        if (!reply) return reply.error();
        if (reply->too_large) {
            if (!api_->halve_sets()) return jmap::to_error("requestTooLarge", cannot_remove);
            continue;
        }
        bool put_off = false;
        const auto& answer = reply->answers.front();
        if (answer.error == "rateLimit") {
            put_off = true;
        } else if (!answer.error.empty()) {
            return jmap::to_error(answer.error, cannot_remove);
        } else {
            auto set = parse_set(answer.arguments);
            if (!set) return set.error();
            for (auto& id : set->done) outcome.done.insert(std::move(id));
            for (auto& [id, type] : set->refused) {
                if (type == "rateLimit")
                    put_off = true;
                else
                    outcome.refused[id] = type;
            }
            for (const auto& id : ids) {
                const bool waits =
                    std::ranges::find(set->refused, std::pair(id, std::string("rateLimit"))) != set->refused.end();
                if (!waits) changes.erase(id);
            }
        }
        if (!put_off) continue;
        const auto until = Clock::now() + pause;
        pause *= 2;
        if (until > std::min(patience, api_->fiber().limit()) || api_->fiber().interrupted()) {
            for (const auto& each : changes) outcome.refused[each.first] = "rateLimit";
            return {};
        }
        while (Clock::now() < until && !api_->fiber().interrupted()) api_->fiber().sleep_until(until);
    }
    return {};
}

Status JmapMailbox::mark_seen(const std::vector<MessageInfo>& messages) {
    Changes changes;
    for (const auto& each : messages) changes[each.id] = json::object{{"keywords/$seen", true}};
    Outcome outcome;
    if (auto status = change(std::move(changes), outcome); !status) return status;
    for (const auto& [id, type] : outcome.refused)
        if (type != "notFound") return jmap::to_error(type, "some messages cannot be marked as read");
    return {};
}

Status JmapMailbox::take_batch(const std::vector<std::string>& ids, const std::string& target, Fates& fates) {
    const auto emails = api_->emails(ids, {"id", "mailboxIds"});
    if (!emails) return emails.error();
    for (const auto& id : emails->not_found) fates.of[id] = Removal::gone;
    Changes changes;
    for (const auto& email : emails->list) {
        if (!email.is_in(folder_)) {
            fates.of[email.id] = Removal::gone;
            continue;
        }
        // What is in other folders as well stays there.
        if (target.empty() && email.folders.size() == 1) {
            changes[email.id] = nullptr;
            continue;
        }
        json::object patch{{pointer_of("mailboxIds", folder_), nullptr}};
        if (!target.empty()) patch[pointer_of("mailboxIds", target)] = true;
        changes[email.id] = std::move(patch);
    }
    std::vector<std::string> asked;
    for (const auto& each : changes) asked.push_back(each.first);
    Outcome outcome;
    auto status = change(std::move(changes), outcome);
    std::vector<std::string> untold;
    for (const auto& id : asked) {
        const auto refused = outcome.refused.find(id);
        if (outcome.done.contains(id)) {
            fates.of[id] = Removal::removed;
        } else if (refused == outcome.refused.end()) {
            untold.push_back(id);
        } else if (refused->second == "notFound") {
            fates.of[id] = Removal::gone;
        } else {
            fates.of[id] = Removal::failed;
            if (status) status = jmap::to_error(refused->second, cannot_remove);
        }
    }
    if (untold.empty()) return status;
    // The answer was lost, or is silent of some: what is there tells.
    for (const auto& id : untold) fates.of[id] = Removal::unknown;
    const auto after = api_->emails(untold, {"id", "mailboxIds"});
    if (!after) return status ? Status(after.error()) : status;
    for (const auto& id : untold) fates.of[id] = Removal::removed;
    for (const auto& email : after->list) {
        if (!email.is_in(folder_)) continue;
        fates.of[email.id] = Removal::failed;
        if (status) status = Error{Errc::temporary, std::string(cannot_remove), "Email/set is silent of " + email.id};
    }
    return status;
}

Mailbox::RemovalReport JmapMailbox::take_out(const std::vector<MessageInfo>& messages, const std::string& target) {
    RemovalReport report;
    Fates fates;
    for (std::size_t first = 0; first < messages.size();) {
        const auto count = std::min({api_->get_batch(), api_->set_batch(), messages.size() - first});
        std::vector<std::string> ids;
        for (auto i = first; i < first + count; ++i) ids.push_back(messages[i].id);
        auto status = take_batch(ids, target, fates);
        first += count;
        if (status) continue;
        report.status = std::move(status);
        break;
    }
    bool all_are_gone = true;
    for (const auto& message : messages) {
        const auto fate = fates.of.find(message.id);
        report.outcomes.push_back(fate == fates.of.end() ? Removal::failed : fate->second);
        const bool is_gone = report.outcomes.back() == Removal::removed || report.outcomes.back() == Removal::gone;
        all_are_gone = all_are_gone && is_gone;
        if (!is_gone) continue;
        taken_out_.insert(message.id);
        blobs_.erase(message.id);
    }
    if (all_are_gone) report.status = {};
    return report;
}

Mailbox::RemovalReport JmapMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    const bool is_trash = target == SpecialFolder::trash;
    const auto& name = is_trash ? settings_->trash_folder : settings_->archive_folder;
    const auto* folder =
        name.empty() ? find_role(folders_, is_trash ? "trash" : "archive") : find_folder(folders_, name);
    if (folder && folder->id != folder_) return take_out(messages, folder->id);
    return {std::vector(messages.size(), Removal::failed),
            Error{Errc::permanent, "there is no other folder to which messages could be moved",
                  name.empty() ? "no folder has the role" : name}};
}

}  // namespace popgate::jmap
