#include "gateway/accounts/accounts.hpp"

#include "gateway/state/state_store.hpp"

#include <chrono>
#include <filesystem>
#include <string_view>
#include <utility>

namespace popgate {

namespace {

std::int64_t now() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

TokenKeeper::Options token_options(const Config& config) {
    TokenKeeper::Options options;
    options.now = now;
    options.sign_in_at = config.enrolment.url;
    options.sign_in_command = config.login.sign_in_command;
    return options;
}

}  // namespace

std::string key_file_of(const Config& config) {
    if (!config.secrets.key_file.empty()) return config.secrets.key_file;
    constexpr std::string_view scheme = "sqlite:";
    const std::string_view url = config.state.url;
    const std::filesystem::path file(url.starts_with(scheme) ? url.substr(scheme.size()) : std::string_view());
    return (file.has_parent_path() ? file.parent_path() : std::filesystem::path("/var/lib/popgate")) / "secrets.key";
}

AccountKeeping::AccountKeeping(const Config& config, StateStore& state)
    : vault(key_file_of(config)), store(state, vault), tokens(state, store, token_options(config)) {
    logins.fleet = FleetThrottle(state.shared_throttles(), config.state.throttle_unavailable);
}

Accounts::Accounts(const Config& of, std::shared_ptr<AccountKeeping> kept, Router made)
    : config(of),
      keeping(std::move(kept)),
      router(std::move(made)),
      vault(keeping->vault),
      store(keeping->store),
      tokens(keeping->tokens),
      authenticator(config, router, store, tokens, keeping->logins) {}

Result<std::unique_ptr<Accounts>> Accounts::make(const Config& config, StateStore& state, const Accounts* before) {
    auto router = Router::make(config, before ? &before->router : nullptr);
    if (!router) return router.error();
    auto keeping = before ? before->keeping : std::make_shared<AccountKeeping>(config, state);
    return std::make_unique<Accounts>(config, std::move(keeping), std::move(*router));
}

}  // namespace popgate
