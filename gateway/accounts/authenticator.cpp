#include "gateway/accounts/authenticator.hpp"

#include "gateway/accounts/name_rules.hpp"
#include "gateway/accounts/password_file.hpp"

#include <chrono>
#include <utility>

namespace popgate {

namespace {

using namespace std::chrono_literals;

constexpr auto refusal_floor = 1s;  // how soon a wrong password may be answered

Error refusal(std::string why) { return Error{Errc::auth, "wrong user name or password", std::move(why)}; }

}  // namespace

class Authenticator::Checks {};

Authenticator::Authenticator(const Config& config, const Router& router, AccountStore& accounts, TokenKeeper& tokens)
    : config_(config), router_(router), accounts_(accounts), tokens_(tokens), throttle_({}) {}

Authenticator::~Authenticator() = default;

Result<std::string> Authenticator::canonical(const std::string& user) const {
    return canonical_user(config_.login, user);
}

Result<LoggedIn> Authenticator::log_in(Fiber& fiber, const Proof& proof, const ClientInfo& client) {
    const auto asked = Clock::now();
    auto opened = [&]() -> Result<LoggedIn> {
        auto admitted = admit(fiber, proof, client);
        if (!admitted) return admitted.error();
        auto mailbox = admitted->backend->open(fiber, admitted->login);
        if (mailbox) return LoggedIn{std::move(*admitted), std::move(*mailbox)};
        auto error = mailbox.error();
        // What the client gave was right, and no other password of its would help.
        if (error.code == Errc::auth && !admitted->is_clients_own)
            error = {Errc::permanent, "the mail server does not let popgate in", error.text + " " + error.detail};
        return error;
    }();
    // An unknown user and a wrong password look alike, and neither can be tried fast.
    if (!opened && opened.error().code == Errc::auth) fiber.sleep_until(asked + refusal_floor);
    return opened;
}

Result<Admitted> Authenticator::admit(Fiber& fiber, const Proof& proof, const ClientInfo&) {
    auto user = canonical(proof.user);
    if (!user) return user.error();
    const auto* const route = router_.find(*user);
    if (!route) return refusal("no route matches");
    if (route->config.auth == ClientAuth::password_file) {
        auto status = check_password_file(fiber, route->config.password_file, *user, proof.secret);
        if (!status) return status.error();
    }
    return vouch(fiber, *user, Secret(proof.secret.reveal()));
}

Result<Admitted> Authenticator::vouch(Fiber&, const std::string& user, Secret password) {
    const auto* const route = router_.find(user);
    if (!route) return refusal("no route matches");
    Admitted admitted;
    admitted.route = route;
    admitted.backend = route->backend;
    admitted.user = user;
    admitted.login = {user, std::move(password)};
    admitted.is_clients_own = route->config.auth == ClientAuth::passthrough;
    return admitted;
}

}  // namespace popgate
