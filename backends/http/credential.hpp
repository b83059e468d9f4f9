#pragma once

#include "backends/errors.hpp"
#include "backends/upstream_login.hpp"
#include "gateway/accounts/secret.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace popgate {
class Fiber;
}

namespace popgate::http {

/// The value of an Authorization header (RFC 7617 §2).
std::string basic_authorization(const std::string& user, const std::string& password);

/// How an account proves itself to an API; one session's, used from its fiber.
class Credential {
public:
    virtual ~Credential() = default;

    /// Name and value of the header that goes with each request to the account's own origin; an empty name: none.
    /// May suspend.
    virtual Result<std::pair<std::string, Secret>> header(Fiber& fiber) = 0;

    /// After a 401. True where the next header() may be another one: the request is then repeated, once. May suspend.
    virtual Result<bool> renew(Fiber& fiber) = 0;
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
Result<std::unique_ptr<Credential>> make_credential(const CredentialForm& form, std::string_view token_file,
                                                    const UpstreamLogin& login);

}  // namespace popgate::http
