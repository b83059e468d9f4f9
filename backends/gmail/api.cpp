#include "backends/gmail/api.hpp"

#include "backends/gmail/batch.hpp"
#include "backends/gmail/raw_stream.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <unordered_set>

namespace popgate::gmail {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t page_size = 500;
constexpr std::size_t most_pages = 20'000;
constexpr unsigned most_empty_pages = 200;  // one after another
constexpr std::string_view listing = "the mailbox cannot be listed";
constexpr auto pause_of_a_spent_day = 10min;

Error endless() { return {Errc::temporary, std::string(listing), "pages without an end"}; }

/// Pages that lead back to one that was there, or bring nothing, would never end.
class Pages {
public:
    bool leads_on(const std::string& next, bool brought_something) {
        empty_ = brought_something ? 0 : empty_ + 1;
        return seen_.size() < most_pages && empty_ <= most_empty_pages && seen_.insert(next).second;
    }

private:
    std::unordered_set<std::string> seen_;
    unsigned empty_ = 0;
};

boost::json::array list_of(const std::vector<std::string>& texts) {
    boost::json::array list;
    for (const auto& each : texts) list.emplace_back(each);
    return list;
}

}  // namespace

bool says_done(const http::Response& response) {
    return response.status == 204 || (response.ok() && (response.is_json() || response.body.empty()));
}

http::Verdict judge(const http::Response& response) {
    http::Verdict verdict;
    if (response.status != 403 && response.status != 429) return verdict;
    const auto reason = reason_of(response.body);
    if (response.status == 429 || is_rate_limit(reason)) verdict.kind = http::Verdict::Kind::throttled;
    if (reason == "dailyLimitExceeded") verdict.wait = pause_of_a_spent_day;
    return verdict;
}

Api::Api(Fiber& fiber, std::shared_ptr<const http::Upstream> upstream, http::Origin root, const std::string& mailbox,
         std::string account, std::unique_ptr<http::Credential> credential)
    : root_(std::move(root)),
      prefix_("/gmail/v1/users/" + (mailbox.empty() ? "me" : http::encode_component(mailbox))),
      account_(std::move(account)),
      client_(fiber, std::move(upstream), account_, std::move(credential)) {}

Api::Api(const Api& of, http::Client client)
    : root_(of.root_),
      prefix_(of.prefix_),
      account_(of.account_),
      client_(std::move(client)),
      is_proven_(of.is_proven_) {}

std::shared_ptr<Api> Api::ahead(Fiber& fiber) const {
    auto client = client_.ahead(fiber, cost::get);
    return client ? std::shared_ptr<Api>(new Api(*this, std::move(*client))) : nullptr;
}

http::Request Api::request(std::string_view path, std::uint32_t units, const Parameters& parameters) const {
    http::Request request;
    request.url = {root_, prefix_ + std::string(path)};
    char separator = '?';
    for (const auto& [name, value] : parameters) {
        if (value.empty()) continue;
        request.url.target.append(1, separator).append(name).append("=").append(http::encode_component(value));
        separator = '&';
    }
    request.units = units;
    return request;
}

Result<http::Response> Api::ask(const http::Request& request) {
    auto response = client_.send(request);
    if (response && response->ok()) is_proven_ = true;
    return response;
}

Error Api::fault(const http::Response& response, std::string_view what) const {
    auto error = http::to_error(response, what);
    if (error.code == Errc::gone || (error.code == Errc::auth && is_proven_)) error.code = Errc::temporary;
    return error;
}

Result<std::string> Api::find_label(const std::string& name) {
    auto question = request("/labels", cost::labels, {{"fields", "labels(id,name)"}});
    const auto response = ask(question);
    if (!response) return response.error();
    if (!response->ok()) return fault(*response, "the labels cannot be listed");
    const auto labels = parse_labels(response->body);
    if (!labels) return labels.error();
    const auto found = std::ranges::find(*labels, name, &Label::name);
    if (found == labels->end()) return Error{Errc::permanent, "the account has no label of the route's name", name};
    return found->id;
}

Result<std::optional<Label>> Api::label(const std::string& id) {
    const auto response = ask(request("/labels/" + http::encode_component(id), cost::labels));
    if (!response) return response.error();
    if (response->status == 404) return std::nullopt;
    if (!response->ok()) return fault(*response, "the mailbox cannot be opened");
    auto label = parse_label(response->body);
    if (!label) return label.error();
    if (label->id != id) return Error{Errc::temporary, "the mail server does not answer as it should", "another label"};
    return std::optional(std::move(*label));
}

Result<std::vector<std::string>> Api::ids(const std::vector<std::string>& labels, bool with_trash) {
    Parameters parameters;
    for (const auto& label : labels) parameters.emplace_back("labelIds", label);
    if (with_trash) parameters.emplace_back("includeSpamTrash", "true");
    parameters.emplace_back("maxResults", std::to_string(page_size));
    parameters.emplace_back("fields", "messages/id,nextPageToken");
    parameters.emplace_back("pageToken", "");
    std::vector<std::string> ids;
    std::unordered_set<std::string> seen;
    Pages pages;
    for (;;) {
        const auto response = ask(request("/messages", cost::list, parameters));
        if (!response) return response.error();
        if (!response->ok()) return fault(*response, listing);
        auto page = parse_id_page(response->body);
        if (!page) return page.error();
        const auto before = ids.size();
        for (auto& id : page->ids)
            if (seen.insert(id).second) ids.push_back(std::move(id));
        if (page->next_page.empty()) return ids;
        if (!pages.leads_on(page->next_page, ids.size() > before)) return endless();
        parameters.back().second = std::move(page->next_page);
    }
}

Result<std::optional<Api::History>> Api::history(const std::string& since, const std::string& label) {
    // Not with labelId: a message that has lost the label must show.
    Parameters parameters{{"startHistoryId", since},
                          {"historyTypes", "messageAdded"},
                          {"historyTypes", "messageDeleted"},
                          {"historyTypes", "labelAdded"},
                          {"historyTypes", "labelRemoved"},
                          {"maxResults", std::to_string(page_size)},
                          {"pageToken", ""}};
    History history;
    Pages pages;
    for (;;) {
        const auto response = ask(request("/history", cost::history, parameters));
        if (!response) return response.error();
        if (response->status == 404 || response->status == 400) return std::nullopt;
        if (!response->ok()) return fault(*response, listing);
        auto page = parse_history(response->body, label);
        if (!page) return page.error();
        // Of the first page: what happens while the others come is told again next time.
        if (history.next.empty()) history.next = std::move(page->history_id);
        std::ranges::move(page->changes, std::back_inserter(history.changes));
        if (page->next_page.empty()) return std::optional(std::move(history));
        if (!pages.leads_on(page->next_page, true)) return endless();
        parameters.back().second = std::move(page->next_page);
    }
}

Result<std::string> Api::history_id() {
    const auto response = ask(request("/profile", cost::profile));
    if (!response) return response.error();
    if (!response->ok()) return fault(*response, listing);
    return parse_history_id(response->body);
}

Status Api::raw(const std::string& id, BodySink& sink) {
    RawStream stream(sink);
    const auto response =
        client_.stream(request("/messages/" + id, cost::get, {{"format", "raw"}, {"fields", "raw"}}), stream);
    if (!response) {
        // The stream wants no more where the message is broken, too.
        if (response.error().code == Errc::sink_closed) return stream.finish();
        return response.error();
    }
    if (response->status == 404) return Error{Errc::gone, "the message is gone", {}};
    if (!response->ok()) return fault(*response, "the message cannot be had");
    if (auto status = stream.finish(); !status) return status;
    if (stream.octets() == 0) return Error{Errc::temporary, "the mail server gives nothing instead of a message", id};
    return {};
}

Result<http::Response> Api::ask_details(const std::vector<std::string>& ids) {
    std::vector<std::string> targets;
    targets.reserve(ids.size());
    for (const auto& id : ids)
        targets.push_back(
            request("/messages/" + id, 0, {{"format", "minimal"}, {"fields", "id,sizeEstimate,internalDate,labelIds"}})
                .url.target);
    http::Request batch;
    batch.method = "POST";
    batch.url = {root_, "/batch/gmail/v1"};
    batch.body = make_batch(targets);
    batch.content_type = batch_content_type;
    batch.units = cost::get * static_cast<std::uint32_t>(ids.size());
    return ask(batch);
}

void Api::rest(Clock::duration duration) { client_.upstream().limiter->back_off(account_, Clock::now() + duration); }

Result<http::Response> Api::modify(const std::vector<std::string>& ids, const std::vector<std::string>& add,
                                   const std::vector<std::string>& take) {
    boost::json::object body{{"ids", list_of(ids)}};
    if (!add.empty()) body["addLabelIds"] = list_of(add);
    if (!take.empty()) body["removeLabelIds"] = list_of(take);
    auto question = request("/messages/batchModify", cost::many);
    question.method = "POST";
    question.body = boost::json::serialize(body);
    question.content_type = "application/json";
    return ask(question);
}

Result<http::Response> Api::destroy(const std::vector<std::string>& ids) {
    auto question = request("/messages/batchDelete", cost::many);
    question.method = "POST";
    question.body = boost::json::serialize(boost::json::object{{"ids", list_of(ids)}});
    question.content_type = "application/json";
    return ask(question);
}

}  // namespace popgate::gmail
