#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <boost/system/result.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace popgate::oauth {

/// Who has signed in, by the claims of an ID token that came from the token endpoint itself (OpenID Connect Core
/// §3.1.3.7) or of the userinfo endpoint.
struct Identity {
    std::string issuer;
    std::string subject;         ///< unique at the issuer, and never given to somebody else
    std::string email;           ///< or preferred_username; empty: not told
    bool email_verified = true;  ///< false where the provider says that it is not
    std::string nonce;
};

/// A token endpoint's good answer (RFC 6749 §5.1).
struct Tokens {
    Secret access_token;
    Secret refresh_token;                 ///< empty: the old one stays good
    std::chrono::seconds lifetime{3600};  ///< of the access token
    std::string scope;                    ///< what was granted; empty: what was asked for
    std::optional<Identity> identity;     ///< where an ID token came along
};

/// Why there are no tokens.
struct Refusal {
    enum class Kind {
        later,     ///< no answer, 429, 5xx, no JSON, temporarily_unavailable: nothing is lost, try again
        sign_in,   ///< invalid_grant, interaction_required and their like: a person must sign in again (RFC 6749 §5.2)
        setup,     ///< invalid_client, invalid_scope and their like: an administrator must mend the [[oauth]]
        pending,   ///< authorization_pending, slow_down: the person has not finished yet (RFC 8628 §3.5)
        declined,  ///< access_denied, authorization_declined, expired_token: that sign-in has come to nothing
    };
    Kind kind = Kind::later;
    std::string text;    ///< one sentence for people, without secrets
    std::string detail;  ///< for the log: the provider's error and description, cleaned and cut, without secrets
    std::string code;    ///< the provider's own, "invalid_grant"; empty without one
    std::optional<std::chrono::seconds> wait;  ///< later, pending: what it asked for (Retry-After; slow_down)
};

template <class T>
using Answer = boost::system::result<T, Refusal>;

/// Called by Answer::value() when it holds a refusal: a programming mistake, as callers test first.
[[noreturn]] void throw_exception_from_error(const Refusal& refusal, const boost::source_location& where);

}  // namespace popgate::oauth
