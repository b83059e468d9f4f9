#pragma once

#include "gateway/accounts/proof.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace popgate::pop3 {

/// Strict base64 (RFC 4648 §4): padding required, no white space, no stray bits. Nothing when it is not that.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view octets);

/// What AUTH offers.
enum class Mechanism { plain, login, cram_md5, external, oauthbearer, xoauth2 };

std::string_view name_of(Mechanism mechanism);
/// Nothing when it is not known. Its case does not matter.
std::optional<Mechanism> find_mechanism(std::string_view name);

/// The server's half of AUTH PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), EXTERNAL (RFC 4422 appendix A), OAUTHBEARER
/// (RFC 7628) or XOAUTH2: takes the client's lines, gives challenges until it has a proof, or a fault.
class SaslExchange {
public:
    struct Challenge {
        std::string base64;
    };
    enum class Fault { cancelled, malformed, other_identity };
    using Step = std::variant<Challenge, Proof, Fault>;

    /// `challenge`: CRAM-MD5's, "<something.new@this.host>".
    explicit SaslExchange(Mechanism mechanism, std::string challenge = {})
        : mechanism_(mechanism), challenge_(std::move(challenge)) {}

    /// The first step: the initial response ("=" means an empty one), or none.
    Step start(std::optional<std::string_view> initial_response);
    /// A further line of the client.
    Step on_response(std::string_view line);

private:
    Step take(const std::string& response);
    Step take_login(const std::string& response);

    Mechanism mechanism_;
    std::string challenge_;
    std::optional<std::string> user_;  // LOGIN's first answer
};

/// What a client is told of a token that was refused, in base64 (RFC 7628 §3.2.2, and what Google sends for XOAUTH2).
std::string_view token_refusal(Mechanism mechanism);

}  // namespace popgate::pop3
