#include "gateway/oauth/wire.hpp"

#include "backends/http/json.hpp"
#include "backends/http/url.hpp"
#include "gateway/oauth/jwt.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <stdexcept>

namespace popgate::oauth {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_token = 64 * 1024;
constexpr std::size_t longest_name = 1024;  // of codes, claims and addresses
constexpr std::size_t longest_detail = 300;
constexpr std::size_t shortest_struck = 41;  // longer than any id that helps a provider's support
constexpr auto longest_lifetime = std::chrono::seconds(24h * 365);
constexpr std::int64_t clock_skew = 300;

/// A parsed answer, in memory that is wiped: it holds tokens.
class Parsed {
public:
    explicit Parsed(std::string_view text)
        : memory_(4 * text.size() + 4096), resource_(memory_.data(), memory_.size()) {
        json::parse_options options;
        options.allow_invalid_utf8 = true;
        options.max_depth = 32;
        boost::system::error_code error;
        value_ = json::parse(text, error, json::storage_ptr(&resource_), options);
        is_good_ = !error && value_.is_object();
    }
    ~Parsed() {
        value_ = nullptr;
        OPENSSL_cleanse(memory_.data(), memory_.size());
    }
    Parsed(const Parsed&) = delete;
    Parsed& operator=(const Parsed&) = delete;

    explicit operator bool() const { return is_good_; }
    const json::value& operator*() const { return value_; }
    std::string text(std::string_view key) const { return http::text_of(value_, key).value_or(std::string()); }

private:
    std::vector<unsigned char> memory_;
    json::monotonic_resource resource_;
    json::value value_ = json::value(nullptr, &resource_);
    bool is_good_ = false;
};

bool is_visible(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

Refusal later(std::string_view name, std::string detail, std::optional<std::chrono::seconds> wait = {}) {
    return {Refusal::Kind::later, std::string(name) + " gives no tokens at the moment", std::move(detail), {}, wait};
}

Refusal::Kind kind_of(std::string_view code, Asked asked) {
    if (asked == Asked::device_poll) {
        if (is_one_of(code, {"authorization_pending", "slow_down"})) return Refusal::Kind::pending;
        if (is_one_of(code, {"access_denied", "authorization_declined", "expired_token", "bad_verification_code",
                             "invalid_grant"}))
            return Refusal::Kind::declined;
    }
    if (asked == Asked::code && is_one_of(code, {"invalid_grant", "access_denied", "interaction_required",
                                                 "login_required", "consent_required"}))
        return Refusal::Kind::declined;
    if (asked == Asked::refresh && is_one_of(code, {"invalid_grant", "interaction_required", "login_required",
                                                    "consent_required", "account_selection_required", "access_denied"}))
        return Refusal::Kind::sign_in;
    if (is_one_of(code, {"invalid_client", "invalid_scope", "invalid_target", "invalid_request",
                         "unsupported_grant_type", "unauthorized_client", "access_denied", "invalid_grant"}))
        return Refusal::Kind::setup;
    return Refusal::Kind::later;  // temporarily_unavailable, server_error, and whatever nobody has heard of
}

std::string text_for(Refusal::Kind kind, std::string_view name) {
    const std::string who(name);
    switch (kind) {
        case Refusal::Kind::sign_in: return who + " wants a new sign-in";
        case Refusal::Kind::setup: return who + " does not accept how popgate asks for tokens";
        case Refusal::Kind::pending: return who + " still waits for the sign-in";
        case Refusal::Kind::declined: return "the sign-in at " + who + " was declined, or took too long";
        case Refusal::Kind::later: break;
    }
    return who + " gives no tokens at the moment";
}

/// Some providers quote in an error what they were asked with.
std::string said(const Heard& heard, std::string_view words) {
    std::string text(words);
    const auto in_json = [](std::string secret) {
        for (std::size_t at = 0; (at = secret.find('/', at)) != std::string::npos; at += 2) secret.insert(at, 1, '\\');
        return secret;
    };
    std::vector<std::string> forms;
    for (const auto& secret : heard.sent)
        for (auto form : {secret.reveal(), http::encode_component(secret.reveal()), in_json(secret.reveal())})
            if (!form.empty()) forms.push_back(std::move(form));
    // One may be a part of another.
    std::ranges::sort(forms, std::ranges::greater{}, &std::string::size);
    for (const auto& form : forms) {
        std::string out;
        std::size_t from = 0;
        for (std::size_t at = 0; (at = text.find(form, from)) != std::string::npos; from = at + form.size())
            out.append(text, from, at - from).append("***");
        if (from > 0) text = out.append(text, from);
    }
    for (auto& form : forms) Secret::wipe(form);
    return without_secrets(text);
}

Refusal read_refusal(const Heard& heard, Asked asked, std::string_view name) {
    const auto status = "status " + std::to_string(heard.status);
    // Whatever it says, a server in trouble has not judged.
    if (heard.status >= 500 || heard.status == 429 || heard.status == 408 || heard.status < 400)
        return later(name, status + ": " + said(heard, heard.body), heard.retry_after);
    const Parsed body(heard.body);
    const auto code = body ? body.text("error") : std::string();
    if (code.empty() || code.size() > longest_name || !is_visible(code))
        return later(name, status + ": " + said(heard, heard.body), heard.retry_after);
    Refusal refusal;
    refusal.kind = kind_of(code, asked);
    refusal.text = text_for(refusal.kind, name);
    refusal.code = said(heard, code);
    refusal.detail = status + ", " + refusal.code;
    for (const auto* key : {"suberror", "error_subtype", "error_description"})
        if (const auto text = body.text(key); !text.empty()) refusal.detail += ": " + said(heard, text);
    if (code == "slow_down") refusal.wait = 5s;
    if (refusal.kind == Refusal::Kind::later) refusal.wait = heard.retry_after;
    return refusal;
}

std::chrono::seconds lifetime_of(const Parsed& body, std::string_view key, std::chrono::seconds standard) {
    const auto said = http::number_of(*body, key);
    if (!said || *said == 0) return standard;
    return std::chrono::seconds(std::min<std::uint64_t>(*said, static_cast<std::uint64_t>(longest_lifetime.count())));
}

bool is_loopback(const std::string& host) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    return error ? host == "localhost" : address.is_loopback();
}

}  // namespace

std::string without_secrets(std::string_view text) {
    const auto in_token = [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-._~+/=%").find(static_cast<char>(c)) != std::string_view::npos;
    };
    std::string out;
    while (!text.empty() && out.size() < longest_detail) {
        const auto run = static_cast<std::size_t>(std::ranges::find_if_not(text, in_token) - text.begin());
        if (run >= shortest_struck)
            out += "***";
        else
            out += text.substr(0, run);
        text.remove_prefix(run);
        if (text.empty()) break;
        const auto c = static_cast<unsigned char>(text.front());
        out += c < 0x20 || c == 0x7F ? ' ' : static_cast<char>(c);
        text.remove_prefix(1);
    }
    if (out.size() > longest_detail) out.resize(longest_detail);
    return out;
}

std::string encode_form(const Form& form) {
    std::string out;
    for (const auto& [key, value] : form) {
        if (value.empty()) continue;
        if (!out.empty()) out += '&';
        out += std::string(key) + '=' + http::encode_component(value);
    }
    return out;
}

bool is_safe_url(std::string_view url) {
    const auto parsed = http::parse_url(url);
    return parsed && (parsed->origin.tls || is_loopback(parsed->origin.host));
}

Answer<Tokens> read_tokens(const Heard& heard, Asked asked, std::string_view name) {
    if (heard.status != 200) return read_refusal(heard, asked, name);
    const Parsed body(heard.body);
    if (!body) return later(name, "status 200 without JSON");
    // Some servers send errors with 200.
    if (body.text("access_token").empty() && !body.text("error").empty()) {
        auto said = heard;
        said.status = 400;
        return read_refusal(said, asked, name);
    }
    Tokens tokens;
    for (const auto& [key, token] :
         {std::pair{"access_token", &tokens.access_token}, std::pair{"refresh_token", &tokens.refresh_token}}) {
        // A number's text is no token, and must not take the place of the one that is kept.
        if (const auto* value = http::find(*body, key); value && !value->is_string() && !value->is_null())
            return later(name, std::string("status 200 with an impossible ") + key);
        auto text = body.text(key);
        *token = Secret(text);
        Secret::wipe(text);
        if (token->reveal().size() > longest_token || !is_visible(token->reveal()))
            return later(name, std::string("status 200 with an impossible ") + key);
    }
    if (tokens.access_token.reveal().empty()) return later(name, "status 200 without access_token");
    tokens.lifetime = lifetime_of(body, "expires_in", tokens.lifetime);
    tokens.scope = without_secrets(body.text("scope"));
    return tokens;
}

Answer<DeviceCode> read_device_code(const Heard& heard, std::string_view name) {
    if (heard.status != 200) return read_refusal(heard, Asked::other, name);
    const Parsed body(heard.body);
    if (!body) return later(name, "status 200 without JSON");
    DeviceCode code;
    auto device_code = body.text("device_code");
    code.device_code = Secret(device_code);
    Secret::wipe(device_code);
    code.user_code = body.text("user_code");
    code.verification_url = body.text("verification_uri");
    if (code.verification_url.empty()) code.verification_url = body.text("verification_url");  // Google's spelling
    code.complete_verification_url = body.text("verification_uri_complete");
    const auto& secret = code.device_code.reveal();
    if (secret.empty() || secret.size() > longest_token || !is_visible(secret) || code.user_code.empty() ||
        code.user_code.size() > 64 ||
        !std::ranges::all_of(code.user_code, [](char c) { return c >= 0x20 && c < 0x7F; }) ||
        !is_safe_url(code.verification_url))
        return later(name, "status 200 without a device code that can be used");
    if (!is_safe_url(code.complete_verification_url)) code.complete_verification_url.clear();
    code.lifetime = lifetime_of(body, "expires_in", code.lifetime);
    code.interval = std::min(lifetime_of(body, "interval", code.interval), std::chrono::seconds(5min));
    return code;
}

Answer<Endpoints> read_discovery(const Heard& heard, std::string_view issuer, std::string_view name) {
    if (heard.status != 200) return later(name, "discovery: status " + std::to_string(heard.status), heard.retry_after);
    const Parsed body(heard.body);
    if (!body) return later(name, "discovery: no JSON");
    const auto wrong = [&](std::string what) {
        return Refusal{Refusal::Kind::setup,
                       std::string(name) + " has no discovery document that can be used",
                       std::move(what),
                       {},
                       {}};
    };
    Endpoints found;
    found.issuer = body.text("issuer");
    const auto without_slash = [](std::string_view url) {
        if (url.ends_with('/')) url.remove_suffix(1);
        return url;
    };
    if (without_slash(found.issuer) != without_slash(issuer))
        return wrong("it is for the issuer " + without_secrets(found.issuer) + ", not " + std::string(issuer));
    for (const auto& [key, url] :
         {std::pair{"authorization_endpoint", &found.authorization}, std::pair{"token_endpoint", &found.token},
          std::pair{"device_authorization_endpoint", &found.device}, std::pair{"userinfo_endpoint", &found.userinfo}}) {
        *url = body.text(key);
        if (!url->empty() && !is_safe_url(*url)) return wrong(std::string(key) + " is no https: address");
    }
    if (found.token.empty()) return wrong("it names no token_endpoint");
    if (const auto* methods = http::find(*body, "token_endpoint_auth_methods_supported");
        methods && methods->is_array()) {
        const auto offers = [&](std::string_view method) {
            return std::ranges::any_of(methods->get_array(), [&](const json::value& each) {
                return each.is_string() && each.get_string() == method;
            });
        };
        found.basic_only = offers("client_secret_basic") && !offers("client_secret_post");
    } else {
        found.basic_only = true;  // the default (OpenID Connect Discovery §3)
    }
    return found;
}

Answer<Identity> read_userinfo(const Heard& heard, std::string_view name) {
    if (heard.status != 200) return later(name, "userinfo: status " + std::to_string(heard.status), heard.retry_after);
    const Parsed body(heard.body);
    if (!body) return later(name, "userinfo: no JSON");
    Identity identity;
    identity.subject = body.text("sub");
    identity.email = body.text("email");
    identity.email_verified = body.text("email_verified") != "false";
    if (identity.subject.empty() || identity.subject.size() > longest_name || identity.email.size() > longest_name)
        return later(name, "userinfo: no sub");
    return identity;
}

Answer<Identity> read_id_token(std::string_view token, const Expected& expected, std::string_view name) {
    const auto wrong = [&](const char* what) {
        return Refusal{Refusal::Kind::declined,
                       "who has signed in at " + std::string(name) + " cannot be told",
                       std::string("ID token: ") + what,
                       {},
                       {}};
    };
    const auto first = token.find('.');
    const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.size() > longest_token) return wrong("not three parts");
    const auto decoded = decode_base64url(token.substr(first + 1, second - first - 1));
    if (!decoded) return wrong("no base64url");
    const Parsed claims(*decoded);
    if (!claims) return wrong("no JSON");

    Identity identity;
    identity.issuer = claims.text("iss");
    identity.subject = claims.text("sub");
    if (identity.subject.empty() || identity.subject.size() > longest_name || identity.issuer.size() > longest_name)
        return wrong("no sub");
    if (!expected.issuer.empty()) {
        auto issuer = expected.issuer;
        // Google's own documents have it in both forms.
        if (identity.issuer == "accounts.google.com") identity.issuer = "https://" + identity.issuer;
        constexpr std::string_view tenant = "{tenantid}";
        if (const auto at = issuer.find(tenant); at != std::string::npos)
            issuer.replace(at, tenant.size(), claims.text("tid"));
        if (identity.issuer != issuer) return wrong("of another issuer");
    }
    const auto* audience = http::find(*claims, "aud");
    const auto is_ours = [&](const json::value& each) {
        return each.is_string() && each.get_string() == expected.client_id;
    };
    const bool is_for_us = audience && (is_ours(*audience) ||
                                        (audience->is_array() && std::ranges::any_of(audience->get_array(), is_ours)));
    if (!is_for_us) return wrong("for another client");
    if (const auto party = claims.text("azp"); !party.empty() && party != expected.client_id)
        return wrong("for another party");
    const auto expires = http::number_of(*claims, "exp");
    if (!expires || static_cast<std::int64_t>(std::min<std::uint64_t>(*expires, INT64_MAX)) < expected.now - clock_skew)
        return wrong("has expired");
    identity.nonce = claims.text("nonce");
    if (!expected.nonce.empty() && identity.nonce != expected.nonce) return wrong("of another sign-in");
    identity.email = claims.text("email");
    identity.email_verified = claims.text("email_verified") != "false";
    if (identity.email.empty() && expected.names_by_preferred_username)
        identity.email = claims.text("preferred_username");
    if (identity.email.size() > longest_name) return wrong("an impossible address");
    return identity;
}

std::string id_token_of(std::string_view body) {
    const Parsed parsed(body);
    return parsed ? parsed.text("id_token") : std::string();
}

void throw_exception_from_error(const Refusal& refusal, const boost::source_location& where) {
    throw std::logic_error("unchecked answer at " + where.to_string() + ": " + refusal.text);
}

}  // namespace popgate::oauth
