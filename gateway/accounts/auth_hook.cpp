#include "gateway/accounts/auth_hook.hpp"

#include "backends/ascii.hpp"
#include "backends/http/client.hpp"
#include "backends/http/url.hpp"
#include "backends/registry.hpp"
#include "gateway/net/fiber.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <utility>

namespace popgate {

using namespace std::chrono_literals;

namespace {

constexpr auto hook_timeout = 10s;
constexpr std::chrono::seconds longest_wait = 30s;
constexpr std::size_t longest_text = 200;

std::string_view method_name(Proof::Method method) {
    switch (method) {
        case Proof::Method::apop: return "apop";
        case Proof::Method::cram_md5: return "cram-md5";
        case Proof::Method::certificate: return "external";
        case Proof::Method::token: return "oauthbearer";
        case Proof::Method::password:
        case Proof::Method::trusted_host: break;
    }
    return "plain";
}

/// As nginx does: what could end a header, or be taken for an escape, is one.
std::string escaped(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet > 0x20 && octet < 0x7F && c != '%')
            out += c;
        else
            out += {'%', digits[octet >> 4], digits[octet & 15]};
    }
    return out;
}

bool begins_with(std::string_view text, std::string_view word) {
    return equal_but_for_case(text.substr(0, word.size()), word);
}

Error later(std::string detail) { return {Errc::temporary, "logins cannot be checked now", std::move(detail)}; }

bool is_host(std::string_view text) {
    return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == ':';
    });
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Auth-Wait: so many seconds are to pass before the client hears of a refusal.
std::chrono::seconds wait_of(const http::Response& response) {
    const auto text = response.header("Auth-Wait");
    unsigned seconds = 0;
    const auto end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, seconds);
    if (error == std::errc::result_out_of_range) return longest_wait;
    return error == std::errc() && stop == end ? std::min(std::chrono::seconds(seconds), longest_wait) : 0s;
}

}  // namespace

AuthHook::AuthHook(std::string url, std::shared_ptr<const http::Upstream> upstream)
    : url_(std::move(url)), upstream_(std::move(upstream)) {}

AuthHook::~AuthHook() = default;

Result<std::unique_ptr<AuthHook>> AuthHook::make(const std::string& url) {
    if (!http::parse_url(url))
        return Error{Errc::permanent, '"' + url + "\" is no URL such as http://127.0.0.1:9000/auth", {}};
    BackendOptions options;
    options.connect_timeout = hook_timeout;
    options.command_timeout = hook_timeout;
    UpstreamLimits limits;
    limits.concurrent_per_account = 0;
    limits.concurrent_per_application = 1000;
    auto upstream = http::Upstream::make(options, limits);
    if (!upstream) return upstream.error();
    (*upstream)->longest_answer = 64 * 1024;
    (*upstream)->logs_answers = false;
    (*upstream)->patience = 0ms;
    return std::unique_ptr<AuthHook>(new AuthHook(url, std::move(*upstream)));
}

Result<HookAnswer> AuthHook::ask(Fiber& fiber, const Proof& proof, const ClientInfo& client) const {
    http::Request request;
    request.url = *http::parse_url(url_);
    request.follows_redirects = false;  // the password is in a header
    request.headers = {{"Auth-Method", std::string(method_name(proof.method))}, {"Auth-User", escaped(proof.user)},
                       {"Auth-Pass", escaped(proof.secret.reveal())},           {"Auth-Protocol", "pop3"},
                       {"Auth-Login-Attempt", std::to_string(client.attempt)},  {"Client-IP", escaped(client.address)}};
    if (!proof.challenge.empty()) request.headers.push_back({"Auth-Salt", escaped(proof.challenge)});
    if (!client.certificate_names.empty())
        request.headers.push_back({"Auth-SSL-Subject", escaped(client.certificate_names.front())});
    http::CredentialForm form;
    form.kind = http::CredentialForm::Kind::none;
    // No two logins share a connection's account: what is said of one is never told to another.
    http::Client asker(fiber, upstream_, "hook/" + proof.user + '/' + client.address,
                       *http::make_credential(form, {}, {}));
    auto response = asker.send(request);
    for (auto& header : request.headers) Secret::wipe(header.value);
    if (!response) return later("auth_url: " + response.error().text + " " + response.error().detail);
    if (!response->ok()) return later("auth_url: status " + std::to_string(response->status));
    auto answer = read_hook_answer(*response);
    if (!answer)
        if (const auto wait = wait_of(*response); wait > 0s) fiber.sleep_until(Clock::now() + wait);
    return answer;
}

Result<HookAnswer> read_hook_answer(http::Response& response) {
    const std::string status(response.header("Auth-Status").substr(0, longest_text));
    if (status.empty()) return later("auth_url: no Auth-Status");
    if (!equal_but_for_case(status, "OK")) {
        if (begins_with(status, "temporary") || response.header("Auth-Error-Code").starts_with('4'))
            return later("auth_url says: " + status);
        return Error{Errc::auth, "wrong user name or password", "auth_url says: " + status};
    }
    HookAnswer answer;
    answer.server = response.header("Auth-Server");
    answer.port = response.header("Auth-Port");
    answer.user = response.header("Auth-User");
    answer.password = Secret(response.header("Auth-Pass"));
    for (auto& header : response.headers)
        if (equal_but_for_case(header.name, "Auth-Pass")) Secret::wipe(header.value);
    const bool names_upstream = !answer.server.empty() || !answer.port.empty();
    if (names_upstream && (!is_host(answer.server) || !is_port(answer.port)))
        return later("auth_url: Auth-Server and Auth-Port name no server");
    return answer;
}

}  // namespace popgate
