#include "gateway/oauth/provider.hpp"

#include "backends/http/client.hpp"
#include "backends/http/url.hpp"
#include "backends/registry.hpp"
#include "gateway/accounts/secret_file.hpp"
#include "gateway/oauth/jwt.hpp"
#include "gateway/oauth/presets.hpp"
#include "gateway/oauth/wire.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace popgate::oauth {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr auto discovery_lifetime = 1h;
constexpr auto discovery_pause = 1min;  // after one that failed
constexpr std::size_t longest_answer = 256 * 1024;
constexpr std::int64_t service_assertion_lifetime = 3600;  // the longest that Google takes

constexpr std::array<std::string_view, 6> secret_fields = {"refresh_token",    "code",      "code_verifier",
                                                           "client_assertion", "assertion", "device_code"};

std::int64_t now() { return static_cast<std::int64_t>(std::time(nullptr)); }

/// With what a service account signs.
struct ServiceAccount {
    std::string email;
    std::string key_id;
    SigningKey key;
};

Result<ServiceAccount> read_service_account(const Secret& text) {
    boost::system::error_code error;
    const auto parsed = json::parse(text.reveal(), error);
    const auto member = [&](const char* key) -> std::string {
        const auto* object = error ? nullptr : parsed.if_object();
        const auto* value = object ? object->if_contains(key) : nullptr;
        return value && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    auto pem = member("private_key");
    auto key = SigningKey::from_pem(Secret(pem));
    Secret::wipe(pem);
    if (member("client_email").empty() || !key)
        return Error{Errc::permanent, "is no service account's JSON file with client_email and private_key", {}};
    return ServiceAccount{member("client_email"), member("private_key_id"), std::move(*key)};
}

std::optional<std::chrono::seconds> retry_after(const http::Response& response) {
    const auto text = response.header("Retry-After");
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return std::min(std::chrono::seconds(seconds), std::chrono::seconds(1h));
}

/// As a credential it is none: what proves popgate is in the form.
std::unique_ptr<http::Credential> no_credential() {
    http::CredentialForm form;
    form.kind = http::CredentialForm::Kind::none;
    return *http::make_credential(form, {}, {});
}

class HttpProvider final : public Provider {
public:
    HttpProvider(Settings settings, std::string scopes, std::shared_ptr<const http::Upstream> upstream,
                 std::function<Deadline()> clock)
        : settings_(std::move(settings)),
          scopes_(std::move(scopes)),
          name_(display_name(settings_)),
          upstream_(std::move(upstream)),
          clock_(std::move(clock)) {}

    Status read_files() {
        if (!settings_.client_secret_file.empty()) {
            auto secret = read_secret_file(settings_.client_secret_file);
            if (!secret) return Error{Errc::permanent, "client_secret_file: " + secret.error().text, {}};
            client_secret_ = std::move(*secret);
        } else {
            client_secret_ = Secret(settings_.client_secret);
            Secret::wipe(settings_.client_secret);
        }
        if (!settings_.client_certificate.empty()) {
            const auto certificate = read_secret_file(settings_.client_certificate);
            if (!certificate) return Error{Errc::permanent, "client_certificate: " + certificate.error().text, {}};
            const auto key = read_secret_file(settings_.client_key);
            if (!key) return Error{Errc::permanent, "client_key: " + key.error().text, {}};
            auto read = read_client_certificate(*certificate, *key);
            if (!read) return read.error();
            certificate_ = std::move(*read);
        }
        if (settings_.grant == Grant::service_account) {
            const auto text = read_secret_file(settings_.service_account_file);
            if (!text) return Error{Errc::permanent, "service_account_file: " + text.error().text, {}};
            auto account = read_service_account(*text);
            if (!account)
                return Error{Errc::permanent,
                             "service_account_file: " + settings_.service_account_file + " " + account.error().text,
                             {}};
            service_account_ = std::move(*account);
        }
        return {};
    }

    const Settings& settings() const override { return settings_; }
    const std::string& scopes() const override { return scopes_; }

    Answer<Tokens> refresh(Fiber& fiber, const Secret& refresh_token) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        Form form = {{"grant_type", "refresh_token"}, {"refresh_token", refresh_token.reveal()}};
        // Microsoft's refresh tokens are for any of its services: the scope says for which this token is.
        if (settings_.provider == "microsoft") form.emplace_back("scope", scopes_);
        return ask_for_tokens(fiber, *places, std::move(form), Asked::refresh, {}, refresh_token);
    }

    Answer<Tokens> for_application(Fiber& fiber, const std::string& user) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        if (!service_account_)
            return ask_for_tokens(fiber, *places, {{"grant_type", "client_credentials"}, {"scope", scopes_}},
                                  Asked::other, {}, {});
        const json::object claims{{"iss", service_account_->email},
                                  {"scope", scopes_},
                                  {"aud", places->token},
                                  {"iat", now()},
                                  {"exp", now() + service_assertion_lifetime},
                                  {"sub", user}};
        json::object header{{"alg", "RS256"}, {"typ", "JWT"}};
        if (!service_account_->key_id.empty()) header["kid"] = service_account_->key_id;
        const auto assertion =
            service_account_->key.sign(json::serialize(header), json::serialize(claims), SigningKey::Algorithm::rs256);
        return post(fiber, places->token,
                    {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"}, {"assertion", assertion}}, {},
                    [&](const Heard& heard) { return read_tokens(heard, Asked::other, name_); });
    }

    Answer<bool> offers_device_flow(Fiber& fiber) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        return !places->device.empty();
    }

    Answer<DeviceCode> begin_device_flow(Fiber& fiber) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        if (places->device.empty()) return not_offered("a sign-in with a code on another device");
        Form form = {{"scope", sign_in_scopes(settings_, scopes_)}};
        const auto header = prove(*places, form);
        return post(fiber, places->device, std::move(form), header,
                    [&](const Heard& heard) { return read_device_code(heard, name_); });
    }

    Answer<Tokens> poll_device_flow(Fiber& fiber, const DeviceCode& code) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        return ask_for_tokens(fiber, *places,
                              {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                               {"device_code", code.device_code.reveal()}},
                              Asked::device_poll, std::string(), {});
    }

    Answer<AuthorizationRequest> begin_browser_flow(Fiber& fiber, const std::string& redirect_uri,
                                                    const std::string& login_hint) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        if (places->authorization.empty()) return not_offered("a sign-in in a browser");
        AuthorizationRequest request;
        request.state = random_token(24);
        request.nonce = random_token(24);
        request.verifier = Secret(random_token(48));
        request.redirect_uri = redirect_uri;
        Form form = {{"response_type", "code"},
                     {"client_id", settings_.client_id},
                     {"redirect_uri", redirect_uri},
                     {"scope", sign_in_scopes(settings_, scopes_)},
                     {"state", request.state},
                     {"nonce", request.nonce},
                     {"code_challenge", sha256_base64url(request.verifier.reveal())},
                     {"code_challenge_method", "S256"},
                     {"login_hint", login_hint}};
        // Without these there is no refresh token, or none at a second sign-in.
        if (settings_.provider == "google") form.emplace_back("access_type", "offline");
        if (settings_.provider != "microsoft") form.emplace_back("prompt", "consent");
        const bool has_query = places->authorization.find('?') != std::string::npos;
        request.url = places->authorization + (has_query ? '&' : '?') + encode_form(form);
        return request;
    }

    Answer<Tokens> finish_browser_flow(Fiber& fiber, const AuthorizationRequest& request,
                                       const std::string& code) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        return ask_for_tokens(fiber, *places,
                              {{"grant_type", "authorization_code"},
                               {"code", code},
                               {"redirect_uri", request.redirect_uri},
                               {"code_verifier", request.verifier.reveal()}},
                              Asked::code, request.nonce, {});
    }

    Answer<Identity> identify(Fiber& fiber, const Secret& access_token) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        if (places->userinfo.empty()) return not_offered("to tell who has signed in");
        http::Request request;
        request.headers.push_back({"Authorization", "Bearer " + access_token.reveal()});
        request.follows_redirects = false;  // the token is for this place alone
        std::vector<Secret> sent;
        sent.emplace_back(access_token.reveal());
        auto identity = ask(
            fiber, places->userinfo, std::move(request), {},
            [&](const Heard& heard) { return read_userinfo(heard, name_); }, sent);
        if (identity) identity->issuer = places->issuer;
        return identity;
    }

    Answer<std::string> issuer(Fiber& fiber) const override {
        const auto places = endpoints(fiber);
        if (!places) return places.error();
        // With a place for a tenant in it, it is a pattern.
        return places->issuer.find('{') == std::string::npos ? places->issuer : std::string();
    }

private:
    Refusal not_offered(const char* what) const {
        return {Refusal::Kind::setup, name_ + " does not offer " + what, {}, {}, {}};
    }

    /// A discovery document that is too old is better than none, and than to wait for a provider that is away.
    Answer<Endpoints> endpoints(Fiber& fiber) const {
        if (auto known = known_endpoints(settings_)) return std::move(*known);
        {
            const std::lock_guard lock(mutex_);
            if (discovered_ && clock_() < discovered_until_) return *discovered_;
            if (discovered_) discovered_until_ = clock_() + discovery_pause;  // whoever comes meanwhile takes it
        }
        auto base = settings_.issuer;
        while (base.ends_with('/')) base.pop_back();
        auto found = ask(fiber, base + "/.well-known/openid-configuration", {}, {},
                         [&](const Heard& heard) { return read_discovery(heard, settings_.issuer, name_); });
        const std::lock_guard lock(mutex_);
        if (!found) {
            if (discovered_) return *discovered_;
            return found;
        }
        if (!settings_.authorization_url.empty()) found->authorization = settings_.authorization_url;
        if (!settings_.token_url.empty()) found->token = settings_.token_url;
        if (!settings_.device_url.empty()) found->device = settings_.device_url;
        discovered_ = *found;
        discovered_until_ = clock_() + discovery_lifetime;
        return found;
    }

    /// Adds what proves popgate to the form (RFC 6749 §2.3.1, RFC 7523 §2.2), or gives it as the value of a header.
    Secret prove(const Endpoints& places, Form& form) const {
        if (certificate_) {
            form.emplace_back("client_id", settings_.client_id);
            form.emplace_back("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            form.emplace_back("client_assertion", client_assertion(*certificate_, settings_.client_id, places.token,
                                                                   settings_.provider == "microsoft", now()));
            return {};
        }
        if (!client_secret_.reveal().empty() && places.basic_only) {
            auto secret = http::encode_component(client_secret_.reveal());
            auto header = http::basic_authorization(http::encode_component(settings_.client_id), secret);
            Secret value(header);
            Secret::wipe(secret);
            Secret::wipe(header);
            return value;
        }
        form.emplace_back("client_id", settings_.client_id);
        form.emplace_back("client_secret", client_secret_.reveal());
        return {};
    }

    /// `nonce`: a sign-in, of which an ID token is read if there is one; nothing: none is expected.
    Answer<Tokens> ask_for_tokens(Fiber& fiber, const Endpoints& places, Form form, Asked asked,
                                  const std::optional<std::string>& nonce, const Secret& whose) const {
        const auto header = prove(places, form);
        return post(
            fiber, places.token, std::move(form), header,
            [&](const Heard& heard) -> Answer<Tokens> {
                auto tokens = read_tokens(heard, asked, name_);
                if (!tokens || !nonce) return tokens;
                const auto id_token = id_token_of(heard.body);
                if (id_token.empty()) return tokens;
                auto identity = read_id_token(
                    id_token, {places.issuer, settings_.client_id, *nonce, now(), settings_.provider == "microsoft"},
                    name_);
                if (!identity) return identity.error();
                tokens->identity = std::move(*identity);
                return tokens;
            },
            whose);
    }

    template <class Read>
    // NOLINTNEXTLINE(performance-unnecessary-value-param): its own copy of the form, because it is wiped
    auto post(Fiber& fiber, const std::string& url, Form form, const Secret& authorization, Read read,
              const Secret& whose = {}) const -> decltype(read(Heard{})) {
        http::Request request;
        request.method = "POST";
        request.body = encode_form(form);
        request.content_type = "application/x-www-form-urlencoded";
        // A refresh token or a code may be good for one time only.
        request.may_repeat = false;
        if (!authorization.reveal().empty()) request.headers.push_back({"Authorization", authorization.reveal()});
        std::vector<Secret> sent;
        sent.emplace_back(client_secret_.reveal());
        if (const auto space = authorization.reveal().find(' '); space != std::string::npos)
            sent.emplace_back(authorization.reveal().substr(space + 1));
        for (auto& [key, value] : form) {
            if (std::ranges::find(secret_fields, key) != secret_fields.end()) sent.emplace_back(value);
            Secret::wipe(value);
        }
        return ask(fiber, url, std::move(request), whose, read, sent);
    }

    /// `whose`: what the request is for, so that a provider that has enough of one account is not kept from others.
    template <class Read>
    auto ask(Fiber& fiber, const std::string& url, http::Request request, const Secret& whose, Read read,
             const std::vector<Secret>& sent = {}) const -> decltype(read(Heard{})) {
        const auto parsed = http::parse_url(url);
        if (!parsed) return Refusal{Refusal::Kind::setup, name_ + " has an address that cannot be used", url, {}, {}};
        request.url = *parsed;
        request.headers.push_back({"Accept", "application/json"});
        const auto account = whose.reveal().empty() ? std::string() : sha256_base64url(whose.reveal()).substr(0, 16);
        http::Client client(fiber, upstream_, account, no_credential());
        auto response = client.send(request);
        Secret::wipe(request.body);
        for (auto& header : request.headers) Secret::wipe(header.value);
        if (!response) {
            const auto& error = response.error();
            return Refusal{Refusal::Kind::later,
                           name_ + " gives no tokens at the moment",
                           error.text + (error.detail.empty() ? "" : ": " + without_secrets(error.detail)),
                           {},
                           {}};
        }
        auto answer = read(Heard{response->status, response->body, retry_after(*response), sent});
        Secret::wipe(response->body);
        return answer;
    }

    Settings settings_;
    std::string scopes_;
    std::string name_;
    std::shared_ptr<const http::Upstream> upstream_;
    std::function<Deadline()> clock_;
    Secret client_secret_;
    std::optional<ClientCertificate> certificate_;
    std::optional<ServiceAccount> service_account_;

    mutable std::mutex mutex_;
    mutable std::optional<Endpoints> discovered_;
    mutable Deadline discovered_until_{};
};

}  // namespace

Result<std::shared_ptr<const Provider>> Provider::make(const Settings& settings, std::string_view backend_url,
                                                       std::function<Deadline()> clock) {
    const auto bad = [&](const std::string& text) {
        return Error{Errc::permanent, "oauth \"" + settings.name + "\": " + text, {}};
    };
    if (const auto problems = check(settings); !problems.empty())
        return bad(problems.front().key + ": " + problems.front().text);
    const auto kind = backend_url.substr(0, backend_url.find(':'));
    auto scopes = scopes_for(settings, kind);
    if (scopes.empty() && settings.provider != "")
        return bad("scopes: is missing: what " + display_name(settings) + " wants for " + std::string(kind) +
                   ": is not known");
    BackendOptions options;
    options.ca_file = settings.ca_file;
    options.http_proxy = settings.http_proxy;
    options.connect_timeout = std::min<std::chrono::milliseconds>(settings.timeout, 30s);
    options.command_timeout = settings.timeout;
    UpstreamLimits limits;
    limits.concurrent_per_account = 16;
    auto upstream = http::Upstream::make(options, limits);
    if (!upstream) return bad(upstream.error().text);
    (*upstream)->longest_answer = longest_answer;
    (*upstream)->logs_answers = false;
    (*upstream)->patience = 5s;  // who asks has a client that waits, or asks again later
    auto provider = std::make_shared<HttpProvider>(settings, std::move(scopes), std::move(*upstream), std::move(clock));
    if (auto status = provider->read_files(); !status) return bad(status.error().text);
    return std::shared_ptr<const Provider>(std::move(provider));
}

}  // namespace popgate::oauth
