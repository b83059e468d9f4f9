#pragma once

#include "backends/mailbox.hpp"
#include "gateway/accounts/account_store.hpp"
#include "gateway/accounts/fleet_throttle.hpp"
#include "gateway/accounts/login_delays.hpp"
#include "gateway/accounts/login_throttle.hpp"
#include "gateway/accounts/proof.hpp"
#include "gateway/accounts/router.hpp"
#include "gateway/accounts/token_keeper.hpp"
#include "gateway/observe/upstream_health.hpp"

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace popgate {

struct HookAnswer;

/// Who was let in, and where to.
struct Admitted {
    const Route* route = nullptr;
    std::shared_ptr<const Backend> backend;  ///< the route's, or the one that its web hook named
    std::string user;                        ///< as popgate knows it, after the name rules
    UpstreamLogin login;
    bool is_clients_own = true;   ///< the upstream judges what the client gave; false: popgate's own access
    std::string app_password_id;  ///< the one that was used; empty: none
};

/// What a login begins with: the mailbox is open.
struct LoggedIn {
    Admitted admitted;
    std::unique_ptr<Mailbox> mailbox;
};

/// What is remembered of logins as long as the process lives, whatever becomes of its configuration. Any thread.
struct LoginHistory {
    LoginThrottle throttle{{}};
    LoginDelays delays;
    FleetThrottle fleet{nullptr, WithoutThrottles::local};
    UpstreamHealth upstreams;
};

/// Who may open which mailbox, and with what. Shared by all sessions and threads; calls suspend.
class Authenticator {
public:
    Authenticator(const Config& config, const Router& router, AccountStore& accounts, TokenKeeper& tokens,
                  LoginHistory& history);

    /// Checks the proof as the user's route says, and opens the mailbox with what the route says. A refusal comes no
    /// sooner than the throttle allows, and the same for a wrong password and an unknown user. Errc::auth: refused;
    /// Errc::sign_in: a person must sign in again, and the text says where. An upstream that refuses popgate's own
    /// access is Errc::permanent: no other password would help the client. Errc::login_delay: sooner than the route
    /// allows.
    Result<LoggedIn> log_in(Fiber& fiber, const Proof& proof, const ClientInfo& client);

    /// From now on the throttle goes by this configuration.
    void take_into_use();

    /// A login came to nothing after it was let in: it does not count for the account's login delay.
    void give_back(Fiber& fiber, const Admitted& admitted);

    /// For whom an administrator vouches: no proof. `password` is used where the upstream wants the client's own.
    Result<Admitted> vouch(Fiber& fiber, const std::string& user, Secret password);

    /// As Admitted::user.
    Result<std::string> canonical(const std::string& user) const;

private:
    bool may_be_refused_unasked(const std::string& user, const Proof& proof) const;
    Result<LoggedIn> open(Fiber& fiber, const std::string& user, const Proof& proof, const ClientInfo& client);
    Result<Admitted> admit(Fiber& fiber, const std::string& user, const Proof& proof, const ClientInfo& client);
    Status check_password(Fiber& fiber, const Proof& proof, const ClientInfo& client, Admitted& admitted,
                          const Account* account);
    Result<Admitted> equip(Fiber& fiber, Admitted admitted, const Proof& proof, const Account* account);
    Status follow(const HookAnswer& answer, Admitted& admitted);
    Result<std::shared_ptr<const Backend>> backend_at(const Route& route, const std::string& server,
                                                      const std::string& port);
    void note_use(Fiber& fiber, const Admitted& admitted, const std::string& address);

    const Config& config_;
    const Router& router_;
    AccountStore& accounts_;
    TokenKeeper& tokens_;
    LoginHistory& history_;

    std::mutex mutex_;
    /// Backends that a web hook has named, by route and URL; the last one used is the first.
    std::list<std::pair<std::string, std::shared_ptr<const Backend>>> named_;
};

}  // namespace popgate
