#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <memory>
#include <string>
#include <utility>

namespace popgate {

class Fiber;

/// Where an account's OAuth2 access tokens come from. Shared; from any thread, each call on the caller's fiber.
class TokenSource {
public:
    virtual ~TokenSource() = default;

    /// A token that is good for a while. Errc::sign_in where only a person can help. May suspend.
    virtual Result<Secret> token(Fiber& fiber) = 0;

    /// After an upstream refused `refused`: true where the next token() will be another one. May suspend.
    virtual Result<bool> renew(Fiber& fiber, const Secret& refused) = 0;
};

/// With what an upstream is opened.
struct UpstreamLogin {
    UpstreamLogin() = default;
    UpstreamLogin(std::string whose, Secret with) : user(std::move(whose)), password(std::move(with)) {}
    UpstreamLogin(std::string whose, std::shared_ptr<TokenSource> with)
        : user(std::move(whose)), tokens(std::move(with)) {}

    std::string user;  ///< whose mailbox
    Secret password;   ///< without `tokens`
    /// Whose password that is, where it is not the user's own: a master user's. It goes as the authentication identity
    /// of SASL PLAIN, and `user` as the authorization identity (RFC 4616 §2).
    std::string authentication_user;
    std::shared_ptr<TokenSource> tokens;  ///< instead of a password

    /// Secrets are not copied by accident.
    UpstreamLogin copy() const {
        UpstreamLogin same(user, Secret(password.reveal()));
        same.authentication_user = authentication_user;
        same.tokens = tokens;
        return same;
    }
};

}  // namespace popgate
