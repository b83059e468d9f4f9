#include "backends/jmap/api.hpp"

#include "backends/jmap/srv.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace popgate::jmap {

namespace json = boost::json;

namespace {

constexpr std::string_view cannot_open = "the mailbox cannot be opened";

Result<http::Url> find_server(Fiber& fiber, const Discovery& discovery) {
    auto url = discovery.url;
    if (!discovery.ask_dns) return url;
    const auto target = look_up_srv(fiber, url.origin.host);
    if (!target) return url;
    if (!is_trusted(*target, url.origin.host))
        return Error{Errc::permanent, "the mail server has moved; write its new name into the route",
                     "_jmap._tcp." + url.origin.host + " names " + target->host +
                         ", which is not below it: write jmaps://" + target->host + ":" + std::to_string(target->port) +
                         " if that is right"};
    url.origin.host = target->host;
    url.origin.port = std::to_string(target->port);
    return url;
}

}  // namespace

http::Verdict judge(const http::Response& response) {
    http::Verdict verdict;
    if (response.status == 400 && response.is_json()) {
        const auto problem = parse_problem(response.body);
        if (problem.type == "limit" && problem.limit == "maxConcurrentRequests")
            verdict.kind = http::Verdict::Kind::throttled;
    }
    return verdict;
}

Api::Api(const Api& of, http::Client client)
    : client_(std::move(client)),
      home_(of.home_),
      api_url_(of.api_url_),
      download_url_(of.download_url_),
      trusted_origins_(of.trusted_origins_),
      account_id_(of.account_id_),
      limits_(of.limits_) {}

std::shared_ptr<Api> Api::ahead(Fiber& fiber) const {
    auto client = client_.ahead(fiber, 1);
    return client ? std::shared_ptr<Api>(new Api(*this, std::move(*client))) : nullptr;
}

Status Api::open(const Discovery& discovery, const std::string& wanted_account) {
    auto url = find_server(client_.fiber(), discovery);
    if (!url) return url.error();
    http::Request request;
    request.url = *url;
    request.headers.push_back({"Accept", "application/json"});
    const auto response = client_.send(request);
    if (!response) return response.error();
    if (response->status == 401) {
        if (discovery.clients_password) return Error{Errc::auth, "wrong user name or password", {}};
        return Error{Errc::temporary, "the mail server refuses the credential that popgate has for it", {}};
    }
    if (!response->ok()) {
        auto error = http::to_error(*response, cannot_open);
        if (error.code == Errc::gone) error.code = Errc::permanent;
        return error;
    }
    home_ = response->url;
    if (home_.origin != request.url.origin)
        return Error{Errc::permanent, "the mail server is elsewhere; write its new address into the route",
                     request.url.to_string() + " redirects to " + home_.to_string()};
    const auto session = parse_session(response->body);
    if (!session) return session.error();
    trusted_origins_ = discovery.trusted_origins;
    auto api_url = http::resolve(home_, session->api_url);
    if (!api_url) return api_url.error();
    if (auto status = check_origin(*api_url); !status) return status;
    api_url_ = std::move(*api_url);
    limits_ = session->limits;
    auto account = choose_account(*session, wanted_account);
    if (!account) return account.error();
    account_id_ = std::move(*account);
    // Judged now, and not when the first message is retrieved.
    download_url_ = session->download_url;
    const auto download_url = url_of_blob("blob");
    return download_url ? Status() : download_url.error();
}

Status Api::check_origin(const http::Url& url) const {
    if (url.origin == home_.origin || std::ranges::find(trusted_origins_, url.origin) != trusted_origins_.end())
        return {};
    const auto other = url.origin.to_string();
    const bool is_downgrade = home_.origin.tls && !url.origin.tls;
    return Error{
        Errc::permanent, "the mail server names another one, which is not trusted",
        home_.origin.to_string() + " names " + other +
            (is_downgrade ? ", in clear, where no credential may go"
                          : ": write it into the route's trusted_origins if that is right, as \"" + other + "\"")};
}

Call Api::make(std::string_view method, json::object arguments) const {
    arguments["accountId"] = account_id_;
    return {std::string(method), std::move(arguments)};
}

Result<Api::Reply> Api::call(const std::vector<Call>& calls) {
    const auto refused = [&] { return Reply{std::vector(calls.size(), Answer{"requestTooLarge", {}}), true}; };
    http::Request request;
    request.method = "POST";
    request.url = api_url_;
    request.headers.push_back({"Accept", "application/json"});
    request.content_type = "application/json";
    request.body = make_request(calls);
    if (request.body.size() > limits_.octets_in_request) return refused();
    const auto response = client_.send(request);
    if (!response) return response.error();
    if (response->status == 413) return refused();
    if (!response->ok()) {
        const auto problem = response->is_json() ? parse_problem(response->body) : Problem{};
        if (problem.type == "limit" && problem.limit != "maxConcurrentRequests") return refused();
        if (!problem.type.empty() && response->status == 400)
            return jmap::to_error(problem.type, "the mail server refuses what it is asked");
        return fault(*response, "the mail server refuses what it is asked");
    }
    auto answers = parse_response(response->body, calls);
    if (!answers) return answers.error();
    const bool too_large = std::ranges::find(*answers, "requestTooLarge", &Answer::error) != answers->end();
    return Reply{std::move(*answers), too_large};
}

Result<Emails> Api::emails(const std::vector<std::string>& ids, const std::vector<std::string_view>& properties) {
    json::array wanted;
    for (const auto property : properties) wanted.emplace_back(property);
    Emails all;
    for (std::size_t first = 0; first < ids.size();) {
        const auto count = std::min(get_batch(), ids.size() - first);
        json::array some;
        for (auto i = first; i < first + count; ++i) some.emplace_back(ids[i]);
        const auto reply = call({make("Email/get", {{"ids", std::move(some)}, {"properties", wanted}})});
        if (!reply) return reply.error();
        if (reply->too_large) {
            if (!halve_gets()) return jmap::to_error("requestTooLarge", cannot_list);
            continue;
        }
        const auto& answer = reply->answers.front();
        if (!answer.error.empty()) return jmap::to_error(answer.error, "the mail server does not tell of messages");
        auto some_emails = parse_emails(answer.arguments);
        if (!some_emails) return some_emails.error();
        // Nobody has asked for others, and whoever removes what came would remove them, too.
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
        const std::unordered_set<std::string_view> asked(begin, begin + static_cast<std::ptrdiff_t>(count));
        for (const auto& each : some_emails->list)
            if (!asked.contains(each.id))
                return Error{Errc::temporary, "the mail server does not answer as it should",
                             "Email/get: " + each.id + " was not asked for"};
        // What is in neither list must not be taken for gone.
        std::unordered_set<std::string_view> told(some_emails->not_found.begin(), some_emails->not_found.end());
        const bool wants_folders = std::ranges::find(properties, "mailboxIds") != properties.end();
        for (const auto& each : some_emails->list)
            if (each.tells_folders || !wants_folders) told.insert(each.id);
        for (auto i = first; i < first + count; ++i)
            if (!told.contains(ids[i]))
                return Error{Errc::temporary, "the mail server does not answer as it should",
                             "Email/get is silent of " + ids[i]};
        all.state = std::move(some_emails->state);
        std::ranges::move(some_emails->list, std::back_inserter(all.list));
        std::ranges::move(some_emails->not_found, std::back_inserter(all.not_found));
        first += count;
    }
    return all;
}

// Braces are no part of a URL, so the template is resolved when it has been filled in; a value may be in the host.
Result<http::Url> Api::url_of_blob(const std::string& blob) const {
    const auto text = http::expand_template(
        download_url_,
        {{"accountId", account_id_}, {"blobId", blob}, {"name", "message.eml"}, {"type", "message/rfc822"}});
    auto url = http::resolve(home_, text);
    if (!url) return url;
    if (auto status = check_origin(*url); !status) return status.error();
    return url;
}

Result<http::Response> Api::download(const std::string& blob, BodySink& sink) {
    auto url = url_of_blob(blob);
    if (!url) return url.error();
    http::Request request;
    request.url = std::move(*url);
    request.wants_message = true;
    return client_.stream(request, sink);
}

bool Api::halve_gets() {
    const auto before = std::exchange(limits_.objects_in_get, std::max<std::size_t>(limits_.objects_in_get / 2, 1));
    return before > 1;
}

bool Api::halve_sets() {
    const auto before = std::exchange(limits_.objects_in_set, std::max<std::size_t>(limits_.objects_in_set / 2, 1));
    return before > 1;
}

Error Api::fault(const http::Response& response, std::string_view what) {
    auto error = http::to_error(response, what);
    if (error.code == Errc::gone || error.code == Errc::auth) error.code = Errc::temporary;
    return error;
}

}  // namespace popgate::jmap
