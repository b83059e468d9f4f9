#pragma once

#include "gateway/oauth/provider.hpp"
#include "gateway/oauth/tokens.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What goes over the wire to and from a provider; pure. Everything that is read here comes from the network.
namespace popgate::oauth {

using Form = std::vector<std::pair<std::string_view, std::string>>;

/// application/x-www-form-urlencoded. A field without value is left out.
std::string encode_form(const Form& form);

/// Where a provider's endpoints are; an empty one is not there.
struct Endpoints {
    std::string issuer;  ///< "{tenantid}" in it stands for the tid claim (microsoft)
    std::string authorization;
    std::string token;
    std::string device;
    std::string userinfo;
    bool basic_only = false;  ///< a client secret goes in a header (client_secret_basic), not in the form
};

/// An HTTP answer, as far as it matters.
struct Heard {
    int status = 0;
    std::string_view body;
    std::optional<std::chrono::seconds> retry_after{};
    std::span<const Secret> sent{};  ///< what the request carried; never repeated, whatever the answer says
};

/// What was asked for: errors mean different things.
enum class Asked { refresh, code, device_poll, other };

/// `name` is the provider's, for texts. What the provider says goes to the detail with all that looks like a secret
/// struck out.
Answer<Tokens> read_tokens(const Heard& heard, Asked asked, std::string_view name);
Answer<DeviceCode> read_device_code(const Heard& heard, std::string_view name);
/// `issuer` must be the document's own (OpenID Connect Discovery §4.3), and every address https:, or http: of this
/// host.
Answer<Endpoints> read_discovery(const Heard& heard, std::string_view issuer, std::string_view name);
Answer<Identity> read_userinfo(const Heard& heard, std::string_view name);

/// What an ID token must say (OpenID Connect Core §3.1.3.7).
struct Expected {
    std::string issuer;  ///< as Endpoints::issuer; empty: whatever it says
    std::string client_id;
    std::string nonce;  ///< empty: none was sent
    std::int64_t now = 0;
    bool names_by_preferred_username = false;  ///< microsoft
};

/// Its signature is not looked at: it came from the token endpoint over TLS (§3.1.3.7, 6).
Answer<Identity> read_id_token(std::string_view token, const Expected& expected, std::string_view name);

/// The ID token of a token endpoint's answer; empty without one.
std::string id_token_of(std::string_view body);

/// What a provider says, for the log: on one line, cut, and without what could be a token.
std::string without_secrets(std::string_view text);

/// https:, or http: on a loopback address or "localhost".
bool is_safe_url(std::string_view url);

}  // namespace popgate::oauth
