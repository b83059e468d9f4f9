#include "gateway/web/account_people.hpp"

#include "backends/mailbox.hpp"
#include "gateway/observe/log.hpp"

#include <chrono>
#include <utility>

namespace popgate::web {

namespace {

constexpr std::size_t most_devices = 50;

std::int64_t now() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

bool leads_to_app_passwords(const RouteConfig& route) {
    return route.auth == ClientAuth::app_passwords && route.upstream() == UpstreamAuth::oauth;
}

/// This one token, for the proof that it opens the mailbox.
class OneToken : public TokenSource {
public:
    explicit OneToken(const Secret& token) : token_(token.reveal()) {}
    Result<Secret> token(Fiber&) override { return Secret(token_.reveal()); }
    Result<bool> renew(Fiber&, const Secret&) override { return false; }

private:
    Secret token_;
};

std::string title_of(const oauth::Settings& settings) {
    if (settings.provider == "google") return "Google";
    if (settings.provider == "microsoft") return "Microsoft";
    return settings.name;
}

bool is_bound_to_another(const Account& account, const oauth::Identity& identity) {
    return !account.subject.empty() && (account.issuer != identity.issuer || account.subject != identity.subject);
}

}  // namespace

std::vector<ProviderChoice> AccountPeople::choices() const {
    std::vector<ProviderChoice> choices;
    const auto accounts = current_();
    for (const auto& settings : accounts->config.oauth_providers)
        if (provider(settings.name)) choices.push_back({settings.name, title_of(settings)});
    return choices;
}

std::shared_ptr<const oauth::Provider> AccountPeople::provider(const std::string& name) const {
    const auto accounts = current_();
    for (const auto& route : accounts->router.routes())
        if (leads_to_app_passwords(route.config) && route.config.oauth == name && route.provider &&
            route.provider->settings().grant == oauth::Grant::account)
            return route.provider;
    return nullptr;
}

Result<People::Welcome> AccountPeople::welcome(Fiber& fiber, const std::string& provider_name,
                                               const std::shared_ptr<const oauth::Provider>& provider,
                                               const oauth::Identity& identity, oauth::Tokens tokens) {
    using Outcome = Welcome::Outcome;
    const auto accounts = current_();
    auto user = accounts->authenticator.canonical(identity.email);
    if (!user) return Welcome{Outcome::no_mailbox};
    const auto* const route = accounts->router.find(*user);
    if (!route || !leads_to_app_passwords(route->config) || route->config.oauth != provider_name || !route->provider)
        return Welcome{Outcome::no_mailbox};
    // Routes of one [[oauth]] may lead to different kinds of upstreams, whose tokens are for different things.
    if (route->provider != provider && route->provider->scopes() != provider->scopes())
        return Welcome{Outcome::other_scopes, *user, route->provider};

    // Where a provider has many tenants, each decides which e-mail addresses its people claim: whoever signs in first
    // has the account, and (issuer, subject) is what nobody can choose.
    auto account = accounts->store.account(fiber, *user);
    if (!account) return account.error();
    if (*account && is_bound_to_another(**account, identity)) return Welcome{Outcome::other_person, *user};

    // And so that a claimed address gives nobody somebody else's mail, the tokens must open that mailbox now, before
    // anything is kept. (An upstream that knows the mailbox by the token alone opens the person's own, which is no
    // harm: there is no other that these tokens could reach.)
    auto admitted = accounts->authenticator.vouch(fiber, *user, Secret());
    if (!admitted) return admitted.error();
    auto login = admitted->login.copy();
    login.tokens = std::make_shared<OneToken>(tokens.access_token);
    auto mailbox = admitted->backend->open(fiber, login);
    if (!mailbox) {
        const auto& error = mailbox.error();
        if (error.code == Errc::temporary) return error;
        log(LogLevel::warning, "sign_in_refused", {{"user", *user}, {"error", error.text}, {"detail", error.detail}});
        return Welcome{Outcome::refused, *user};
    }
    (*mailbox)->close();

    bool is_other = false;
    auto bound = accounts->store.change_account(fiber, *user, [&](Account& changed) {
        // Once more: somebody may have been faster.
        is_other = is_bound_to_another(changed, identity);
        if (is_other || (changed.issuer == identity.issuer && changed.subject == identity.subject)) return false;
        if (changed.created == 0) changed.created = now();
        changed.issuer = identity.issuer;
        changed.subject = identity.subject;
        return true;
    });
    if (!bound) return bound.error();
    if (is_other) return Welcome{Outcome::other_person, *user};
    if (auto kept = accounts->tokens.keep(fiber, *user, *route->provider, tokens); !kept) return kept.error();
    return Welcome{Outcome::admitted, *user};
}

Result<std::vector<AppPassword>> AccountPeople::devices(Fiber& fiber, const std::string& user) {
    const auto accounts = current_();
    auto account = accounts->store.account(fiber, user);
    if (!account) return account.error();
    return *account ? std::move((*account)->app_passwords) : std::vector<AppPassword>();
}

Result<Secret> AccountPeople::add_device(Fiber& fiber, const std::string& user, const std::string& label) {
    const auto accounts = current_();
    auto made = make_app_password(label, now());
    bool is_full = false;
    auto changed = accounts->store.change_account(fiber, user, [&](Account& account) {
        is_full = account.app_passwords.size() >= most_devices;
        if (is_full) return false;
        account.app_passwords.push_back(made.kept);
        return true;
    });
    if (!changed) return changed.error();
    return is_full ? Secret() : std::move(made.password);
}

Status AccountPeople::revoke(Fiber& fiber, const std::string& user, const std::string& id) {
    const auto accounts = current_();
    return accounts->store.change_account(fiber, user, [&](Account& account) {
        return std::erase_if(account.app_passwords,
                             [&](const AppPassword& each) { return id.empty() || each.id == id; }) > 0;
    });
}

}  // namespace popgate::web
