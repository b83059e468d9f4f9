#include "gateway/pop3/sasl.hpp"

#include "backends/ascii.hpp"
#include "gateway/pop3/digest.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace popgate::pop3 {

namespace {

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

constexpr std::pair<std::string_view, Mechanism> mechanisms[] = {
    {"PLAIN", Mechanism::plain},       {"LOGIN", Mechanism::login},     {"CRAM-MD5", Mechanism::cram_md5},
    {"EXTERNAL", Mechanism::external}, {"XOAUTH2", Mechanism::xoauth2}, {"OAUTHBEARER", Mechanism::oauthbearer},
};

using Step = SaslExchange::Step;
using Fault = SaslExchange::Fault;

Step take_plain(std::string_view response) {
    const auto first = response.find('\0');
    if (first == std::string::npos) return Fault::malformed;
    const auto second = response.find('\0', first + 1);
    if (second == std::string::npos || response.find('\0', second + 1) != std::string::npos) return Fault::malformed;
    const auto authorization = response.substr(0, first);
    const auto user = response.substr(first + 1, second - first - 1);
    if (!authorization.empty() && authorization != user) return Fault::other_identity;
    return Proof{Proof::Method::password, std::string(user), Secret(response.substr(second + 1)), {}};
}

/// "user digest"
Step take_digest(std::string_view response, const std::string& challenge) {
    const auto space = response.rfind(' ');
    if (space == std::string_view::npos || !is_md5(response.substr(space + 1))) return Fault::malformed;
    return Proof{Proof::Method::cram_md5, std::string(response.substr(0, space)), Secret(response.substr(space + 1)),
                 challenge};
}

/// A token as RFC 6750 §2.1 has it, with what else is found in the wild.
bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

/// What stands behind "Bearer ", however that is written.
Step take_bearer(std::string user, std::string_view value) {
    constexpr std::string_view scheme = "BEARER ";
    if (!equal_but_for_case(value.substr(0, scheme.size()), scheme) || !is_token(value.substr(scheme.size())))
        return Fault::malformed;
    return Proof{Proof::Method::token, std::move(user), Secret(value.substr(scheme.size())), {}};
}

/// "key=value^A", taken off `text`; an empty key where there is none.
std::pair<std::string_view, std::string_view> take_pair(std::string_view& text) {
    const auto end = text.find('\x01');
    const auto pair = text.substr(0, end);
    const auto equals = pair.find('=');
    if (end == std::string_view::npos || equals == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
    return {pair.substr(0, equals), pair.substr(equals + 1)};
}

Step take_xoauth2(std::string_view response) {
    const auto [user_key, user] = take_pair(response);
    const auto [auth_key, auth] = take_pair(response);
    if (user_key != "user" || auth_key != "auth" || response != "\x01") return Fault::malformed;
    return take_bearer(std::string(user), auth);
}

Step take_oauthbearer(std::string_view response) {
    // "n,a=user,^A": no channel binding, and whose mailbox is meant (RFC 5801 §4). Without a name it is nobody's.
    if (!response.starts_with("n,a=") && !response.starts_with("y,a=")) return Fault::malformed;
    response.remove_prefix(4);
    const auto end = response.find(",\x01");
    if (end == std::string_view::npos) return Fault::malformed;
    std::string user;
    for (auto name = response.substr(0, end); !name.empty();) {
        const auto escape = name.substr(0, 3);
        if (name.front() == ',' || (name.front() == '=' && escape != "=2C" && escape != "=3D")) return Fault::malformed;
        user += escape == "=2C" ? ',' : name.front();  // "=3D" is '='
        name.remove_prefix(name.front() == '=' ? 3 : 1);
    }
    response.remove_prefix(end + 2);
    std::string_view auth;
    while (response != "\x01") {
        const auto [key, value] = take_pair(response);
        if (key.empty() || (key == "auth" && !auth.empty())) return Fault::malformed;
        if (key == "auth") auth = value;
    }
    return take_bearer(std::move(user), auth);
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string decoded;
    decoded.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        auto group = text.substr(i, 4);
        std::size_t padding = 0;
        if (i + 4 == text.size())
            while (padding < 2 && group[3 - padding] == '=') ++padding;
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const int value = j >= 4 - padding ? 0 : base64_value(group[j]);
            if (value < 0) return std::nullopt;
            bits = bits << 6 | static_cast<std::uint32_t>(value);
        }
        if ((padding == 1 && (bits & 0xFF)) || (padding == 2 && (bits & 0xFFFF))) return std::nullopt;
        for (std::size_t j = 0; j < 3 - padding; ++j) decoded += static_cast<char>(bits >> (16 - 8 * j) & 0xFF);
    }
    return decoded;
}

std::string encode_base64(std::string_view octets) {
    static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string encoded;
    for (std::size_t i = 0; i < octets.size(); i += 3) {
        const auto octet = [&](std::size_t at) {
            return at < octets.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(octets[at])) : 0;
        };
        const auto bits = octet(i) << 16 | octet(i + 1) << 8 | octet(i + 2);
        for (std::size_t j = 0; j < 4; ++j)
            encoded += i + j > octets.size() ? '=' : alphabet[bits >> (18 - 6 * j) & 63];
    }
    return encoded;
}

std::string_view name_of(Mechanism mechanism) {
    for (const auto& [name, meaning] : mechanisms)
        if (meaning == mechanism) return name;
    return {};
}

std::optional<Mechanism> find_mechanism(std::string_view name) {
    for (const auto& [known, mechanism] : mechanisms)
        if (equal_but_for_case(name, known)) return mechanism;
    return std::nullopt;
}

SaslExchange::Step SaslExchange::start(std::optional<std::string_view> initial_response) {
    if (!initial_response) {
        if (mechanism_ == Mechanism::login) return Challenge{"VXNlcm5hbWU6"};
        return Challenge{mechanism_ == Mechanism::cram_md5 ? encode_base64(challenge_) : std::string()};
    }
    // The server speaks first (RFC 2195 §2).
    if (mechanism_ == Mechanism::cram_md5) return Fault::malformed;
    if (*initial_response == "=") return take({});
    return on_response(*initial_response);
}

SaslExchange::Step SaslExchange::on_response(std::string_view line) {
    if (line == "*") return Fault::cancelled;
    auto decoded = decode_base64(line);
    if (!decoded) return Fault::malformed;
    auto step = take(*decoded);
    Secret::wipe(*decoded);
    return step;
}

SaslExchange::Step SaslExchange::take(const std::string& response) {
    switch (mechanism_) {
        case Mechanism::plain: return take_plain(response);
        case Mechanism::cram_md5: return take_digest(response, challenge_);
        case Mechanism::external: return Proof{Proof::Method::certificate, response, {}, {}};
        case Mechanism::oauthbearer: return take_oauthbearer(response);
        case Mechanism::xoauth2: return take_xoauth2(response);
        case Mechanism::login: break;
    }
    return take_login(response);
}

SaslExchange::Step SaslExchange::take_login(const std::string& response) {
    if (response.find('\0') != std::string::npos) return Fault::malformed;
    if (!user_) {
        user_ = response;
        return Challenge{"UGFzc3dvcmQ6"};
    }
    return Proof{Proof::Method::password, std::move(*user_), Secret(response), {}};
}

std::string_view token_refusal(Mechanism mechanism) {
    // {"status":"invalid_token","scope":"mail"}, and {"status":"401","schemes":"bearer","scope":"mail"}
    return mechanism == Mechanism::oauthbearer ? "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJtYWlsIn0="
                                               : "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=";
}

}  // namespace popgate::pop3
