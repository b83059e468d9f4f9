#pragma once

#include "gateway/accounts/secret.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace popgate::pop3 {

/// Strict base64 (RFC 4648 §4): padding required, no white space, no stray bits. Nothing when it is not that.
std::optional<std::string> decode_base64(std::string_view text);

/// The server's half of AUTH PLAIN (RFC 4616) or AUTH LOGIN: takes the client's lines, gives challenges until it has
/// a name and a password, or a fault.
class SaslExchange {
public:
    struct Challenge {
        std::string_view base64;
    };
    struct Done {
        std::string user;
        Secret password;
    };
    enum class Fault { cancelled, malformed, other_identity };
    using Step = std::variant<Challenge, Done, Fault>;

    /// Nothing when the mechanism is not known. The name is not case-sensitive.
    static std::optional<SaslExchange> make(std::string_view mechanism);

    /// The first step: the initial response ("=" means an empty one), or none.
    Step start(std::optional<std::string_view> initial_response);
    /// A further line of the client.
    Step on_response(std::string_view line);

private:
    enum class Mechanism { plain, login };
    explicit SaslExchange(Mechanism mechanism) : mechanism_(mechanism) {}
    Step take(std::string response);
    static Step take_plain(const std::string& response);

    Mechanism mechanism_;
    std::optional<std::string> user_;  // LOGIN's first answer
};

}  // namespace popgate::pop3
