#include "gateway/accounts/accounts.hpp"

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

Accounts::Accounts(const Config& config, StateStore& state, Router made)
    : router(std::move(made)),
      vault(key_file_of(config)),
      store(state, vault),
      tokens(state, store, token_options(config)),
      authenticator(config, router, store, tokens) {}

Result<std::unique_ptr<Accounts>> Accounts::make(const Config& config, StateStore& state) {
    auto router = Router::make(config);
    if (!router) return router.error();
    return std::make_unique<Accounts>(config, state, std::move(*router));
}

}  // namespace popgate
