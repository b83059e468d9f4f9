#include "gateway/config/check_policies.hpp"

#include "gateway/config/names.hpp"
#include "gateway/config/pattern.hpp"
#include "gateway/config/redis_url.hpp"
#include "gateway/config/state_url.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

namespace popgate {

namespace {

constexpr std::string_view memory_only = R"(: state.url is "sqlite::memory:")";

std::string path_of(std::string_view section, std::size_t index) {
    return std::string(section) + '[' + std::to_string(index) + ']';
}

class PolicyChecker {
public:
    explicit PolicyChecker(const Config& config) : config_(config) {}

    std::vector<ConfigProblem> check() {
        const std::string problem = why_bad_state_url(config_.state.url);
        if (!problem.empty()) error("state.url", problem);
        check_redis();
        for (std::size_t i = 0; i < config_.routes.size(); ++i) check_route(i);
        for (std::size_t i = 0; i < config_.accounts.size(); ++i) check_account(i);
        return std::move(problems_);
    }

private:
    void check_redis() {
        const StateConfig& state = config_.state;
        using namespace std::chrono_literals;
        if (state.lock_expiry < 2s || state.lock_expiry > 10min)
            error("state.lock_expiry", "is out of range: 2s to 10m");
        if (redis::is_redis_url(state.url)) {
            const auto address = redis::parse_redis_url(state.url);
            if (address && address->kind != redis::Address::Kind::single && state.replicas == 0)
                warning("state.replicas", "is 0: a failover may forget locks, accounts and what was deleted");
            return;
        }
        const StateConfig standard;
        const auto warn = [&](const char* key, bool is_set) {
            if (is_set) warning(std::string("state.") + key, "has no effect without a Redis in state.url");
        };
        warn("password_file", !state.password_file.empty());
        warn("ca_file", !state.ca_file.empty());
        warn("replicas", state.replicas != standard.replicas);
        warn("lock_unavailable", state.lock_unavailable != standard.lock_unavailable);
        warn("index_unavailable", state.index_unavailable != standard.index_unavailable);
        warn("throttle_unavailable", state.throttle_unavailable != standard.throttle_unavailable);
    }

    void check_route(std::size_t index) {
        const RouteConfig& route = config_.routes[index];
        const MaildropPolicy& policy = route.policy;
        const std::string path = path_of("route", index) + '.';
        check_on_delete(policy.on_delete, route, path, "");
        check_view(policy.view, route, path, "");
        check_memory(policy.on_delete, policy.expire_after, policy.delete_only_if_retrieved, path);
        check_folder(index, OnDelete::trash, "trash_folder", route.backend.trash_folder);
        check_folder(index, OnDelete::archive, "archive_folder", route.backend.archive_folder);
    }

    void check_account(std::size_t index) {
        const AccountConfig& account = config_.accounts[index];
        const std::string path = path_of("account", index) + '.';
        if (account.user.empty()) return error(path + "user", "is missing; \"*\" is for all users");
        if (const auto earlier = who_takes_all_before(index)) {
            return warning(path + "user",
                           "this account is never used: " + path_of("account", *earlier) + " takes all its users");
        }
        check_memory(account.on_delete, account.expire_after, account.delete_only_if_retrieved.value_or(false), path);
        const std::vector<std::size_t> routes = routes_of(account);
        if (routes.empty() && !config_.routes.empty()) warning(path + "user", "no route takes any of these users");
        // One route that it does not fit is enough to be told.
        for (const std::size_t each : routes) {
            const std::string where = " in " + path_of("route", each);
            if (account.on_delete && check_on_delete(*account.on_delete, config_.routes[each], path, where)) break;
        }
        for (const std::size_t each : routes) {
            const std::string where = " in " + path_of("route", each);
            if (account.view && check_view(*account.view, config_.routes[each], path, where)) break;
        }
    }

    /// The account that leaves nobody for this one.
    std::optional<std::size_t> who_takes_all_before(std::size_t account) const {
        for (std::size_t i = 0; i < account; ++i) {
            if (covers_pattern(config_.accounts[i].user, config_.accounts[account].user)) return i;
        }
        return {};
    }

    bool does_an_account(OnDelete on_delete, std::size_t route) const {
        for (std::size_t i = 0; i < config_.accounts.size(); ++i) {
            if (config_.accounts[i].on_delete != on_delete || who_takes_all_before(i)) continue;
            const std::vector<std::size_t> routes = routes_of(config_.accounts[i]);
            if (std::ranges::find(routes, route) != routes.end()) return true;
        }
        return false;
    }

    /// Where the users of an account may be found.
    std::vector<std::size_t> routes_of(const AccountConfig& account) const {
        std::vector<std::size_t> found;
        for (std::size_t i = 0; i < config_.routes.size(); ++i) {
            if (!patterns_overlap(config_.routes[i].match, account.user)) continue;
            found.push_back(i);
            if (covers_pattern(config_.routes[i].match, account.user)) break;
        }
        return found;
    }

    static bool is_mbox(const RouteConfig& route) { return route.backend.url.starts_with("mbox:"); }

    bool check_on_delete(OnDelete on_delete, const RouteConfig& route, const std::string& path,
                         const std::string& where) {
        if (!is_mbox(route)) return false;
        const std::string name = in_quotes(name_of(on_delete, on_delete_names));
        const BackendOptions& backend = route.backend;
        if ((on_delete == OnDelete::trash && backend.trash_folder.empty()) ||
            (on_delete == OnDelete::archive && backend.archive_folder.empty())) {
            const std::string folder = on_delete == OnDelete::trash ? "trash_folder" : "archive_folder";
            error(path + "on_delete", name + " needs " + folder + where + ", such as \"/var/mail/%u." +
                                          std::string(name_of(on_delete, on_delete_names)) +
                                          "\": mbox files know no folders");
            return true;
        }
        if (on_delete != OnDelete::mark_read) return false;
        warning(path + "on_delete",
                name + " only hides" + where + ", as \"keep\" does: mbox files hold no marks of what was read");
        return true;
    }

    bool check_view(const View& view, const RouteConfig& route, const std::string& path, const std::string& where) {
        if (!is_mbox(route) || view.kind != View::Kind::unread) return false;
        error(path + "view", "\"unread\" cannot be told" + where + ": mbox files hold no marks of what was read");
        return true;
    }

    void check_memory(std::optional<OnDelete> on_delete, std::optional<std::chrono::milliseconds> expire_after,
                      bool delete_only_if_retrieved, const std::string& path) {
        if (!is_state_in_memory(config_.state.url)) return;
        const std::string forgotten = "what was retrieved is forgotten when popgate ends" + std::string(memory_only);
        if (on_delete == OnDelete::keep || on_delete == OnDelete::mark_read) {
            warning(path + "on_delete", "what was hidden comes back when popgate ends" + std::string(memory_only));
        }
        if (expire_after && expire_after != std::chrono::milliseconds::zero()) {
            warning(path + "expire_after", forgotten);
        }
        if (delete_only_if_retrieved) warning(path + "delete_only_if_retrieved", forgotten);
    }

    void check_folder(std::size_t route, OnDelete use, const std::string& key, const std::string& folder) {
        if (folder.empty()) return;
        const std::string path = path_of("route", route) + '.' + key;
        if (config_.routes[route].policy.on_delete == use || does_an_account(use, route)) return;
        warning(path, "has no effect: on_delete is not " + in_quotes(name_of(use, on_delete_names)) +
                          " here, nor for an account");
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

std::vector<ConfigProblem> check_policies(const Config& config) { return PolicyChecker(config).check(); }

}  // namespace popgate
