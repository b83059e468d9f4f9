#include "gateway/config/rest_apis.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/url/parse.hpp>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

namespace popgate {

namespace {

const rest::Description* find_api(const Config& config, const std::string& name) {
    const auto own = std::ranges::find(config.rest_apis, name, &rest::Description::name);
    return own == config.rest_apis.end() ? rest::find_preset(name) : &*own;
}

bool begins_with_scheme(std::string_view url, std::string_view scheme) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return url.size() >= scheme.size() && std::ranges::equal(url.substr(0, scheme.size()), scheme, {}, lower);
}

bool is_http(const std::string& url) {
    constexpr std::string_view schemes[] = {"jmaps:", "jmap:", "gmail:", "graph:", "rest:"};
    return std::ranges::any_of(schemes, [&](auto scheme) { return begins_with_scheme(url, scheme); });
}

/// The host where it is spoken to without TLS; empty otherwise.
std::string host_in_clear(const std::string& url) {
    const auto inner = begins_with_scheme(url, "jmap:") ? url : url.substr(url.find(':') + 1);
    const auto parsed = boost::urls::parse_uri(inner);
    if (!parsed || !(begins_with_scheme(inner, "http:") || begins_with_scheme(inner, "jmap:"))) return {};
    boost::system::error_code error;
    const std::string host = parsed->host_address();
    const auto address = boost::asio::ip::make_address(host, error);
    return (error ? host == "localhost" : address.is_loopback()) ? std::string() : host;
}

class RestChecker {
public:
    explicit RestChecker(const Config& config) : config_(config) {}

    std::vector<ConfigProblem> check() {
        for (std::size_t i = 0; i < config_.rest_apis.size(); ++i) check_api(i);
        for (std::size_t i = 0; i < config_.routes.size(); ++i)
            check_route(config_.routes[i], "route[" + std::to_string(i) + "].");
        return std::move(problems_);
    }

private:
    void check_api(std::size_t index) {
        const auto& api = config_.rest_apis[index];
        const auto path = "rest[" + std::to_string(index) + "].";
        for (auto& problem : rest::check(api)) add(path + problem.key, std::move(problem.text));
        const auto first = std::ranges::find(config_.rest_apis, api.name, &rest::Description::name);
        if (!api.name.empty() && &*first != &api) add(path + "name", '"' + api.name + "\" is there twice");
        if (rest::find_preset(api.name)) add(path + "name", '"' + api.name + "\" is the name of a preset");
    }

    void check_route(const RouteConfig& route, const std::string& path) {
        const auto& backend = route.backend;
        if (backend.url.empty()) return;
        const bool http = is_http(backend.url);
        for (const auto& [key, is_said] : {std::pair<const char*, bool>{"http_auth", !backend.http_auth.empty()},
                                           {"token_file", !backend.token_file.empty()},
                                           {"http_proxy", !backend.http_proxy.empty()},
                                           {"mailbox", !backend.mailbox.empty()},
                                           {"concurrent_requests", backend.concurrent_requests != 0}})
            if (is_said && !http) add(path + key, "goes with a backend that is reached over HTTP only");
        if (!backend.trusted_origins.empty() && !begins_with_scheme(backend.url, "jmaps:") &&
            !begins_with_scheme(backend.url, "jmap:"))
            add(path + "trusted_origins", "goes with jmaps: only");
        if (backend.units_per_minute != 0 && !begins_with_scheme(backend.url, "gmail:"))
            add(path + "units_per_minute", "goes with gmail: only");
        if (http) {
            if (const auto host = host_in_clear(backend.url); !host.empty())
                add(path + "backend", "passwords and mail travel in clear to and from " + host, true);
        }
        check_rest(route, path);
    }

    void check_rest(const RouteConfig& route, const std::string& path) {
        if (!begins_with_scheme(route.backend.url, "rest:")) {
            if (!route.rest_api.empty()) add(path + "rest_api", "goes with rest: only");
            return;
        }
        if (route.rest_api.empty())
            return add(path + "rest_api",
                       "is missing: \"maildev\", \"mailpit\", \"wildduck\" or the name of a [[rest]]");
        const auto* api = find_api(config_, route.rest_api);
        if (!api)
            return add(path + "rest_api", "there is no [[rest]] and no preset \"" + route.rest_api +
                                              "\"; presets are maildev, mailpit and wildduck");
        check_target(route.policy.on_delete, route.backend, *api, path);
    }

    void check_target(OnDelete on_delete, const BackendOptions& backend, const rest::Description& api,
                      const std::string& path) {
        if (on_delete != OnDelete::trash && on_delete != OnDelete::archive) return;
        if (api.move.url.empty()) return add(path + "on_delete", "\"" + api.name + "\" has no \"move\"");
        const bool trash = on_delete == OnDelete::trash;
        if (api.folder_list.empty() && (trash ? backend.trash_folder : backend.archive_folder).empty())
            add(path + (trash ? "trash_folder" : "archive_folder"),
                "is missing: \"" + api.name + "\" has no list of folders in which it could be found");
    }

    void add(std::string key, std::string text, bool is_warning = false) {
        problems_.push_back({{}, 0, std::move(key), std::move(text), is_warning});
    }

    const Config& config_;
    std::vector<ConfigProblem> problems_;
};

}  // namespace

void link_rest_apis(Config& config) {
    for (auto& route : config.routes) {
        if (route.rest_api.empty()) continue;
        if (const auto* api = find_api(config, route.rest_api))
            route.backend.rest_api = std::make_shared<const rest::Description>(*api);
    }
}

std::vector<ConfigProblem> check_http_routes(const Config& config) { return RestChecker(config).check(); }

}  // namespace popgate
