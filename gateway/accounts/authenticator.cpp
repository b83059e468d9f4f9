#include "gateway/accounts/authenticator.hpp"

#include "backends/ascii.hpp"
#include "backends/registry.hpp"
#include "backends/user_path.hpp"
#include "gateway/accounts/auth_hook.hpp"
#include "gateway/accounts/name_rules.hpp"
#include "gateway/accounts/pam.hpp"
#include "gateway/accounts/password_file.hpp"
#include "gateway/accounts/secret_file.hpp"
#include "gateway/accounts/shared_secret.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/observe/observed_backend.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <utility>

namespace popgate {

namespace {

using namespace std::chrono_literals;
using Method = Proof::Method;

constexpr std::size_t most_named_backends = 256;
constexpr auto file_limit = 10s;
constexpr std::int64_t use_is_noted_every = 3600;

Error refusal(std::string why) { return Error{Errc::auth, "wrong user name or password", std::move(why)}; }

LoginDelays::Rule delay_rule(const Route* route) {
    if (!route || !route->config.login_delay) return {};
    return {*route->config.login_delay, route->config.login_burst};
}

Error too_soon() { return Error{Errc::login_delay, "the account has logged in a moment ago", {}}; }

/// The client's token, for as long as it is good.
class ClientsToken final : public TokenSource {
public:
    explicit ClientsToken(const Secret& token) : token_(token.reveal()) {}
    Result<Secret> token(Fiber&) override { return Secret(token_.reveal()); }
    Result<bool> renew(Fiber&, const Secret&) override { return false; }

private:
    Secret token_;
};

/// What popgate keeps of the account is not needed by every route.
bool needs_account(const RouteConfig& route, Method method) {
    const bool by_secret = method == Method::apop || method == Method::cram_md5;
    return route.auth == ClientAuth::app_passwords || (by_secret && route.auth != ClientAuth::http) ||
           route.upstream() == UpstreamAuth::stored || route.upstream() == UpstreamAuth::oauth;
}

bool is_named_by_certificate(const std::string& user, const ClientInfo& client) {
    return std::ranges::any_of(client.certificate_names,
                               [&](const std::string& name) { return equal_but_for_case(name, user); });
}

}  // namespace

Authenticator::Authenticator(const Config& config, const Router& router, AccountStore& accounts, TokenKeeper& tokens,
                             LoginHistory& history)
    : config_(config), router_(router), accounts_(accounts), tokens_(tokens), history_(history) {}

void Authenticator::take_into_use() { history_.throttle.set_longest(config_.login.longest_delay); }

void Authenticator::give_back(Fiber& fiber, const Admitted& admitted) {
    const auto rule = delay_rule(admitted.route);
    history_.delays.give_back(admitted.user, rule);
    history_.fleet.give_back(fiber, admitted.user, rule);
}

Result<std::string> Authenticator::canonical(const std::string& user) const {
    return canonical_user(config_.login, user);
}

Result<LoggedIn> Authenticator::log_in(Fiber& fiber, const Proof& proof, const ClientInfo& client) {
    // A certificate says by itself whose it is.
    const bool is_unnamed = proof.method == Method::certificate && proof.user.empty();
    const auto& given = is_unnamed && !client.certificate_names.empty() ? client.certificate_names.front() : proof.user;
    const auto user = canonical(given);
    const auto& name = user ? *user : given;

    const auto wait_until = [&](Deadline deadline) {
        const auto begun = Clock::now();
        while (Clock::now() < std::min(deadline, fiber.limit()) && !fiber.interrupted()) fiber.sleep_until(deadline);
        metrics::login_throttle_seconds.add(std::chrono::duration<double>(Clock::now() - begun).count());
    };
    auto& throttle = history_.throttle;
    auto& delays = history_.delays;
    auto& fleet = history_.fleet;
    const auto known = fleet.look(fiber, name, client.address);
    if (!known) return known.error();
    wait_until(std::max(throttle.check_at(name, client.address, Clock::now()), Clock::now() + known->wait));
    const auto asked = Clock::now();
    const auto delay = delay_rule(user ? router_.find(*user) : nullptr);
    auto opened = [&]() -> Result<LoggedIn> {
        if (!user) return user.error();
        if (delays.is_known_too_soon(*user, proof.secret, delay, asked)) return too_soon();
        if (may_be_refused_unasked(*user, proof) && throttle.is_known_wrong(name, proof.secret, asked))
            return refusal("the same password as just now");
        auto entered = open(fiber, *user, proof, client);
        if (!entered) return entered;
        Error error = too_soon();
        if (delays.admit(*user, proof.secret, delay, Clock::now())) {
            const auto admitted = fleet.admit(fiber, *user, delay);
            if (admitted && *admitted) return entered;
            if (!admitted) error = admitted.error();
            delays.give_back(*user, delay);
        }
        entered->mailbox->close();
        return error;
    }();
    if (opened) {
        throttle.succeeded(name, client.address);
        fleet.succeeded(fiber, name, client.address, *known);
        note_use(fiber, opened->admitted, client.address);
    } else if (opened.error().code == Errc::auth) {
        const auto refusal = throttle.failed(name, client.address, proof.secret, asked);
        const auto at_all_nodes = refusal.counted ? fleet.failed(fiber, name, client.address, throttle) : 0ms;
        wait_until(std::max(refusal.told_at, asked + at_all_nodes));
    }
    return opened;
}

// A certificate that has been forgotten says nothing of the password that came without it, and what popgate knows of
// passwords itself may have changed since.
bool Authenticator::may_be_refused_unasked(const std::string& user, const Proof& proof) const {
    const auto* const route = router_.find(user);
    if (proof.secret.reveal().empty()) return false;
    return !route ||
           (route->config.auth != ClientAuth::certificate && route->config.auth != ClientAuth::password_file &&
            route->config.auth != ClientAuth::app_passwords);
}

Result<LoggedIn> Authenticator::open(Fiber& fiber, const std::string& user, const Proof& proof,
                                     const ClientInfo& client) {
    auto admitted = admit(fiber, user, proof, client);
    if (!admitted) return admitted.error();
    auto mailbox = admitted->backend->open(fiber, admitted->login);
    const auto& upstream = admitted->route->config.backend.url;
    const auto now = std::chrono::system_clock::now();
    if (mailbox) {
        history_.upstreams.note(upstream, {}, now);
        return LoggedIn{std::move(*admitted), std::move(*mailbox)};
    }
    auto error = mailbox.error();
    const bool is_at_fault = error.code == Errc::temporary || error.code == Errc::permanent;
    if (!fiber.interrupted()) history_.upstreams.note(upstream, is_at_fault ? error.text : std::string(), now);
    // What the client gave was right, and no other password of its would help.
    if (error.code == Errc::auth && !admitted->is_clients_own)
        error = {Errc::permanent, "the mail server does not let popgate in", error.text + " " + error.detail};
    return error;
}

Result<Admitted> Authenticator::admit(Fiber& fiber, const std::string& user, const Proof& proof,
                                      const ClientInfo& client) {
    Admitted admitted;
    admitted.user = user;
    admitted.route = router_.find(user);
    if (!admitted.route) return refusal("no route matches");
    const auto& route = admitted.route->config;
    admitted.backend = admitted.route->backend;

    // Nobody else's name is brought before a web hook either.
    if (proof.method == Method::certificate && !is_named_by_certificate(user, client))
        return refusal("no certificate for this user");
    const bool wants_clients_own = route.upstream() == UpstreamAuth::client && admitted.backend->checks_password();
    if (proof.method == Method::trusted_host && wants_clients_own)
        return refusal("RPOP has no password for the upstream");

    std::optional<Account> account;
    if (needs_account(route, proof.method)) {
        auto found = accounts_.account(fiber, user);
        if (!found) return found.error();
        account = std::move(*found);
    }
    const auto* known = account ? &*account : nullptr;

    if (route.auth == ClientAuth::http && proof.method != Method::trusted_host) {
        Proof for_hook{proof.method, user, Secret(proof.secret.reveal()), proof.challenge};
        const auto answer = admitted.route->hook->ask(fiber, for_hook, client);
        if (!answer) return answer.error();
        auto equipped = equip(fiber, std::move(admitted), proof, known);
        if (!equipped) return equipped;
        if (auto status = follow(*answer, *equipped); !status) return status.error();
        if (wants_clients_own && equipped->login.password.reveal().empty() && !equipped->login.tokens)
            return Error{Errc::permanent, "no password for the mail server is known",
                         "auth_url: no Auth-Pass, and the client showed no password"};
        return equipped;
    }
    switch (proof.method) {
        case Method::password:
            if (auto status = check_password(fiber, proof, client, admitted, known); !status) return status.error();
            break;
        case Method::token:
            if (route.auth != ClientAuth::oauth) return refusal("the route takes no tokens");
            break;
        case Method::apop:
        case Method::cram_md5: {
            if (route.auth == ClientAuth::passthrough || route.auth == ClientAuth::oauth)
                return refusal("the route takes no shared secrets");
            static const Secret none;
            if (!proves(proof, known ? known->shared_secret : none)) return refusal("wrong or no shared secret");
            break;
        }
        case Method::certificate:
            if (route.auth != ClientAuth::certificate) return refusal("the route takes no certificates");
            break;
        case Method::trusted_host: break;
    }
    return equip(fiber, std::move(admitted), proof, known);
}

Status Authenticator::check_password(Fiber& fiber, const Proof& proof, const ClientInfo& client, Admitted& admitted,
                                     const Account* account) {
    const auto& route = admitted.route->config;
    switch (route.auth) {
        case ClientAuth::passthrough:
        case ClientAuth::http: return {};
        case ClientAuth::password_file:
            return check_password_file(fiber, route.password_file, admitted.user, proof.secret);
        case ClientAuth::pam: return check_pam(fiber, route.pam_service, admitted.user, proof.secret, client.address);
        case ClientAuth::app_passwords: {
            const auto* used = find_app_password(account, proof.secret);
            if (!used) return refusal(account ? "no such app password" : "no such account");
            admitted.app_password_id = used->id;
            return {};
        }
        case ClientAuth::certificate:
            // The password is there because clients cannot leave it out.
            if (is_named_by_certificate(admitted.user, client)) return {};
            return refusal("no certificate for this user");
        case ClientAuth::oauth: break;
    }
    return refusal("the route takes tokens only");
}

// With what opens the upstream.
Result<Admitted> Authenticator::equip(Fiber& fiber, Admitted admitted, const Proof& proof, const Account* account) {
    const auto& route = admitted.route->config;
    auto& login = admitted.login;
    login.user = admitted.user;
    if (account && !account->upstream_user.empty()) {
        login.user = account->upstream_user;
    } else if (!route.upstream_user.empty()) {
        auto name = expand_user_path(route.upstream_user, admitted.user);
        if (!name) return name.error();
        login.user = std::move(*name);
    }
    admitted.is_clients_own = false;
    switch (route.upstream()) {
        case UpstreamAuth::client:
            admitted.is_clients_own = route.auth == ClientAuth::passthrough || route.auth == ClientAuth::oauth;
            if (proof.method == Method::token)
                login.tokens = std::make_shared<ClientsToken>(proof.secret);
            else if (proof.method == Method::password)
                login.password = Secret(proof.secret.reveal());
            break;
        case UpstreamAuth::stored:
            if (!account || account->upstream_password.reveal().empty())
                return Error{Errc::permanent, "no password for the mail server is stored for this account",
                             "popgate account add " + admitted.user + " --upstream-password"};
            login.password = Secret(account->upstream_password.reveal());
            break;
        case UpstreamAuth::oauth: {
            // An application acts for whom the upstream knows; an account's own tokens go by its name here.
            const auto& provider = admitted.route->provider;
            const bool is_own = provider->settings().grant == oauth::Grant::account;
            login.tokens = tokens_.source(is_own ? admitted.user : login.user, provider);
            break;
        }
        case UpstreamAuth::master: {
            auto password = blocking_call(fiber, Clock::now() + file_limit, [file = route.master_password_file] {
                return std::make_optional(read_secret_file(file));
            });
            if (!password || !*password) return Error{Errc::temporary, "the server is too busy", {}};
            if (!**password)
                return Error{Errc::permanent, "popgate's password for the mail server cannot be read",
                             "master_password_file: " + (*password)->error().text};
            login.authentication_user = route.master_user;
            login.password = std::move(***password);
            break;
        }
    }
    return admitted;
}

Status Authenticator::follow(const HookAnswer& answer, Admitted& admitted) {
    if (!answer.user.empty()) admitted.login.user = answer.user;
    if (!answer.password.reveal().empty()) {
        admitted.login.password = Secret(answer.password.reveal());
        admitted.login.tokens = nullptr;
        admitted.login.authentication_user.clear();
    }
    if (answer.server.empty()) return {};
    auto backend = backend_at(*admitted.route, answer.server, answer.port);
    if (!backend) return backend.error();
    admitted.backend = std::move(*backend);
    return {};
}

Result<std::shared_ptr<const Backend>> Authenticator::backend_at(const Route& route, const std::string& server,
                                                                 const std::string& port) {
    const bool is_ipv6 = server.find(':') != std::string::npos;
    auto options = route.config.backend;
    const auto kind = options.url.substr(0, options.url.find(':'));
    options.url = kind + "://" + (is_ipv6 ? '[' + server + ']' : server) + ':' + port;
    const auto key = route.config.match + '\n' + route.config.backend.url + '\n' + options.url;
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(named_, key, [](const auto& each) { return each.first; });
        if (found != named_.end()) {
            named_.splice(named_.begin(), named_, found);
            return found->second;
        }
    }
    // Reads a CA file, for a short moment, once for each upstream.
    auto made = make_backend(options);
    if (!made)
        return Error{Errc::permanent, "the mail server that is named for this account cannot be used",
                     "auth_url named " + options.url + ": " + made.error().text};
    const auto backend = observed(std::move(*made), metrics::backend_kind_of(options.url));
    const std::lock_guard lock(mutex_);
    named_.emplace_front(key, backend);
    if (named_.size() > most_named_backends) named_.pop_back();
    return backend;
}

void Authenticator::note_use(Fiber& fiber, const Admitted& admitted, const std::string& address) {
    if (admitted.app_password_id.empty()) return;
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    const auto status = accounts_.change_account(fiber, admitted.user, [&](Account& account) {
        const auto used = std::ranges::find(account.app_passwords, admitted.app_password_id, &AppPassword::id);
        if (used == account.app_passwords.end() || now - used->last_used < use_is_noted_every) return false;
        used->last_used = now;
        used->last_address = address;
        return true;
    });
    if (!status) log(LogLevel::warning, "use_not_noted", {{"user", admitted.user}, {"error", status.error().text}});
}

Result<Admitted> Authenticator::vouch(Fiber& fiber, const std::string& user, Secret password) {
    Admitted admitted;
    admitted.user = user;
    admitted.route = router_.find(user);
    if (!admitted.route) return refusal("no route matches");
    admitted.backend = admitted.route->backend;
    std::optional<Account> account;
    if (needs_account(admitted.route->config, Method::trusted_host)) {
        auto found = accounts_.account(fiber, user);
        if (!found) return found.error();
        account = std::move(*found);
    }
    return equip(fiber, std::move(admitted), {Method::password, user, std::move(password), {}},
                 account ? &*account : nullptr);
}

}  // namespace popgate
