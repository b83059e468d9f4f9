#include "backends/ascii.hpp"
#include "gateway/config/check_accounts.hpp"
#include "gateway/config/check_certificates.hpp"
#include "gateway/config/check_policies.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/endpoint.hpp"
#include "gateway/config/files.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/pattern.hpp"
#include "gateway/config/rest_apis.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/url/parse.hpp>
#include <cctype>
#include <iterator>
#include <utility>

namespace popgate {

namespace {

bool is_loopback(const std::string& host) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    return error ? host == "localhost" : address.is_loopback();
}

/// What a backend refuses for its own sake, and not for the URL's.
constexpr std::pair<const char*, std::string BackendOptions::*> judged_alone[] = {
    {"http_auth", &BackendOptions::http_auth},
    {"http_proxy", &BackendOptions::http_proxy},
    {"mailbox", &BackendOptions::mailbox},
    {"token_file", &BackendOptions::token_file},
    {"trash_folder", &BackendOptions::trash_folder},
    {"archive_folder", &BackendOptions::archive_folder},
    {"unique_ids", &BackendOptions::unique_ids},
    {"state_name", &BackendOptions::state_name},
    {"trusted_origins", &BackendOptions::trusted_origins},
};

class Checker {
public:
    explicit Checker(const Config& config) : config_(config) {}

    std::vector<ConfigProblem> check() {
        check_listeners();
        std::ranges::move(check_certificates(config_), std::back_inserter(problems_));
        const std::string& user = config_.process.user;
        if (!user.empty() && !is_user(user)) error("process.user", "this machine has no user " + in_quotes(user));
        if (config_.routes.empty()) error("route", "at least one [[route]] is needed");
        for (std::size_t i = 0; i < config_.routes.size(); ++i) check_route(i);
        std::ranges::move(check_http_routes(config_), std::back_inserter(problems_));
        std::ranges::move(check_accounts(config_), std::back_inserter(problems_));
        std::ranges::move(check_policies(config_), std::back_inserter(problems_));
        return std::move(problems_);
    }

private:
    void check_listeners() {
        if (config_.listeners.empty()) error("listen", "at least one [[listen]] is needed");
        std::vector<boost::asio::ip::tcp::endpoint> taken;
        std::vector<std::string_view> taken_names;
        for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
            const ListenConfig& listen = config_.listeners[i];
            const std::string path = "listen[" + std::to_string(i) + "].";
            if (listen.tls != TlsMode::none && listen.min_tls < TlsVersion::tls1_2) {
                warning(path + "min_tls", "TLS below 1.2 can be broken; use it for old devices only");
            }
            if (const auto name = passed_socket_name(listen.address)) {
                if (!is_socket_name(*name)) {
                    error(path + "address", in_quotes(*name) +
                                                " is no name of a socket; write it as the socket unit's "
                                                "FileDescriptorName, as \"systemd:pop3\"");
                    continue;
                }
                if (std::ranges::find(taken_names, *name) != taken_names.end()) {
                    error(path + "address", in_quotes(listen.address) + " is listened on twice");
                }
                taken_names.push_back(*name);
                check_clear_text(listen, path, false);
                continue;
            }
            const auto endpoint = parse_endpoint(listen.address);
            if (!endpoint) {
                error(path + "address",
                      listen.address.empty()
                          ? "is missing; write it as \"127.0.0.1:110\" or \"[::1]:110\""
                          : '"' + listen.address +
                                "\" is no IP address with a port, as \"127.0.0.1:110\" or \"[::1]:110\"");
                continue;
            }
            if (endpoint->port() != 0 && std::find(taken.begin(), taken.end(), *endpoint) != taken.end()) {
                error(path + "address", '"' + listen.address + "\" is listened on twice");
            }
            taken.push_back(*endpoint);
            check_clear_text(listen, path, endpoint->address().is_loopback());
        }
    }

    void check_clear_text(const ListenConfig& listen, const std::string& path, bool loopback) {
        if (loopback) return;
        if (listen.tls == TlsMode::none) {
            warning(path + "tls", "without TLS, passwords and mail travel in clear to and from " + listen.address);
        } else if (listen.tls == TlsMode::starttls && !listen.require_tls) {
            warning(path + "require_tls", "whoever logs in without STLS sends the password in clear");
        }
    }

    void check_route(std::size_t index) {
        const RouteConfig& route = config_.routes[index];
        const std::string path = "route[" + std::to_string(index) + "].";
        check_match(index, path);
        check_upstream(route.backend, path);
        if (route.backend.url.empty()) return error(path + "backend", "is missing, as \"imaps://imap.example.com\"");
        const bool is_rest = in_lower_case(route.backend.url).starts_with("rest:");
        // What is wrong with it has been told under its own name.
        if (is_rest && (!route.backend.rest_api || !rest::check(*route.backend.rest_api).empty())) return;
        BackendOptions plain = route.backend;
        plain.ca_file.clear();  // it has been judged under its own name
        for (const auto& [key, option] : judged_alone) plain.*option = BackendOptions{}.*option;
        const auto backend = make_backend(plain);
        if (!backend) return error(path + "backend", backend.error().text);
        for (const auto& [key, option] : judged_alone) {
            if (route.backend.*option == plain.*option) continue;
            BackendOptions options = plain;
            options.*option = route.backend.*option;
            if (const auto made = make_backend(options); !made) error(path + key, made.error().text);
        }
    }

    void check_match(std::size_t index, const std::string& path) {
        const std::string& match = config_.routes[index].match;
        if (match.empty()) return error(path + "match", "must not be empty; \"*\" is for all users");
        for (std::size_t earlier = 0; earlier < index; ++earlier) {
            if (!covers_pattern(config_.routes[earlier].match, match)) continue;
            return warning(path + "match",
                           "this route is never used: route[" + std::to_string(earlier) + "] takes all its users");
        }
    }

    void check_upstream(const BackendOptions& backend, const std::string& path) {
        if (!backend.ca_file.empty()) {
            const std::string problem = why_no_authorities(backend.ca_file);
            if (!problem.empty()) error(path + "ca_file", problem);
        }
        if (!backend.verify_certificate) {
            warning(path + "verify_certificate",
                    "THE UPSTREAM'S CERTIFICATE IS NOT VERIFIED: anybody in between can read passwords and mail");
        }
        if (backend.starttls == StartTls::none) {
            const auto url = boost::urls::parse_uri(backend.url);
            if (url && in_lower_case(url->scheme()) == "imap" && !is_loopback(url->host_address())) {
                warning(path + "starttls", "passwords and mail travel in clear to and from " + url->host());
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

std::vector<ConfigProblem> check_config(const Config& config) { return Checker(config).check(); }

}  // namespace popgate
