#include "gateway/commands/account_login.hpp"

#include "backends/ascii.hpp"
#include "gateway/commands/account_commands.hpp"
#include "gateway/commands/local_redirect.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/spinner.hpp"
#include "gateway/oauth/presets.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <ostream>
#include <utility>

namespace popgate::commands {

namespace {

using namespace std::chrono_literals;
using Kind = oauth::Refusal::Kind;

constexpr auto browser_patience = 15min;
constexpr auto tick = 200ms;

oauth::Refusal given_up(std::string text) { return {Kind::declined, std::move(text), {}, {}, {}}; }

int complain(Console& console, const oauth::Refusal& refusal) {
    console.err << "popgate: " << plain(refusal.text);
    if (!refusal.detail.empty()) console.err << " (" << plain(refusal.detail) << ')';
    console.err << '\n';
    return exit_failed;
}

/// The spinner goes on meanwhile.
void pass_time(Fiber& fiber, Deadline until, Spinner& spinner) {
    while (Clock::now() < until && !fiber.interrupted()) {
        fiber.sleep_until(std::min<Deadline>(until, Clock::now() + tick));
        spinner.turn();
    }
}

// Addresses and code are of visible ASCII, which was seen to when they were read, and must not be cut.
oauth::Answer<oauth::Tokens> by_device(Fiber& fiber, const oauth::Provider& provider, Console& console) {
    const auto code = provider.begin_device_flow(fiber);
    if (!code) return code.error();
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(code->lifetime).count();
    console.err << "\n  On any computer or phone, open\n\n      " << code->verification_url
                << "\n\n  and enter the code\n\n      " << code->user_code << "\n\n  within " << minutes
                << " minutes.\n\n";
    if (!code->complete_verification_url.empty())
        console.err << "  Or open this, which has the code in it:\n      " << code->complete_verification_url << "\n\n";
    console.err << std::flush;
    Spinner spinner("Waiting for the sign-in", console.err, console.progress);
    auto interval = code->interval;
    const auto end = Clock::now() + code->lifetime;
    while (Clock::now() < end && !fiber.interrupted()) {
        pass_time(fiber, Clock::now() + interval, spinner);
        if (fiber.interrupted()) break;
        auto tokens = provider.poll_device_flow(fiber, *code);
        if (tokens) return tokens;
        const auto& refusal = tokens.error();
        // A provider that is down for a moment has not said no.
        if (refusal.kind != Kind::pending && refusal.kind != Kind::later) return tokens;
        if (refusal.wait) interval += *refusal.wait;
    }
    return given_up(fiber.interrupted() ? "interrupted" : "nobody has signed in within that time");
}

oauth::Answer<oauth::Tokens> by_browser(Fiber& fiber, const oauth::Provider& provider, const std::string& user,
                                        Console& console) {
    LocalRedirect redirect(fiber);
    // What each of them has registered for programs on a computer (RFC 8252 §7.3).
    const std::string host = provider.settings().provider == "microsoft" ? "http://localhost:" : "http://127.0.0.1:";
    auto begun = provider.begin_browser_flow(fiber, host + std::to_string(redirect.port()), user);
    if (!begun) return begun.error();
    console.err
        << "\n  Open this address in a browser and sign in:\n\n      " << begun->url
        << "\n\n  If the browser is on another computer, it will end on a page that cannot be shown. That is as it\n"
           "  should be: copy the address of that page, paste it here, and press Enter.\n\n"
        << std::flush;
    const auto parameters = redirect.wait(begun->state, Clock::now() + browser_patience, console.err);
    if (!parameters) return given_up(fiber.interrupted() ? "interrupted" : "nobody has signed in within 15 minutes");
    const auto get = [&](const char* name) {
        const auto found = parameters->find(name);
        return found == parameters->end() ? std::string() : found->second;
    };
    if (const auto error = get("error"); !error.empty())
        return oauth::Refusal{
            Kind::declined, "the provider did not sign you in", error + " " + get("error_description"), error, {}};
    const auto issuer = provider.issuer(fiber);
    if (issuer && !issuer->empty() && !get("iss").empty() && get("iss") != *issuer)
        return given_up("the answer came from another provider");
    if (get("code").empty()) return given_up("the answer holds no code");
    return provider.finish_browser_flow(fiber, *begun, get("code"));
}

}  // namespace

int log_in_account(Fiber& fiber, Accounts& accounts, const LoginRequest& request, std::int64_t now, Console& console) {
    const auto& user = request.user;
    const auto* const route = accounts.router.find(user);
    if (!route || !route->provider || route->provider->settings().grant != oauth::Grant::account) {
        console.err << "popgate: " << plain(user)
                    << (route ? ": its route has no oauth with tokens of each account's own\n"
                              : ": no route is for this user\n");
        return exit_usage;
    }
    const auto& provider = *route->provider;
    const auto name = oauth::display_name(provider.settings());
    bool with_device = request.flow == LoginFlow::device;
    if (request.flow == LoginFlow::automatic) {
        const auto offers = provider.offers_device_flow(fiber);
        if (!offers) return complain(console, offers.error());
        with_device = *offers;
    }
    const auto tokens = with_device ? by_device(fiber, provider, console) : by_browser(fiber, provider, user, console);
    if (!tokens) return complain(console, tokens.error());

    auto identity = tokens->identity;
    if (!identity || identity->email.empty()) {
        // Who it is can be told by the provider, or else is not known.
        auto asked = provider.identify(fiber, tokens->access_token);
        if (asked) identity = std::move(*asked);
    }
    const auto who = identity ? identity->email : std::string();
    if (!who.empty() && !equal_but_for_case(who, user) && !request.yes) {
        const auto question = plain(who) + " has signed in, for the account " + plain(user) + ". Is that right?";
        if (!request.can_ask) {
            console.err << "popgate: " << question << " Say --yes if it is.\n";
            return exit_failed;
        }
        if (!agrees(question)) {
            console.err << "popgate: nothing was kept\n";
            return exit_failed;
        }
    }
    if (auto status = accounts.tokens.keep(fiber, user, provider, *tokens); !status)
        return fail(console, status.error());
    bool wants_password = false;
    const auto bound = accounts.store.change_account(fiber, user, [&](Account& account) {
        wants_password = route->config.auth == ClientAuth::app_passwords && account.app_passwords.empty();
        const bool is_bound = !identity || account.subject == identity->subject;
        if (account.created != 0 && is_bound) return false;
        if (account.created == 0) account.created = now;
        if (identity) {
            account.issuer = identity->issuer;
            account.subject = identity->subject;
        }
        return true;
    });
    if (!bound) return fail(console, bound.error());
    if (console.json) {
        print_json(console.out, boost::json::object{{"user", json_string(user)},
                                                    {"connected", json_string(who)},
                                                    {"oauth", json_string(provider.settings().name)}});
    } else {
        console.out << "Connected: " << (who.empty() ? plain(user) : plain(who)) << " (" << plain(name)
                    << "). Its tokens are kept for " << plain(user) << ".\n";
        if (tokens->refresh_token.reveal().empty())
            console.err << "popgate: " << plain(name)
                        << " gave no refresh token: the access ends with this one. See the scopes of its [[oauth]].\n";
    }
    if (!wants_password) return exit_done;
    AccountChange change;
    change.app_password = "first device";
    return add_account(fiber, accounts, user, change, now, console);
}

}  // namespace popgate::commands
