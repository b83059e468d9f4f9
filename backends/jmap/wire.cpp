#include "backends/jmap/wire.hpp"

#include "backends/ascii.hpp"
#include "backends/http/json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <limits>

namespace popgate::jmap {

namespace json = boost::json;

namespace {

constexpr std::string_view odd = "the mail server does not answer as it should";
constexpr std::string_view core = "urn:ietf:params:jmap:core";
constexpr std::string_view mail = "urn:ietf:params:jmap:mail";
constexpr std::string_view version = "jmap1";
constexpr int deepest_folder = 100;
constexpr std::uint64_t most_objects = 5000;
constexpr std::uint64_t longest_request = 10'000'000;

Error broken(std::string detail) { return {Errc::temporary, std::string(odd), std::move(detail)}; }

std::string text_or_empty(const json::value& object, std::string_view key) {
    return http::text_of(object, key).value_or(std::string());
}

bool is_true(const json::value& object, std::string_view key) {
    const auto* value = http::find(object, key);
    return value && value->is_bool() && value->get_bool();
}

void read_limit(const json::value* core_object, std::string_view key, std::uint64_t most, std::size_t& limit) {
    if (!core_object) return;
    const auto number = http::number_of(*core_object, key);
    if (number && *number > 0) limit = static_cast<std::size_t>(std::min(*number, most));
}

/// Adds the ids of a list; false where it holds something else. Absent or null is an empty list where it `may_lack`.
bool read_ids(const json::value& object, std::string_view key, bool may_lack, std::vector<std::string>& ids) {
    const auto* value = http::find(object, key);
    if (!value) return may_lack;
    const auto* list = value->if_array();
    if (!list) return false;
    for (const auto& each : *list) {
        const auto* id = each.if_string();
        if (!id || id->empty()) return false;
        ids.emplace_back(*id);
    }
    return true;
}

const json::array* list_of(const json::value& arguments) {
    const auto* value = http::find(arguments, "list");
    return value ? value->if_array() : nullptr;
}

/// Whether `path` leads to this folder: its name may itself hold a '/'. `depth` ends parents that go round.
bool is_at(const std::vector<Folder>& folders, const Folder& folder, std::string_view path, int depth) {
    if (depth > deepest_folder) return false;
    if (folder.role == "inbox" && equal_but_for_case(path, "INBOX")) return true;
    if (!path.ends_with(folder.name) || folder.name.empty()) return false;
    path.remove_suffix(folder.name.size());
    if (folder.parent.empty()) return path.empty();
    if (!path.ends_with('/')) return false;
    path.remove_suffix(1);
    const auto parent = std::ranges::find(folders, folder.parent, &Folder::id);
    return parent != folders.end() && is_at(folders, *parent, path, depth + 1);
}

}  // namespace

Result<Session> parse_session(std::string_view text) {
    const auto value = http::parse_json(text, odd);
    if (!value) return value.error();
    Session session;
    session.api_url = text_or_empty(*value, "apiUrl");
    session.download_url = text_or_empty(*value, "downloadUrl");
    if (session.api_url.empty() || session.download_url.empty()) return broken("no Session object");
    if (const auto* primary = http::find(*value, "primaryAccounts"))
        session.primary_account = text_or_empty(*primary, mail);
    if (const auto* capabilities = http::find(*value, "capabilities")) {
        const auto* limits = http::find(*capabilities, core);
        read_limit(limits, "maxObjectsInGet", most_objects, session.limits.objects_in_get);
        read_limit(limits, "maxObjectsInSet", most_objects, session.limits.objects_in_set);
        read_limit(limits, "maxSizeRequest", longest_request, session.limits.octets_in_request);
    }
    const auto* accounts = http::find(*value, "accounts");
    const auto* members = accounts ? accounts->if_object() : nullptr;
    if (!members) return session;
    for (const auto& [id, account] : *members) {
        if (id.empty()) continue;
        const auto* capabilities = http::find(account, "accountCapabilities");
        session.accounts.push_back({std::string(id), text_or_empty(account, "name"),
                                    capabilities && http::find(*capabilities, mail), is_true(account, "isPersonal")});
    }
    return session;
}

Result<std::string> choose_account(const Session& session, const std::string& wanted) {
    const auto none = [](std::string text) { return Error{Errc::permanent, std::move(text), {}}; };
    const auto& accounts = session.accounts;
    if (!wanted.empty()) {
        const auto by_id = std::ranges::find(accounts, wanted, &Account::id);
        if (by_id != accounts.end()) return by_id->id;
        const auto count = std::ranges::count(accounts, wanted, &Account::name);
        if (count > 1) return none("several mailboxes of this user have the name that the route gives");
        const auto by_name = std::ranges::find(accounts, wanted, &Account::name);
        if (by_name == accounts.end()) return none("this user may not open the mailbox that the route names");
        return by_name->id;
    }
    if (!session.primary_account.empty()) return session.primary_account;
    const auto own = std::ranges::find_if(accounts, [](const auto& a) { return a.has_mail && a.is_personal; });
    if (own != accounts.end()) return own->id;
    if (accounts.size() == 1) return accounts.front().id;
    return none("this user has no mailbox there");
}

std::string make_request(const std::vector<Call>& calls) {
    json::array methods;
    for (std::size_t i = 0; i < calls.size(); ++i)
        methods.push_back(
            json::array{json::string(calls[i].method), calls[i].arguments, json::string(std::to_string(i))});
    return json::serialize(
        json::object{{"using", json::array{json::string(core), json::string(mail)}}, {"methodCalls", methods}});
}

Result<std::vector<Answer>> parse_response(std::string_view text, const std::vector<Call>& calls) {
    auto value = http::parse_json(text, odd);
    if (!value) return value.error();
    const auto* responses = http::find(*value, "methodResponses");
    const auto* list = responses ? responses->if_array() : nullptr;
    if (!list) return broken("no methodResponses");
    std::vector<Answer> answers(calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
        bool found = false;
        for (const auto& each : *list) {
            const auto* parts = each.if_array();
            if (!parts || parts->size() < 3 || !(*parts)[0].is_string() || !(*parts)[2].is_string()) continue;
            if ((*parts)[2].get_string() != std::to_string(i)) continue;
            const auto& name = (*parts)[0].get_string();
            if (name == "error") {
                const auto type = text_or_empty((*parts)[1], "type");
                answers[i].error = type.empty() ? "serverFail" : type;
            } else if (name != calls[i].method || !(*parts)[1].is_object()) {
                continue;
            } else {
                answers[i].arguments = (*parts)[1];
            }
            found = true;
            break;
        }
        if (!found) return broken("no answer to " + calls[i].method);
    }
    return answers;
}

Problem parse_problem(std::string_view text) {
    const auto value = http::parse_json(text, odd);
    if (!value) return {};
    auto type = text_or_empty(*value, "type");
    type.erase(0, type.rfind(':') + 1);
    return {std::move(type), text_or_empty(*value, "limit")};
}

Error to_error(std::string_view type, std::string_view what) {
    // Not accountNotFound: an account that the Session object has named comes with its first mail.
    constexpr std::string_view lasting[] = {"accountNotSupportedByMethod",
                                            "accountReadOnly",
                                            "forbidden",
                                            "invalidArguments",
                                            "invalidPatch",
                                            "invalidProperties",
                                            "overQuota",
                                            "unknownCapability",
                                            "unknownMethod",
                                            "unsupportedFilter",
                                            "unsupportedSort"};
    const bool lasts = std::ranges::find(lasting, type) != std::end(lasting);
    return {lasts ? Errc::permanent : Errc::temporary, std::string(what), "JMAP error " + std::string(type)};
}

Result<std::vector<Folder>> parse_folders(const json::value& arguments) {
    const auto* list = list_of(arguments);
    if (!list) return broken("Mailbox/get without a list");
    std::vector<Folder> folders;
    for (const auto& each : *list) {
        Folder folder{text_or_empty(each, "id"), text_or_empty(each, "name"), text_or_empty(each, "parentId"),
                      text_or_empty(each, "role"), http::number_of(each, "totalEmails")};
        if (folder.id.empty()) return broken("a Mailbox without id");
        folders.push_back(std::move(folder));
    }
    return folders;
}

const Folder* find_folder(const std::vector<Folder>& folders, std::string_view path) {
    const auto found = std::ranges::find_if(folders, [&](const auto& each) { return is_at(folders, each, path, 0); });
    return found == folders.end() ? nullptr : &*found;
}

const Folder* find_role(const std::vector<Folder>& folders, std::string_view role) {
    const auto found = std::ranges::find(folders, role, &Folder::role);
    return found == folders.end() ? nullptr : &*found;
}

bool Email::is_in(std::string_view folder) const { return std::ranges::find(folders, folder) != folders.end(); }

Result<Emails> parse_emails(const json::value& arguments) {
    const auto* list = list_of(arguments);
    if (!list) return broken("Email/get without a list");
    Emails emails{text_or_empty(arguments, "state"), {}, {}};
    if (!read_ids(arguments, "notFound", true, emails.not_found)) return broken("Email/get with an odd notFound");
    for (const auto& each : *list) {
        Email email;
        email.id = text_or_empty(each, "id");
        if (email.id.empty()) return broken("an Email without id");
        email.blob = text_or_empty(each, "blobId");
        email.size = http::number_of(each, "size");
        if (const auto date = http::text_of(each, "receivedAt")) email.arrival = http::parse_rfc3339(*date).value_or(0);
        if (const auto* folders = http::find(each, "mailboxIds"); folders && folders->is_object()) {
            email.tells_folders = true;
            for (const auto& [id, is_there] : folders->get_object())
                if (is_there.is_bool() && is_there.get_bool()) email.folders.emplace_back(id);
        }
        if (const auto* keywords = http::find(each, "keywords")) email.seen = is_true(*keywords, "$seen");
        emails.list.push_back(std::move(email));
    }
    return emails;
}

Result<Query> parse_query(const json::value& arguments) {
    Query query;
    query.state = text_or_empty(arguments, "queryState");
    query.total = http::number_of(arguments, "total");
    query.position = http::number_of(arguments, "position").value_or(0);
    if (!read_ids(arguments, "ids", false, query.ids)) return broken("Email/query without ids");
    return query;
}

Result<Changes> parse_changes(const json::value& arguments) {
    Changes changes;
    changes.new_state = text_or_empty(arguments, "newState");
    changes.has_more = is_true(arguments, "hasMoreChanges");
    if (changes.new_state.empty() || !read_ids(arguments, "created", true, changes.present) ||
        !read_ids(arguments, "updated", true, changes.present) ||
        !read_ids(arguments, "destroyed", true, changes.destroyed))
        return broken("Email/changes without its lists");
    return changes;
}

Result<SetAnswer> parse_set(const json::value& arguments) {
    SetAnswer answer;
    if (!read_ids(arguments, "destroyed", true, answer.done)) return broken("Email/set without its lists");
    if (const auto* updated = http::find(arguments, "updated"); updated && updated->is_object())
        for (const auto& each : updated->get_object()) answer.done.emplace_back(each.key());
    for (const auto* key : {"notUpdated", "notDestroyed"})
        if (const auto* refused = http::find(arguments, key); refused && refused->is_object())
            for (const auto& [id, error] : refused->get_object())
                answer.refused.emplace_back(id, text_or_empty(error, "type"));
    return answer;
}

std::string pointer_of(std::string_view property, std::string_view member) {
    std::string pointer(property);
    pointer += '/';
    for (const char c : member) {
        if (c == '~')
            pointer += "~0";
        else if (c == '/')
            pointer += "~1";
        else
            pointer += c;
    }
    return pointer;
}

std::string to_text(const ListingState& state) {
    return std::string(version) + " " +
           json::serialize(
               json::array{json::string(state.account), json::string(state.folder), json::string(state.email_state)});
}

std::optional<ListingState> parse_listing_state(std::string_view text) {
    if (!text.starts_with(version)) return std::nullopt;
    const auto value = http::parse_json(text.substr(version.size()), {});
    const auto* parts = value ? value->if_array() : nullptr;
    if (!parts || parts->size() != 3) return std::nullopt;
    for (const auto& each : *parts)
        if (!each.is_string() || each.get_string().empty()) return std::nullopt;
    return ListingState{std::string((*parts)[0].get_string()), std::string((*parts)[1].get_string()),
                        std::string((*parts)[2].get_string())};
}

}  // namespace popgate::jmap
