#include "gateway/commands/account_test.hpp"

#include "gateway/commands/account_commands.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/config/names.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/oauth/presets.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <ostream>
#include <string_view>
#include <utility>

namespace popgate::commands {

namespace {

using namespace std::chrono_literals;

constexpr auto connect_timeout = 15s;
constexpr auto listing_patience = 20s;

/// What is tried, one step after the other; the first that fails ends it.
class Steps {
public:
    explicit Steps(Console& console) : console_(console) {}

    void good(std::string_view step, const std::string& what) { tell(step, true, what, {}); }
    int bad(std::string_view step, const std::string& what, const std::string& advice) {
        tell(step, false, what, advice);
        return exit_failed;
    }

private:
    void tell(std::string_view step, bool is_good, const std::string& what, const std::string& advice) {
        if (console_.json)
            return print_json(console_.out, boost::json::object{{"step", json_string(step)},
                                                                {"good", is_good},
                                                                {"found", json_string(what)},
                                                                {"advice", json_string(advice)}});
        const std::string_view sign = speaks_utf8() ? (is_good ? "✓" : "✗") : (is_good ? "ok  " : "FAIL");
        console_.out << sign << ' ' << step << ": " << plain(what) << '\n';
        if (!advice.empty()) console_.out << "    " << advice << '\n';
        console_.out << std::flush;
    }

    Console& console_;
};

int test_connection(Fiber& fiber, const RouteConfig& route, const Place& place, Steps& steps) {
    const auto found = look_up(fiber, place.host, connect_timeout);
    if (found.addresses.empty())
        return steps.bad("name", place.host + " has no address",
                         "Is the name of the backend right, does DNS work here?");
    steps.good("name", place.host + ": " + found.addresses);
    auto stream = Stream::connect(fiber, place.host, place.port, connect_timeout);
    if (!stream)
        return steps.bad("connection", in_words(stream.error()),
                         "Is the name of the backend right, does this machine reach it, does a firewall forbid it?");
    steps.good("connection", place.host + " port " + place.port);
    if (!place.tls) return exit_done;
    const auto tls = TlsClientContext::make(route.backend.ca_file, route.backend.verify_certificate);
    if (!tls) return steps.bad("TLS", tls.error().text, "See ca_file of the route.");
    if (auto status = (*stream)->start_tls(**tls, place.host, connect_timeout); !status)
        return steps.bad("TLS", in_words(status.error()),
                         "If the server's certificate is signed by an authority of your own, name it in ca_file.");
    steps.good("TLS", (*stream)->tls_description() + (route.backend.verify_certificate
                                                          ? ", the certificate is good"
                                                          : ", THE CERTIFICATE WAS NOT VERIFIED"));
    (*stream)->close(0ms);
    return exit_done;
}

int test_tokens(Fiber& fiber, Accounts& accounts, const Route& route, const std::string& user,
                const UpstreamLogin& login, std::int64_t now, Steps& steps) {
    const auto& settings = route.provider->settings();
    const auto name = oauth::display_name(settings);
    if (settings.grant == oauth::Grant::account) {
        const auto stored = accounts.store.tokens(fiber, user);
        if (!stored) return steps.bad("tokens", in_words(stored.error()), "See popgate secrets check.");
        const auto sign_in = "Have its owner sign in: popgate account login " + plain(user);
        if (!*stored) return steps.bad("tokens", "nobody has signed in with " + name, sign_in);
        if (!(*stored)->refusal.empty()) return steps.bad("tokens", token_state(**stored, now), sign_in);
        steps.good("tokens", name + ", " + token_state(**stored, now));
    }
    const auto token = login.tokens->token(fiber);
    if (token) {
        steps.good("access token", "there is one");
        return exit_done;
    }
    const auto& error = token.error();
    if (error.code == Errc::sign_in)
        return steps.bad("access token", in_words(error),
                         "Have its owner sign in: popgate account login " + plain(user));
    return steps.bad("access token", in_words(error),
                     error.code == Errc::permanent
                         ? "See client_id, client secret or certificate, tenant and scopes of the [[oauth]] \"" +
                               plain(settings.name) + "\"."
                         : "Nothing is lost: the provider may be down. Try again later.");
}

/// Enough of a message to see that one comes.
class Taste final : public BodySink {
public:
    bool write(std::string_view text) noexcept override {
        octets += text.size();
        return octets < 1000;
    }
    std::size_t octets = 0;
};

int test_mailbox(Fiber& fiber, const Admitted& admitted, Steps& steps) {
    auto mailbox = admitted.backend->open(fiber, admitted.login);
    if (!mailbox) {
        const auto& error = mailbox.error();
        const bool by_token = admitted.login.tokens != nullptr;
        return steps.bad(
            "login", in_words(error),
            error.code == Errc::auth
                ? (by_token ? "Does the token's scope fit this upstream, may this user use it (IMAP can be switched "
                              "off for a mailbox), and is its name there right (upstream_user)?"
                            : "Is the password right, and the name at the upstream (upstream_user)?")
                : "The mail server says why.");
    }
    steps.good("login", "as " + admitted.login.user);
    KnownMailbox nothing;
    nothing.patience = listing_patience;
    nothing.wants_arrival = false;
    auto listing = (*mailbox)->list(std::move(nothing));
    if (!listing) {
        (*mailbox)->close();
        return steps.bad("folder", in_words(listing.error()), "See folder of the route.");
    }
    std::uint64_t octets = 0;
    for (const auto& each : listing->messages) octets += each.octets;
    const auto more = listing->still_to_come;
    steps.good("folder", std::to_string(listing->messages.size()) + " messages" +
                             (more > 0 ? " so far, " + std::to_string(more) + " to come" : "") + ", " +
                             std::to_string(octets) + " octets");
    int exit_code = exit_done;
    if (listing->messages.empty()) {
        steps.good("message", "there is none to try");
    } else {
        Taste taste;
        const auto status = (*mailbox)->fetch_top(listing->messages.back(), taste);
        if (!status && status.error().code != Errc::sink_closed)
            exit_code = steps.bad("message", in_words(status.error()), "The mailbox lists it, and does not give it.");
        else
            steps.good("message", "the newest one comes");
    }
    (*mailbox)->close();
    return exit_code;
}

}  // namespace

int test_account(Fiber& fiber, Accounts& accounts, const std::string& user, Secret password, std::int64_t now,
                 Console& console) {
    Steps steps(console);
    const auto* const route = accounts.router.find(user);
    if (!route) return steps.bad("route", "none is for " + user, "See match of the routes, and [login].");
    const auto& config = route->config;
    steps.good("route", "match = \"" + config.match + "\", " + config.backend.url + ", clients by " +
                            std::string(name_of(config.auth, client_auth_names)));
    if (const auto place = place_of(config.backend.url); !place.host.empty() && config.backend.http_proxy.empty())
        if (const int code = test_connection(fiber, config, place, steps); code != exit_done) return code;
    const auto admitted = accounts.authenticator.vouch(fiber, user, std::move(password));
    if (!admitted) return steps.bad("access", in_words(admitted.error()), "See popgate account add --help.");
    if (admitted->login.tokens)
        if (const int code = test_tokens(fiber, accounts, *route, user, admitted->login, now, steps); code != exit_done)
            return code;
    return test_mailbox(fiber, *admitted, steps);
}

}  // namespace popgate::commands
