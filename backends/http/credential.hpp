#pragma once

#include "backends/errors.hpp"
#include "backends/upstream_login.hpp"
#include "gateway/accounts/secret.hpp"
#include "gateway/net/fiber.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace popgate::http {

/// The value of an Authorization header (RFC 7617 §2).
std::string basic_authorization(const std::string& user, const std::string& password);

/// How an account proves itself to an API; one session's. header() may be called on several fibers of one thread at
/// once, renew() is for the session's own.
class Credential {
public:
    virtual ~Credential() = default;

    /// Name and value of the header that goes with each request to the account's own origin; an empty name: none.
    /// May suspend.
    virtual Result<std::pair<std::string, Secret>> header(Fiber& fiber) = 0;

    /// After a 401. True where the next header() may be another one: the request is then repeated, once. May suspend.
    virtual Result<bool> renew(Fiber& fiber) = 0;

    /// Of what a client has shown and nobody has proved yet, its own password: a hash that differs with it, keyed for
    /// this process alone. Empty for everything else.
    virtual std::string fingerprint() const { return {}; }
};

/// What a route's `http_auth` says.
struct CredentialForm {
    enum class Kind { none, basic, bearer, header };
    Kind kind = Kind::basic;
    std::string header_name;  ///< for Kind::header

    /// "none", "basic", "bearer", "header NAME".
    static Result<CredentialForm> parse(std::string_view text);
    bool operator==(const CredentialForm&) const = default;
};

/// True where what the client says as its password goes to the upstream, which proves it.
bool carries_password(const CredentialForm& form, std::string_view token_file);

/// Whose mailbox `user` opens, as far as that can be told without asking: what the route's `mailbox` names; where the
/// credential is the same for every user, nobody by name (empty); else the user.
std::string mailbox_owner(const CredentialForm& form, std::string_view token_file, std::string_view mailbox,
                          const std::string& user);

/// What the login gives, in the form that the upstream wants: its tokens, its password, or instead of both a token that
/// another program keeps in a file (`token_file`, a path as in expand_user_path(), where it is not empty), which is
/// read anew after a 401. Refuses what no header can carry (control characters; a ':' in a Basic user name, RFC 7617
/// §2).
///
/// TokenSource::token() may read the state store, so a token serves for half a minute before it is asked for again, or
/// until a 401: shorter than what a source leaves of a token's life, so that none ends on the way. `clock` tells.
Result<std::unique_ptr<Credential>> make_credential(const CredentialForm& form, std::string_view token_file,
                                                    const UpstreamLogin& login,
                                                    std::function<Deadline()> clock = Clock::now);

}  // namespace popgate::http
