#include "backends/rest/api.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace popgate::rest {

namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// Puts JSON values where their {names} are; what was put in is not looked at again.
std::string fill(std::string_view text, const std::vector<std::pair<std::string_view, boost::json::value>>& values) {
    std::string out;
    while (!text.empty()) {
        const auto value = std::ranges::find_if(values, [&](const auto& each) { return text.starts_with(each.first); });
        if (value != values.end()) out += boost::json::serialize(value->second);
        const auto used = value != values.end() ? value->first.size() : std::max<std::size_t>(text.find('{', 1), 1);
        if (value == values.end()) out += text.substr(0, used);
        text.remove_prefix(std::min(used, text.size()));
    }
    return out;
}

bool has_sign(const http::Response& response, std::string_view text) {
    const auto sign = parse_sign(text);
    if (sign.status == 0 || response.status != static_cast<int>(sign.status)) return false;
    // A page in HTML is no API's answer: a proxy's, or that to a path which the API does not have.
    if (sign.text.empty() && response.header("Content-Type").starts_with("text/html")) return false;
    return response.body.find(sign.text) != std::string::npos;
}

}  // namespace

std::string expand_user(std::string_view text, std::string_view user) {
    const auto at_sign = user.rfind('@');
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto rest = text.substr(i + 1);
        const bool is_octet = rest.size() >= 2 && is_hex(rest[0]) && is_hex(rest[1]);
        if (text[i] != '%' || rest.empty() || is_octet) {
            out += text[i];
            continue;
        }
        ++i;
        if (rest[0] == 'u') out += http::encode_component(user);
        if (rest[0] == 'n') out += http::encode_component(user.substr(0, at_sign));
        if (rest[0] == 'd' && at_sign != std::string_view::npos)
            out += http::encode_component(user.substr(at_sign + 1));
    }
    return out;
}

Api::Api(std::unique_ptr<http::Client> client, http::Url root, std::shared_ptr<const Description> description,
         std::string user, bool has_own_password)
    : client_(std::move(client)),
      root_(std::move(root)),
      description_(std::move(description)),
      user_(std::move(user)),
      has_own_password_(has_own_password) {}

std::shared_ptr<Api> Api::ahead(Fiber& fiber) const {
    auto client = client_->ahead(fiber, 1);
    if (!client) return nullptr;
    auto other = std::make_shared<Api>(std::make_unique<http::Client>(std::move(*client)), root_, description_, user_,
                                       has_own_password_);
    other->has_opened_ = has_opened_;
    return other;
}

http::Request Api::request(std::string method, std::string_view url, const Values& values) const {
    http::Request request;
    request.method = std::move(method);
    request.url = root_;
    // The user's name first: encoded, it has no braces that could be taken for a place.
    request.url.target += http::expand_template(expand_user(url, user_), values);
    return request;
}

Status Api::read(std::string_view url, const Values& values, ListStream& list, std::string_view what) {
    auto asked = request("GET", url, values);
    asked.headers.push_back({"Accept", "application/json"});
    const auto answered = client_->stream(asked, list);
    if (!answered && answered.error().code != Errc::sink_closed) return failure(answered.error());
    if (answered && !answered->ok()) return failure(*answered, what);
    return list.finish();
}

Result<http::Response> Api::stream(std::string_view url, const Values& values, bool may_be_empty, BodySink& sink) {
    auto asked = request("GET", url, values);
    asked.wants_message = !may_be_empty;
    auto answered = client_->stream(asked, sink);
    if (!answered) return failure(answered.error());
    return answered;
}

Result<http::Response> Api::call(const Call& call, Values values, const std::vector<std::string>& ids,
                                 const std::string& target) {
    if (ids.size() == 1) values.emplace_back("id", ids.front());
    values.emplace_back("target", target);
    auto asked = request(call.method, call.url, values);
    if (!call.body.empty()) {
        asked.content_type = "application/json";
        asked.body = fill(call.body, {{"{target}", boost::json::value(target)},
                                      {"{ids}", boost::json::array(ids.begin(), ids.end())},
                                      {"{id}", boost::json::value(ids.front())}});
    }
    // Of a lost answer nobody knows whether the order was obeyed; another one could copy a message twice.
    asked.may_repeat = asked.method != "POST";
    auto answered = client_->send(asked);
    if (!answered) return failure(answered.error());
    return answered;
}

bool Api::is_gone(const http::Response& response) const {
    return has_sign(response, description_->gone) || has_sign(response, description_->gone_too);
}

Error Api::failure(const http::Response& response, std::string_view what) const {
    auto error = http::to_error(response, what);
    if (response.status == static_cast<int>(description_->refused))
        error = {Errc::auth, "the mail server refuses the password", error.detail};
    return failure(std::move(error));
}

Error Api::failure(Error error) const {
    if (error.code != Errc::auth || (has_own_password_ && !has_opened_)) return error;
    return {Errc::temporary,
            has_own_password_ ? "the mail server no longer accepts the password"
                              : "the mail server does not accept popgate's token",
            error.detail};
}

}  // namespace popgate::rest
