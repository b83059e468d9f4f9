#include "backends/jmap/listing.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace popgate::jmap {

namespace json = boost::json;

namespace {

constexpr int most_tries = 4;
constexpr std::size_t most_pages_of_changes = 10'000;
const std::vector<std::string_view> described{"id", "blobId", "size", "receivedAt", "mailboxIds"};

json::array properties() {
    json::array list;
    for (const auto each : described) list.emplace_back(each);
    return list;
}

}  // namespace

Result<Listing> Look::list(KnownMailbox known, std::vector<Answer> changes) {
    const auto state = parse_listing_state(known.state);
    if (state && state->account == api_.account() && state->folder == folder_) {
        auto listing = list_changes(known, state->email_state, std::move(changes));
        if (!listing) return listing.error();
        if (*listing) return std::move(**listing);
    }
    std::unordered_map<std::string_view, const MessageInfo*> by_id;
    // The ids of another account mean other messages.
    if (!state || state->account == api_.account())
        for (const auto& each : known.messages) by_id.emplace(each.id, &each);
    for (int tries = 0; tries < most_tries; ++tries) {
        auto emails = list_all(tries == 0);
        if (!emails) return emails.error();
        if (!*emails) continue;
        std::vector<MessageInfo> messages;
        messages.reserve((*emails)->list.size());
        for (const auto& email : (*emails)->list) {
            if (const auto old = by_id.find(email.id); old != by_id.end()) {
                messages.push_back(*old->second);
                continue;
            }
            auto message = describe(email);
            if (!message) return message.error();
            messages.push_back(std::move(*message));
            on_new_(email);
        }
        return finish(std::move(messages), (*emails)->state);
    }
    return Error{Errc::temporary, std::string(cannot_list), "the numbers do not add up, however often it is asked"};
}

Call Look::changes_call(const Api& api, const std::string& since) {
    return api.make("Email/changes", {{"sinceState", since}, {"maxChanges", api.get_batch()}});
}

Result<std::optional<Listing>> Look::list_changes(KnownMailbox& known, const std::string& since,
                                                  std::vector<Answer> answers) {
    auto state = since;
    std::unordered_set<std::string> present, destroyed;
    std::optional<std::uint64_t> total;
    for (std::size_t page = 0;; ++page) {
        if (page == most_pages_of_changes) return std::nullopt;
        // The number of messages guards against servers that take any state for one of theirs.
        if (page > 0 || answers.empty()) {
            auto reply = api_.call({changes_call(api_, state), count_call()});
            if (!reply) return reply.error();
            answers = std::move(reply->answers);
        }
        if (!answers[0].error.empty() || !answers[1].error.empty()) return std::nullopt;
        auto changes = parse_changes(answers[0].arguments);
        if (!changes) return changes.error();
        const auto folders = parse_folders(answers[1].arguments);
        if (!folders) return folders.error();
        const auto folder = std::ranges::find(*folders, folder_, &Folder::id);
        if (folder == folders->end() || !folder->total) return std::nullopt;
        total = folder->total;
        for (auto& id : changes->present) {
            destroyed.erase(id);
            present.insert(std::move(id));
        }
        for (auto& id : changes->destroyed) {
            present.erase(id);
            destroyed.insert(std::move(id));
        }
        if (changes->has_more && changes->new_state == state) return std::nullopt;
        state = std::move(changes->new_state);
        if (!changes->has_more) break;
    }
    auto& messages = known.messages;
    if (present.empty() && destroyed.empty()) {
        if (messages.size() != *total) return std::nullopt;
        return std::optional(finish(std::move(messages), state));
    }
    // What was updated may have come, gone or stayed.
    const auto emails = api_.emails({present.begin(), present.end()}, described);
    if (!emails) return emails.error();
    std::unordered_map<std::string_view, const Email*> here;
    for (const auto& each : emails->list)
        if (each.is_in(folder_)) here.emplace(each.id, &each);
    std::vector<MessageInfo> now;
    now.reserve(messages.size() + here.size());
    for (const auto& message : messages) {
        const bool is_here = here.erase(message.id) > 0;
        if (is_here || (!present.contains(message.id) && !destroyed.contains(message.id))) now.push_back(message);
    }
    if (now.size() + here.size() != *total) return std::nullopt;
    for (const auto& [id, email] : here) {
        auto message = describe(*email);
        if (!message) return message.error();
        now.push_back(std::move(*message));
        on_new_(*email);
    }
    return std::optional(finish(std::move(now), state));
}

Call Look::count_call() const {
    return api_.make("Mailbox/get", {{"ids", json::array{json::string(folder_)}},
                                     {"properties", json::array{json::string("id"), json::string("totalEmails")}}});
}

Result<std::uint64_t> Look::count() {
    const auto reply = api_.call({count_call()});
    if (!reply) return reply.error();
    const auto& answer = reply->answers.front();
    if (!answer.error.empty()) return jmap::to_error(answer.error, cannot_list);
    const auto folders = parse_folders(answer.arguments);
    if (!folders) return folders.error();
    const auto folder = std::ranges::find(*folders, folder_, &Folder::id);
    if (folder == folders->end() || !folder->total)
        return Error{Errc::temporary, std::string(cannot_list), "the folder is gone"};
    return *folder->total;
}

Status Look::read_page(std::uint64_t position, bool paged, std::vector<Answer>& answers, bool& too_large) {
    json::object query{{"filter", json::object{{"inMailbox", folder_}}},
                       {"sort", json::array{json::object{{"property", "receivedAt"}, {"isAscending", true}}}},
                       {"position", position},
                       {"calculateTotal", true}};
    if (paged) query["limit"] = api_.get_batch();
    // The state comes first: what happens behind it is told again by the next look.
    std::vector<Call> calls{api_.make("Email/get", {{"ids", json::array{}}, {"properties", json::array{"id"}}}),
                            api_.make("Email/query", std::move(query))};
    if (paged)
        calls.push_back(api_.make("Email/get",
                                  {{"#ids", json::object{{"resultOf", "1"}, {"name", "Email/query"}, {"path", "/ids"}}},
                                   {"properties", properties()}}));
    auto reply = api_.call(calls);
    if (!reply) return reply.error();
    too_large = reply->too_large;
    answers = std::move(reply->answers);
    for (const auto& each : answers)
        if (!too_large && !each.error.empty()) return jmap::to_error(each.error, cannot_list);
    return {};
}

Result<std::optional<Emails>> Look::list_all(bool paged) {
    Emails all;
    std::unordered_set<std::string> ids;
    std::string query_state;
    for (;;) {
        std::vector<Answer> answers;
        bool too_large = false;
        if (auto status = read_page(ids.size(), paged, answers, too_large); !status) return status.error();
        if (too_large) {
            if (!api_.halve_gets()) return jmap::to_error("requestTooLarge", cannot_list);
            continue;
        }
        const auto state = parse_emails(answers[0].arguments);
        if (!state) return state.error();
        auto query = parse_query(answers[1].arguments);
        if (!query) return query.error();
        if (ids.empty()) {
            all.state = state->state;
            query_state = query->state;
        }
        if (!query->total) return Error{Errc::temporary, std::string(cannot_list), "Email/query without a total"};
        const bool is_last = query->ids.empty() || ids.size() + query->ids.size() >= *query->total;
        if (query->state != query_state || (!query->ids.empty() && query->position != ids.size())) return std::nullopt;
        for (const auto& id : query->ids)
            if (!ids.insert(id).second) return std::nullopt;
        if (paged) {
            auto page = parse_emails(answers[2].arguments);
            if (!page) return page.error();
            std::ranges::move(page->list, std::back_inserter(all.list));
        }
        if (!is_last) continue;
        if (*query->total != ids.size()) return std::nullopt;
        break;
    }
    if (ids.empty()) {
        // A search index that is down or behind finds nothing, too.
        const auto total = count();
        if (!total) return total.error();
        if (*total > 0) return std::nullopt;
    }
    if (!paged) {
        auto emails = api_.emails({ids.begin(), ids.end()}, described);
        if (!emails) return emails.error();
        all.list = std::move(emails->list);
    }
    std::unordered_set<std::string_view> described_ids;
    for (const auto& each : all.list)
        if (!ids.contains(each.id) || !described_ids.insert(each.id).second) return std::nullopt;
    if (described_ids.size() != ids.size()) return std::nullopt;
    return std::optional(std::move(all));
}

Result<MessageInfo> Look::describe(const Email& email) const {
    if (!email.size) return Error{Errc::temporary, std::string(cannot_list), "no size of " + email.id};
    // Not exact: a message without a last line end is sent with one, and some stores hold bare LF.
    return MessageInfo{email.id, *email.size, email.arrival};
}

Listing Look::finish(std::vector<MessageInfo> messages, const std::string& state) const {
    std::ranges::sort(messages, [](const MessageInfo& a, const MessageInfo& b) {
        return std::tie(a.arrival, a.id) < std::tie(b.arrival, b.id);
    });
    Listing listing;
    listing.messages = std::move(messages);
    if (!state.empty()) listing.state = to_text({api_.account(), folder_, state});
    listing.generation = api_.account() + "/" + folder_;
    listing.ids_may_return = true;
    return listing;
}

}  // namespace popgate::jmap
