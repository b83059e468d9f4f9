#include "backends/graph/api.hpp"

#include "gateway/observe/metrics.hpp"

#include <algorithm>

namespace popgate::graph {

namespace {

http::Header prefer(std::size_t page_size) {
    std::string value = "IdType=\"ImmutableId\"";
    if (page_size > 0) value += ", odata.maxpagesize=" + std::to_string(page_size);
    return {"Prefer", std::move(value)};
}

}  // namespace

Api::Api(Fiber& fiber, std::shared_ptr<const http::Upstream> upstream, std::string account,
         std::unique_ptr<http::Credential> credential, http::Url root, std::string owner)
    : client_(fiber, upstream, account, std::move(credential)),
      upstream_(std::move(upstream)),
      account_(std::move(account)),
      root_(std::move(root)),
      owner_(std::move(owner)) {}

Api::Api(const Api& of, http::Client client)
    : client_(std::move(client)),
      upstream_(of.upstream_),
      account_(of.account_),
      root_(of.root_),
      owner_(of.owner_),
      has_opened_(of.has_opened_) {}

std::shared_ptr<Api> Api::ahead(Fiber& fiber) const {
    auto client = client_.ahead(fiber, 1);
    return client ? std::shared_ptr<Api>(new Api(*this, std::move(*client))) : nullptr;
}

Result<http::Response> Api::get(const http::Url& url, std::size_t page_size) {
    http::Request request;
    request.url = url;
    request.headers = {prefer(page_size), {"Accept", "application/json"}};
    return client_.send(request);
}

Result<http::Response> Api::stream(const http::Url& url, BodySink& sink) {
    http::Request request;
    request.url = url;
    request.headers = {prefer(0)};
    request.wants_message = true;
    return client_.stream(request, sink);
}

Result<std::vector<InnerAnswer>> Api::batch(std::span<const InnerRequest> requests) {
    http::Request request;
    request.method = "POST";
    request.url = {root_.origin, root_.target + "/$batch"};
    request.headers = {prefer(0), {"Accept", "application/json"}};
    request.content_type = "application/json";
    request.body = to_batch(requests);
    request.may_repeat = false;
    const auto answered = client_.send(request);
    if (!answered) return answered.error();
    if (!answered->ok()) return failure(*answered, "the mail server refused what was to be changed");
    return parse_batch(answered->body, requests.size());
}

void Api::back_off(std::chrono::milliseconds wait) {
    metrics::upstream_throttled.add(metrics::BackendKind::graph);
    upstream_->limiter->back_off(account_, Clock::now() + wait);
}

http::Url Api::url(std::string_view path) const { return {root_.origin, root_.target + owner_ + std::string(path)}; }

Result<http::Url> Api::follow(std::string_view link) const {
    auto url = http::parse_url(link);
    if (!url) return url.error();
    if (url->origin != root_.origin)
        return Error{Errc::temporary, "the mail server does not answer as it should",
                     "a link to another origin: " + url->origin.to_string()};
    return url;
}

Error Api::failure(const http::Response& response, std::string_view what) const {
    auto error = http::to_error(response, what);
    const auto code = parse_error_code(response.body);
    if (code == "extensionError" || code == "MailboxNotEnabledForRESTAPI")
        return {Errc::permanent, "the mailbox is not one that Microsoft Graph can open", error.detail};
    if (error.code == Errc::auth && has_opened_)
        return {Errc::temporary, "the mail server no longer lets this session in", error.detail};
    // That one message is gone is said by those who asked for one.
    if (error.code == Errc::gone && has_opened_) error.code = Errc::temporary;
    return error;
}

}  // namespace popgate::graph
