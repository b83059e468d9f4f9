#include "gateway/commands/doctor_network.hpp"

#include "backends/ascii.hpp"
#include "backends/http/client.hpp"
#include "backends/http/url.hpp"
#include "backends/registry.hpp"
#include "gateway/commands/imap_probe.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/commands/side_by_side.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/oauth/wire.hpp"

#include <boost/asio/ip/address.hpp>

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <sstream>
#include <utility>

namespace popgate::commands {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 10s;
constexpr auto slow_name = 1s;
constexpr std::size_t longest_document = 256 * 1024;

constexpr const char* unreachable_advice =
    "Is the address right, is the server up, does a firewall stand in between? Try from here: openssl s_client, or nc.";
constexpr const char* tls_advice =
    "If the server's certificate is signed by an authority of your own, name that in ca_file; else the server needs "
    "another one.";

bool is_literal(const std::string& host) {
    boost::system::error_code error;
    boost::asio::ip::make_address(host, error);
    return !error;
}

/// What must be looked up, and how bad it is when it cannot be.
struct Name {
    std::string host;
    Verdict without = Verdict::failure;
    std::string advice;
};

std::string proxy_or(const std::string& proxy, const std::string& url) {
    return place_of(proxy.empty() ? url : proxy).host;
}

/// Where the provider says of itself what it offers; empty for one that is described by hand.
std::string discovery_url(const oauth::Settings& settings) {
    if (settings.provider == "google") return "https://accounts.google.com/.well-known/openid-configuration";
    if (settings.provider == "microsoft")
        return "https://login.microsoftonline.com/" + (settings.tenant.empty() ? "common" : settings.tenant) +
               "/v2.0/.well-known/openid-configuration";
    if (settings.issuer.empty()) return {};
    auto base = settings.issuer;
    while (base.ends_with('/')) base.pop_back();
    return base + "/.well-known/openid-configuration";
}

std::string url_of(const oauth::Settings& settings) {
    const auto url = discovery_url(settings);
    return url.empty() ? settings.token_url : url;
}

/// As programs find these pages and the POP3 server.
std::vector<std::string> public_names(const Config& config) {
    std::vector<std::string> names;
    for (const auto& name : {config.enrolment.pop3_host, place_of(config.enrolment.url).host})
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    return names;
}

std::vector<Name> names_of(const Config& config) {
    std::vector<Name> names;
    const auto add = [&](const std::string& host, Verdict without, const std::string& advice) {
        const bool is_known = std::ranges::any_of(names, [&](const Name& each) { return each.host == host; });
        if (!host.empty() && !is_literal(host) && !is_known) names.push_back({host, without, advice});
    };
    for (const auto& route : config.routes) {
        add(proxy_or(route.backend.http_proxy, route.backend.url), Verdict::failure,
            "Is the name in the route's backend right? Does DNS work here: getent hosts NAME");
        if (route.auth == ClientAuth::http)
            add(place_of(route.auth_url).host, Verdict::failure, "Is the name in auth_url right?");
    }
    for (const auto& each : config.oauth_providers)
        add(proxy_or(each.http_proxy, url_of(each)), Verdict::failure, "Is the name in the [[oauth]] right?");
    for (const auto& each : public_names(config))
        add(each, Verdict::warning, "Clients go there: give the name an address in DNS, unless only others see it.");
    std::array<char, 256> own{};
    if (::gethostname(own.data(), own.size() - 1) == 0)
        add(own.data(), Verdict::warning, "The machine's own name should be in DNS or /etc/hosts.");
    return names;
}

Finding judge_lookup(const Name& name, const Lookup& found) {
    const auto took = std::to_string(found.took.count()) + " ms";
    if (found.addresses.empty())
        return {"dns", name.host, name.without, "has no address: " + found.problem + ", after " + took, name.advice};
    if (found.took >= slow_name)
        return {"dns", name.host, Verdict::warning, found.addresses + ", but that took " + took,
                "Every session waits for it: see to the name servers in /etc/resolv.conf, or have a cache here."};
    return {"dns", name.host, Verdict::ok, found.addresses + " (" + took + ")"};
}

/// A credential that is none: nobody logs in.
std::unique_ptr<http::Credential> nobody() {
    http::CredentialForm form;
    form.kind = http::CredentialForm::Kind::none;
    return *http::make_credential(form, {}, {});
}

class NetworkExamination {
public:
    NetworkExamination(Fiber& fiber, const Config& config, std::int64_t (*now)())
        : fiber_(fiber), config_(config), now_(now) {}

    std::vector<Finding> run() {
        look_up_names();
        std::vector<std::function<void(Fiber&)>> tasks;
        std::vector<std::vector<Finding>> found;
        found.reserve(config_.routes.size() * 2 + config_.oauth_providers.size());  // they stay where they are
        const auto add = [&](const std::string& host, auto examine) {
            if (host.empty() || is_unknown(host)) return;
            auto& into = found.emplace_back();
            tasks.emplace_back([&into, examine](Fiber& fiber) {
                fiber.set_limit(Clock::now() + patience);
                into = examine(fiber);
            });
        };
        for (std::size_t i = 0; i < config_.routes.size(); ++i) {
            const auto& route = config_.routes[i];
            if (!was_seen_before(i))
                add(proxy_or(route.backend.http_proxy, route.backend.url),
                    [this, &route](Fiber& fiber) { return examine_upstream(fiber, route); });
            if (route.auth == ClientAuth::http)
                add(place_of(route.auth_url).host, [&route](Fiber& fiber) { return examine_hook(fiber, route); });
        }
        for (const auto& each : config_.oauth_providers)
            add(proxy_or(each.http_proxy, url_of(each)),
                [this, &each](Fiber& fiber) { return examine_provider(fiber, each); });
        side_by_side(fiber_, tasks);
        for (auto& each : found) std::ranges::move(each, std::back_inserter(findings_));
        std::ranges::move(judge_clock(clocks_), std::back_inserter(findings_));
        return std::move(findings_);
    }

private:
    void look_up_names() {
        const auto names = names_of(config_);
        std::vector<Lookup> answers(names.size());
        std::vector<std::function<void(Fiber&)>> tasks;
        for (std::size_t i = 0; i < names.size(); ++i)
            tasks.emplace_back(
                [&answers, &names, i](Fiber& fiber) { answers[i] = look_up(fiber, names[i].host, patience); });
        side_by_side(fiber_, tasks);
        for (std::size_t i = 0; i < names.size(); ++i) {
            findings_.push_back(judge_lookup(names[i], answers[i]));
            if (answers[i].addresses.empty()) unknown_.push_back(names[i].host);
        }
    }

    bool is_unknown(const std::string& host) const { return std::ranges::find(unknown_, host) != unknown_.end(); }

    /// Another route before it goes to the same place in the same way.
    bool was_seen_before(std::size_t index) const {
        const auto is_same = [](const RouteConfig& a, const RouteConfig& b) {
            return a.backend.url == b.backend.url && a.backend.ca_file == b.backend.ca_file &&
                   a.backend.verify_certificate == b.backend.verify_certificate &&
                   a.backend.starttls == b.backend.starttls && a.backend.http_proxy == b.backend.http_proxy &&
                   imap_login_of(a) == imap_login_of(b);
        };
        for (std::size_t i = 0; i < index; ++i)
            if (is_same(config_.routes[i], config_.routes[index])) return true;
        return false;
    }

    std::vector<Finding> examine_upstream(Fiber& fiber, const RouteConfig& route) {
        const auto& url = route.backend.url;
        const bool is_imap = url.starts_with("imap:") || url.starts_with("imaps:");
        if (!is_imap) return examine_http_upstream(fiber, route);
        auto probe = probe_imap(fiber, route.backend, place_of(url), patience);
        if (!probe)
            return {{"upstream", url, Verdict::failure, in_words(probe.error()),
                     probe.error().code == Errc::permanent ? tls_advice : unreachable_advice}};
        std::vector<Finding> findings{{"upstream", url, Verdict::ok, probe->description}};
        std::ranges::move(judge_capabilities(url, probe->capabilities, imap_login_of(route)),
                          std::back_inserter(findings));
        return findings;
    }

    std::vector<Finding> examine_http_upstream(Fiber& fiber, const RouteConfig& route) {
        const auto& url = route.backend.url;
        const auto place = place_of(url);
        const auto parsed = http::parse_url(url.starts_with("rest:") ? url.substr(5) : url);
        auto host = place.host;
        std::ranges::transform(host, host.begin(), [](char c) { return lower(c); });
        http::Url target{{place.tls, host, place.port}, parsed ? parsed->target : "/"};
        if (url.starts_with("jmap")) target.target = "/.well-known/jmap";
        const auto answer = ask(fiber, route.backend, target);
        if (answer && answer->status < 500)
            return {{"upstream", url, Verdict::ok, "answers, with HTTP status " + std::to_string(answer->status)}};
        if (answer)
            return {{"upstream", url, Verdict::warning, "answers with HTTP status " + std::to_string(answer->status),
                     "The server says that it has a fault: see its own log, or try again later."}};
        const bool by_srv = url.starts_with("jmap") && url.find('/', url.find("//") + 2) == std::string::npos;
        if (by_srv)
            return {{"upstream", url, Verdict::warning, in_words(answer.error()),
                     "DNS (_jmap._tcp) may name another host for it: popgate account test USER goes the whole way."}};
        return {{"upstream", url, Verdict::failure, in_words(answer.error()), unreachable_advice}};
    }

    /// A connection is all: a question would count as a login.
    static std::vector<Finding> examine_hook(Fiber& fiber, const RouteConfig& route) {
        const auto place = place_of(route.auth_url);
        auto stream = Stream::connect(fiber, place.host, place.port, patience);
        if (!stream)
            return {{"hook", route.auth_url, Verdict::failure, in_words(stream.error()),
                     "Start what answers there: until then nobody of this route can log in."}};
        if (place.tls) {
            const auto tls = TlsClientContext::make({}, true);
            const auto status = tls ? (*stream)->start_tls(**tls, place.host, patience) : Status(tls.error());
            if (!status) return {{"hook", route.auth_url, Verdict::failure, in_words(status.error()), tls_advice}};
        }
        (*stream)->close(0ms);
        return {{"hook", route.auth_url, Verdict::ok, "can be reached"}};
    }

    std::vector<Finding> examine_provider(Fiber& fiber, const oauth::Settings& settings) {
        const auto url = url_of(settings);
        const auto subject = settings.name + " (" + url + ")";
        const auto target = http::parse_url(url);
        if (!target) return {{"oauth", subject, Verdict::failure, in_words(target.error()), "Correct the [[oauth]]."}};
        BackendOptions options;
        options.ca_file = settings.ca_file;
        options.http_proxy = settings.http_proxy;
        const auto answer = ask(fiber, options, *target);
        if (!answer) return {{"oauth", subject, Verdict::failure, in_words(answer.error()), unreachable_advice}};
        const auto status = "HTTP status " + std::to_string(answer->status);
        if (discovery_url(settings).empty())
            return {{"oauth", subject, Verdict::ok, "the token endpoint answers, with " + status}};
        const char* const advice = "Is the issuer (or the tenant) of the [[oauth]] right, to the letter?";
        if (!answer->ok())
            return {{"oauth", subject, Verdict::failure, "there is no discovery document: " + status, advice}};
        if (settings.provider.empty()) {
            const auto read = oauth::read_discovery({answer->status, answer->body}, settings.issuer, settings.name);
            if (!read)
                return {{"oauth", subject, Verdict::failure,
                         read.error().text + (read.error().detail.empty() ? "" : " (" + read.error().detail + ")"),
                         advice}};
        }
        return {{"oauth", subject, Verdict::ok, "gives its discovery document"}};
    }

    /// Also compares the clocks.
    Result<http::Response> ask(Fiber& fiber, BackendOptions options, const http::Url& url) {
        options.connect_timeout = options.command_timeout = patience;
        auto upstream = http::Upstream::make(options, {});
        if (!upstream) return upstream.error();
        (*upstream)->patience = 0ms;
        (*upstream)->longest_answer = longest_document;
        (*upstream)->logs_answers = false;
        http::Client client(fiber, *upstream, "doctor", nobody());
        http::Request request;
        request.url = url;
        request.follows_redirects = false;
        auto answer = client.send(request);
        if (!answer) return answer;
        const auto date = parse_http_date(answer->header("Date"));
        const auto is_same_host = [&](const ClockReading& each) { return each.host == url.origin.host; };
        if (date && std::ranges::none_of(clocks_, is_same_host)) clocks_.push_back({url.origin.host, now_() - *date});
        return answer;
    }

    Fiber& fiber_;
    const Config& config_;
    std::int64_t (*now_)();
    std::vector<Finding> findings_;
    std::vector<std::string> unknown_;
    std::vector<ClockReading> clocks_;
};

}  // namespace

std::vector<Finding> examine_network(Fiber& fiber, const Config& config, std::int64_t (*now)()) {
    return NetworkExamination(fiber, config, now).run();
}

ImapLogin imap_login_of(const RouteConfig& route) {
    if (route.upstream() == UpstreamAuth::master) return ImapLogin::master;
    if (route.upstream() == UpstreamAuth::oauth || route.auth == ClientAuth::oauth) return ImapLogin::token;
    return ImapLogin::password;
}

std::vector<Finding> judge_capabilities(const std::string& url, std::string_view capabilities, ImapLogin login) {
    std::istringstream text{std::string(capabilities)};
    const std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};
    const auto has = [&](const char* word) { return std::ranges::find(words, word) != words.end(); };
    const auto failure = [&](std::string what, std::string advice) {
        return Finding{"imap", url, Verdict::failure, std::move(what), std::move(advice)};
    };
    std::vector<Finding> findings;
    if (!has("IMAP4REV1") && !has("IMAP4REV2"))
        findings.push_back(failure("the server does not say that it speaks IMAP4rev1", "Is it the right port?"));
    else if (login == ImapLogin::token && !has("AUTH=OAUTHBEARER") && !has("AUTH=XOAUTH2"))
        findings.push_back(failure("the server takes no OAuth2 tokens (neither OAUTHBEARER nor XOAUTH2)",
                                   "Have its administrator switch that on, or let the route go by passwords."));
    else if (login == ImapLogin::master && !has("AUTH=PLAIN"))
        findings.push_back(failure("the server lets no user in as another (no AUTH=PLAIN)",
                                   "upstream_auth = \"master\" needs SASL PLAIN: switch it on there."));
    else if (login == ImapLogin::password && has("LOGINDISABLED") && !has("AUTH=PLAIN"))
        findings.push_back(failure("the server takes no passwords here (LOGINDISABLED)",
                                   "Use TLS (imaps:, or starttls = \"require\"); where it is used already, the server "
                                   "wants OAuth2: see oauth of a route."));
    else
        findings.push_back({"imap", url, Verdict::ok,
                            login == ImapLogin::token    ? "takes OAuth2 tokens"
                            : login == ImapLogin::master ? "takes a master user"
                                                         : "takes passwords"});
    if (!has("UIDPLUS"))
        findings.push_back({"imap", url, Verdict::warning, "the server has no UIDPLUS",
                            "What other programs mark as deleted meanwhile may go earlier: see operating.md."});
    return findings;
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
    std::tm date{};
    const std::string copy(text);
    const auto* const rest = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (!rest || *rest != '\0') return std::nullopt;
    return ::timegm(&date);
}

}  // namespace popgate::commands
