#include "gateway/config/check_accounts.hpp"

#include "backends/ascii.hpp"
#include "backends/http/url.hpp"
#include "backends/registry.hpp"
#include "backends/user_path.hpp"
#include "gateway/config/endpoint.hpp"
#include "gateway/config/files.hpp"
#include "gateway/config/names.hpp"
#include "gateway/net/client_network.hpp"
#include "gateway/oauth/presets.hpp"
#include "gateway/oauth/provider.hpp"
#include "gateway/oauth/wire.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace popgate {

namespace {

bool is_imap(std::string_view kind) { return kind == "imap" || kind == "imaps"; }
bool is_local(std::string_view kind) { return kind == "maildir" || kind == "mbox"; }

std::string_view kind_of(const RouteConfig& route) {
    return std::string_view(route.backend.url).substr(0, route.backend.url.find(':'));
}

std::string in_words(ClientAuth auth) { return in_quotes(name_of(auth, client_auth_names)); }
std::string in_words(UpstreamAuth auth) { return in_quotes(name_of(auth, upstream_auth_names)); }

/// Empty, or what is wrong with a text that has %u, %n and %d in it.
std::string why_no_pattern(const std::string& pattern) {
    const auto expanded = expand_user_path(pattern, "name@example.com");
    return expanded || expanded.error().code == Errc::auth ? std::string() : expanded.error().text;
}

class AccountsChecker {
public:
    explicit AccountsChecker(const Config& config) : config_(config) {}

    std::vector<ConfigProblem> check() {
        for (std::size_t i = 0; i < config_.oauth_providers.size(); ++i) check_provider(i);
        for (std::size_t i = 0; i < config_.routes.size(); ++i) check_route(i);
        for (std::size_t i = 0; i < config_.listeners.size(); ++i) check_listener(i);
        check_login();
        check_enrolment();
        check_admin();
        return std::move(problems_);
    }

private:
    void check_provider(std::size_t index) {
        const auto& settings = config_.oauth_providers[index];
        const auto path = "oauth[" + std::to_string(index) + "].";
        for (auto& problem : oauth::check(settings)) error(path + problem.key, std::move(problem.text));
        const auto first = std::ranges::find(config_.oauth_providers, settings.name, &oauth::Settings::name);
        if (!settings.name.empty() && &*first != &settings)
            error(path + "name", in_quotes(settings.name) + " is there twice");
        if (!settings.ca_file.empty())
            if (const auto problem = why_no_authorities(settings.ca_file); !problem.empty())
                error(path + "ca_file", problem);
    }

    void check_route(std::size_t index) {
        const auto& route = config_.routes[index];
        const auto path = "route[" + std::to_string(index) + "].";
        // What is wrong with the backend itself has been told.
        auto options = route.backend;
        options.ca_file.clear();
        const auto backend = make_backend(options);
        if (!backend) return;
        check_client(route, (*backend)->checks_password(), path);
        check_upstream(route, path);
        if (const auto problem = why_no_pattern(route.upstream_user); !problem.empty())
            error(path + "upstream_user", problem);
    }

    void check_client(const RouteConfig& route, bool upstream_checks, const std::string& path) {
        const auto upstream = route.upstream();
        if (!route.password_file.empty() && route.auth != ClientAuth::password_file)
            warning(path + "password_file", "has no effect without auth = \"password-file\"");
        if (!route.auth_url.empty() && route.auth != ClientAuth::http)
            warning(path + "auth_url", "has no effect without auth = \"http\"");
        const bool proves_itself = route.auth != ClientAuth::passthrough && route.auth != ClientAuth::oauth;
        if (proves_itself && route.auth != ClientAuth::http && upstream == UpstreamAuth::client && upstream_checks)
            return error(path + "auth",
                         in_quotes(std::string(kind_of(route)) + ':') + " wants the user's own password, which " +
                             in_words(route.auth) +
                             " does not give it: auth = \"passthrough\", or an upstream_auth, is needed");
        switch (route.auth) {
            case ClientAuth::passthrough:
                if (upstream != UpstreamAuth::client)
                    error(path + "auth", "with upstream_auth = " + in_words(upstream) +
                                             " nobody checks what the client gives: \"app-passwords\", "
                                             "\"password-file\", \"pam\", \"http\" or \"certificate\" is needed");
                else if (!upstream_checks)
                    error(path + "auth",
                          in_quotes(std::string(kind_of(route)) + ':') + " checks no password itself" + why_not(route) +
                              ": auth = \"password-file\" and a password_file are needed, or another auth");
                return;
            case ClientAuth::oauth:
                if (upstream != UpstreamAuth::client)
                    error(path + "upstream_auth", "goes without auth = \"oauth\", which passes the client's token on");
                if (is_local(kind_of(route)) || !route.backend.token_file.empty())
                    error(path + "auth", "\"oauth\" goes with an upstream that takes the client's token");
                return;
            case ClientAuth::password_file: return check_password_file(route, path);
            case ClientAuth::http: return check_hook(route, path);
            case ClientAuth::certificate: {
                const auto asks = [](const ListenConfig& listen) {
                    return listen.client_certificates != ClientCertificates::off;
                };
                if (std::ranges::none_of(config_.listeners, asks))
                    error(path + "auth", "no listener asks for certificates (client_certificates)");
                break;
            }
            case ClientAuth::pam: return check_pam_service(route, path);
            case ClientAuth::app_passwords: break;
        }
    }

    void check_pam_service(const RouteConfig& route, const std::string& path) {
        const auto& service = route.pam_service;
        if (service.empty() || service.find('/') != std::string::npos)
            return error(path + "pam_service", in_quotes(service) + " is no name of a file in /etc/pam.d");
        const auto is_there = [](const std::string& file) { return ::access(file.c_str(), F_OK) == 0; };
        const bool is_known = is_there("/etc/pam.d/" + service) || is_there("/usr/lib/pam.d/" + service);
        if (!is_known && is_there("/etc/pam.d"))  // else /etc/pam.conf has them all
            warning(path + "pam_service", "there is no /etc/pam.d/" + service + ", so PAM goes by /etc/pam.d/other");
    }

    void check_password_file(const RouteConfig& route, const std::string& path) {
        if (route.password_file.empty())
            return error(path + "password_file", "is missing, and auth = \"password-file\" needs it");
        if (const auto problem = why_unreadable(route.password_file); !problem.empty())
            return error(path + "password_file", problem);
        if (is_readable_by_all(route.password_file))
            warning(path + "password_file", route.password_file + " can be read by everybody on this machine");
    }

    void check_hook(const RouteConfig& route, const std::string& path) {
        if (route.auth_url.empty()) return error(path + "auth_url", "is missing, and auth = \"http\" needs it");
        if (!http::parse_url(route.auth_url))
            return error(path + "auth_url",
                         in_quotes(route.auth_url) + " is no URL such as http://127.0.0.1:9000/auth");
        if (!oauth::is_safe_url(route.auth_url))
            warning(path + "auth_url", "passwords travel in clear to " + http::parse_url(route.auth_url)->origin.host);
    }

    void check_upstream(const RouteConfig& route, const std::string& path) {
        const auto kind = kind_of(route);
        const auto upstream = route.upstream();
        if (upstream != UpstreamAuth::client && is_local(kind))
            return error(path + (route.upstream_auth ? "upstream_auth" : "oauth"),
                         "goes with a mailbox on a server only");
        if (upstream != UpstreamAuth::client && !route.backend.token_file.empty())
            error(path + "token_file", "goes without upstream_auth = " + in_words(upstream));
        if (upstream != UpstreamAuth::master && (!route.master_user.empty() || !route.master_password_file.empty()))
            error(path + (route.master_user.empty() ? "master_password_file" : "master_user"),
                  "goes with upstream_auth = \"master\" only");
        if (upstream != UpstreamAuth::oauth && !route.oauth.empty())
            error(path + "oauth", "goes with upstream_auth = \"oauth\" only");
        if (upstream == UpstreamAuth::master) check_master(route, path);
        if (upstream == UpstreamAuth::oauth) check_oauth(route, path);
    }

    void check_master(const RouteConfig& route, const std::string& path) {
        if (!is_imap(kind_of(route))) error(path + "upstream_auth", "\"master\" goes with imap: and imaps: only");
        if (route.master_user.empty())
            error(path + "master_user", "is missing, and upstream_auth = \"master\" needs it");
        if (route.master_password_file.empty())
            error(path + "master_password_file", "is missing, and upstream_auth = \"master\" needs it");
    }

    void check_oauth(const RouteConfig& route, const std::string& path) {
        if (route.oauth.empty()) return error(path + "oauth", "is missing, and upstream_auth = \"oauth\" needs it");
        if (route.backend.http_auth == "none" || route.backend.http_auth == "basic")
            error(path + "http_auth", "goes without oauth: a token is sent as \"bearer\" or in a \"header NAME\"");
        const auto settings = std::ranges::find(config_.oauth_providers, route.oauth, &oauth::Settings::name);
        if (settings == config_.oauth_providers.end())
            return error(path + "oauth", "there is no [[oauth]] with the name " + in_quotes(route.oauth));
        if (!oauth::check(*settings).empty()) return;  // told
        auto without_ca = *settings;
        without_ca.ca_file.clear();
        if (const auto provider = oauth::Provider::make(without_ca, route.backend.url); !provider)
            error(path + "oauth", provider.error().text);
    }

    /// Of a kind that usually checks passwords.
    static std::string why_not(const RouteConfig& route) {
        if (!route.backend.token_file.empty()) return " with a token_file";
        return route.backend.http_auth.empty() ? "" : " with http_auth = " + in_quotes(route.backend.http_auth);
    }

    void check_listener(std::size_t index) {
        const auto& listen = config_.listeners[index];
        const auto path = "listen[" + std::to_string(index) + "].";
        if (listen.client_certificates != ClientCertificates::off) {
            // A proxy that ends the client's TLS has its own authorities.
            const bool at_proxy = listen.tls == TlsMode::none && listen.proxy_protocol;
            if (listen.tls == TlsMode::none && !at_proxy) error(path + "client_certificates", "goes with TLS only");
            if (listen.client_ca_file.empty() && !at_proxy)
                error(path + "client_ca_file", "is missing, and client_certificates needs it");
        }
        if (!listen.client_ca_file.empty())
            if (const auto problem = why_no_authorities(listen.client_ca_file); !problem.empty())
                error(path + "client_ca_file", problem);
        const auto takes_secrets = [](const RouteConfig& route) {
            return route.auth != ClientAuth::passthrough && route.auth != ClientAuth::oauth;
        };
        for (const auto& [key, is_on] : {std::pair{"apop", listen.apop}, std::pair{"cram_md5", listen.cram_md5}}) {
            if (!is_on) continue;
            if (std::ranges::none_of(config_.routes, takes_secrets))
                error(path + key, "no route has an auth that goes with shared secrets");
            else
                warning(path + key,
                        "MD5 has been broken, and the accounts' secrets are kept in a form that can be read: "
                        "for programs that know nothing better");
        }
        if (const auto networks = Networks::parse(listen.rpop_from); !networks)
            error(path + "rpop_from", networks.error().text);
        else if (!listen.rpop_from.empty())
            warning(path + "rpop_from",
                    "WHOEVER CAN SEND FROM THERE READS EVERYBODY'S MAIL without a password: " + listen.rpop_from);
        const auto& proxies = listen.trusted_proxies;
        const auto networks = Networks::parse(proxies);
        if (!networks)
            error(path + "trusted_proxies", networks.error().text);
        else if (listen.proxy_protocol && proxies.empty())
            error(path + "trusted_proxies", "is missing: nobody would be served where proxy_protocol is true");
        else if (!listen.proxy_protocol && !proxies.empty())
            warning(path + "trusted_proxies", "is of no use without proxy_protocol = true");
        else if (networks->contains("192.0.2.1") && networks->contains("203.0.113.1"))
            warning(path + "trusted_proxies", "ANYBODY MAY SAY WHO HE IS: name the proxies alone");
    }

    void check_login() {
        const auto& login = config_.login;
        if (login.default_domain.find('@') != std::string::npos) error("login.default_domain", "holds an @");
        if (!login.sign_in_command.empty())
            if (const auto problem = why_unreadable(login.sign_in_command); !problem.empty())
                error("login.sign_in_command", problem);
        for (std::size_t i = 0; i < login.aliases.size(); ++i) {
            const auto path = "alias[" + std::to_string(i) + "].";
            const auto& [from, to] = login.aliases[i];
            if (from.empty()) error(path + "from", "is missing, as \"*@old.example\"");
            if (to.empty()) error(path + "to", "is missing, as \"%n@new.example\"");
            if (const auto problem = why_no_pattern(to); !problem.empty()) error(path + "to", problem);
        }
    }

    void check_enrolment() {
        const auto& enrolment = config_.enrolment;
        if (enrolment.listen.empty()) return;
        const auto endpoint = parse_endpoint(enrolment.listen);
        if (!endpoint) return error("enrolment.listen", in_quotes(enrolment.listen) + " is no IP address with a port");
        if (enrolment.tls && certificate_files(config_).empty())
            error("enrolment.tls", "TLS needs a certificate and its key (certificate and key in [tls])");
        if (!enrolment.tls && !endpoint->address().is_loopback())
            error("enrolment.tls", "without TLS these pages may be served on loopback only, behind a web server");
        const auto url = http::parse_url(enrolment.url);
        if (enrolment.url.empty())
            error("enrolment.url", "is missing, as \"https://mail.example.com:8443\"");
        else if (!url || !oauth::is_safe_url(enrolment.url) || (url->target != "/" && !url->target.empty()))
            error("enrolment.url", in_quotes(enrolment.url) + " is no https: address without a path");
    }

    void check_admin() {
        const auto addresses = words_of(config_.admin.listen);
        for (auto each = addresses.begin(); each != addresses.end(); ++each) {
            const auto endpoint = parse_endpoint(*each);
            if (!endpoint && !parse_unix_address(*each)) {
                error("admin.listen", in_quotes(*each) +
                                          " is no IP address with a port, and no \"unix:\" with an "
                                          "absolute path of at most 107 octets");
            } else if (std::find(addresses.begin(), each, *each) != each && (!endpoint || endpoint->port() != 0)) {
                error("admin.listen", in_quotes(*each) + " is there twice");
            }
        }
    }

    void error(std::string key, std::string text) {
        problems_.push_back({{}, 0, std::move(key), std::move(text), false});
    }
    void warning(std::string key, std::string text) {
        problems_.push_back({{}, 0, std::move(key), std::move(text), true});
    }

    const Config& config_;
    std::vector<ConfigProblem> problems_;
};

}  // namespace

std::vector<ConfigProblem> check_accounts(const Config& config) { return AccountsChecker(config).check(); }

}  // namespace popgate
