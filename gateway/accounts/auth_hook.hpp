#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/proof.hpp"

#include <memory>
#include <string>

namespace popgate {

class Fiber;
namespace http {
struct Response;
struct Upstream;
}  // namespace http

/// What a web hook has said to a login.
struct HookAnswer {
    std::string server;  ///< Auth-Server; empty: the route's own upstream
    std::string port;    ///< Auth-Port
    std::string user;    ///< Auth-User: at the upstream; empty: the client's
    Secret password;     ///< Auth-Pass: for the upstream; empty: the client's
};

/// From an answer of status 2xx, whose Auth-Pass is wiped. Errors as of AuthHook::ask(). Pure: the headers come from
/// the network.
Result<HookAnswer> read_hook_answer(http::Response& response);

/// A web hook that is asked as nginx's mail proxy asks (ngx_mail_auth_http_module): a GET with Auth-Method, Auth-User,
/// Auth-Pass, Auth-Salt, Auth-Protocol, Auth-Login-Attempt and Client-IP, all of it percent-encoded where it could be
/// taken for more than it is. Shared by all sessions.
class AuthHook {
public:
    /// `url`: http: or https:. Errc::permanent: what is wrong with it.
    static Result<std::unique_ptr<AuthHook>> make(const std::string& url);
    ~AuthHook();

    /// Errc::auth: refused. Errc::temporary: later, which it says by 429, 5xx, an Auth-Error-Code that begins with 4,
    /// or an Auth-Status that begins with "temporary"; or there was no answer that can be understood, a redirect for
    /// one. Either comes no sooner than Auth-Wait says, up to 30 s.
    Result<HookAnswer> ask(Fiber& fiber, const Proof& proof, const ClientInfo& client) const;

private:
    AuthHook(std::string url, std::shared_ptr<const http::Upstream> upstream);

    std::string url_;
    std::shared_ptr<const http::Upstream> upstream_;
};

}  // namespace popgate
