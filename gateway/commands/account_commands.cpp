#include "gateway/commands/account_commands.hpp"

#include "gateway/commands/mailbox_commands.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

namespace popgate::commands {

namespace json = boost::json;

namespace {

std::string route_of(const Accounts& accounts, const std::string& user) {
    const auto* route = accounts.router.find(user);
    return route ? route->config.backend.url : std::string("no route");
}

std::int64_t last_use(const Account& account) {
    std::int64_t last = 0;
    for (const auto& each : account.app_passwords) last = std::max(last, each.last_used);
    return last;
}

json::object describe(const Accounts& accounts, const std::string& user, const std::optional<Account>& account,
                      const std::optional<AccountTokens>& tokens, std::int64_t now) {
    json::object out{{"user", json_string(user)}, {"backend", json_string(route_of(accounts, user))}};
    if (tokens)
        out["tokens"] = json::object{{"oauth", json_string(tokens->provider)},
                                     {"state", json_string(token_state(*tokens, now))},
                                     {"refreshed", json_time(tokens->refreshed)},
                                     {"expires", json_time(tokens->expires)},
                                     {"must_sign_in", !tokens->refusal.empty()}};
    json::array passwords;
    if (account) {
        for (const auto& each : account->app_passwords)
            passwords.push_back(json::object{{"id", json_string(each.id)},
                                             {"label", json_string(each.label)},
                                             {"created", json_time(each.created)},
                                             {"last_used", json_time(each.last_used)},
                                             {"last_address", json_string(each.last_address)}});
        out["created"] = json_time(account->created);
        out["upstream_user"] = json_string(account->upstream_user);
        out["upstream_password"] = !account->upstream_password.reveal().empty();
        out["shared_secret"] = !account->shared_secret.reveal().empty();
        out["issuer"] = json_string(account->issuer);
    }
    out["app_passwords"] = std::move(passwords);
    return out;
}

std::string count_text(std::size_t count) { return std::to_string(count); }

}  // namespace

std::string token_state(const AccountTokens& tokens, std::int64_t now) {
    if (!tokens.refusal.empty()) return "sign in again: " + tokens.refusal;
    if (now < tokens.expires) return "good until " + time_text(tokens.expires);
    return tokens.refresh_token.reveal().empty() ? "expired, and without a refresh token"
                                                 : "refreshed when it is needed";
}

int list_accounts(Fiber& fiber, Accounts& accounts, std::int64_t now, Console& console) {
    const auto users = accounts.store.users(fiber);
    if (!users) return fail(console, users.error());
    Table table({"USER", "MAILBOX", "TOKENS", ">APP PASSWORDS", "LAST USED"});
    int exit_code = exit_done;
    for (const auto& user : *users) {
        const auto account = accounts.store.account(fiber, user);
        const auto tokens = accounts.store.tokens(fiber, user);
        if (!account || !tokens) {
            fail(console, account ? tokens.error() : account.error());
            exit_code = exit_failed;
            continue;
        }
        if (console.json) {
            print_json(console.out, describe(accounts, user, *account, *tokens, now));
            continue;
        }
        table.add({plain(user), plain(route_of(accounts, user)), *tokens ? plain(token_state(**tokens, now)) : "-",
                   count_text(*account ? (*account)->app_passwords.size() : 0),
                   time_text(*account ? last_use(**account) : 0)});
    }
    if (!console.json) table.print(console.out);
    return exit_code;
}

int show_account(Fiber& fiber, Accounts& accounts, const std::string& user, std::int64_t now, Console& console) {
    const auto account = accounts.store.account(fiber, user);
    if (!account) return fail(console, account.error());
    const auto tokens = accounts.store.tokens(fiber, user);
    if (!tokens) return fail(console, tokens.error());
    if (!*account && !*tokens) {
        console.err << "popgate: there is no account " << plain(user) << '\n';
        return exit_failed;
    }
    if (console.json) {
        print_json(console.out, describe(accounts, user, *account, *tokens, now));
        return exit_done;
    }
    auto& out = console.out;
    out << "user:              " << plain(user) << "\nmailbox:           " << plain(route_of(accounts, user)) << '\n';
    if (*tokens)
        out << "tokens:            " << plain((*tokens)->provider) << ", " << plain(token_state(**tokens, now))
            << "\nlast refreshed:    " << time_text((*tokens)->refreshed) << '\n';
    if (!*account) return exit_done;
    const auto& known = **account;
    out << "made:              " << time_text(known.created) << '\n';
    if (!known.upstream_user.empty()) out << "upstream user:     " << plain(known.upstream_user) << '\n';
    out << "upstream password: " << (known.upstream_password.reveal().empty() ? "none" : "stored") << '\n';
    out << "shared secret:     " << (known.shared_secret.reveal().empty() ? "none" : "stored (APOP, CRAM-MD5)") << '\n';
    if (!known.issuer.empty()) out << "signed in with:    " << plain(known.issuer) << '\n';
    if (known.app_passwords.empty()) return exit_done;
    out << "app passwords:\n";
    Table table({"ID", "LABEL", "MADE", "LAST USED", "FROM"});
    for (const auto& each : known.app_passwords)
        table.add({plain(each.id), plain(each.label), time_text(each.created), time_text(each.last_used),
                   plain(each.last_address)});
    table.print(out);
    return exit_done;
}

int add_account(Fiber& fiber, Accounts& accounts, const std::string& user, const AccountChange& change,
                std::int64_t now, Console& console) {
    std::optional<NewAppPassword> made;
    if (change.app_password) made = make_app_password(*change.app_password, now);
    bool is_new = false;
    const auto status = accounts.store.change_account(fiber, user, [&](Account& account) {
        is_new = account.created == 0;
        if (is_new) account.created = now;
        if (change.upstream_user) account.upstream_user = *change.upstream_user;
        if (change.upstream_password) account.upstream_password = Secret(change.upstream_password->reveal());
        if (change.shared_secret) account.shared_secret = Secret(change.shared_secret->reveal());
        if (made) account.app_passwords.push_back(made->kept);
        return true;
    });
    if (!status) return fail(console, status.error());
    if (console.json) {
        json::object out{{"user", json_string(user)}, {"new", is_new}};
        if (made) {
            out["app_password"] = made->password.reveal();
            out["app_password_id"] = made->kept.id;
        }
        print_json(console.out, out);
        return exit_done;
    }
    // One more app password speaks for itself.
    if (is_new || !made || change.upstream_user || change.upstream_password || change.shared_secret)
        console.out << (is_new ? "Made the account " : "Changed the account ") << plain(user) << ".\n";
    if (made)
        console.out << "App password, shown this once: " << made->password.reveal() << '\n'
                    << "In the mail program: user name " << plain(user) << ", and this password.\n";
    return exit_done;
}

int remove_account(Fiber& fiber, Accounts& accounts, const std::string& user, Console& console) {
    const auto removed = accounts.store.remove(fiber, user);
    if (!removed) return fail(console, removed.error());
    if (!*removed) {
        console.err << "popgate: there is no account " << plain(user) << '\n';
        return exit_failed;
    }
    if (console.json)
        print_json(console.out, json::object{{"user", json_string(user)}, {"removed", true}});
    else
        console.out << "Removed the account " << plain(user) << ": its tokens and passwords are gone.\n";
    return exit_done;
}

int revoke_app_password(Fiber& fiber, Accounts& accounts, const std::string& user, const std::string& id,
                        Console& console) {
    bool was_there = false;
    const auto status = accounts.store.change_account(fiber, user, [&](Account& account) {
        was_there = std::erase_if(account.app_passwords, [&](const AppPassword& each) { return each.id == id; }) > 0;
        return was_there;
    });
    if (!status) return fail(console, status.error());
    if (!was_there) {
        console.err << "popgate: " << plain(user) << " has no app password " << plain(id) << '\n';
        return exit_failed;
    }
    if (console.json)
        print_json(console.out, json::object{{"user", json_string(user)}, {"id", json_string(id)}, {"revoked", true}});
    else
        console.out << "Revoked. Programs that use it can no longer log in.\n";
    return exit_done;
}

}  // namespace popgate::commands
