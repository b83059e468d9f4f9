#include "gateway/commands/opened.hpp"

#include "gateway/commands/commands.hpp"
#include "gateway/commands/on_fiber.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/environment.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/observe/log.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <ostream>

namespace popgate::commands {

namespace {

constexpr std::chrono::seconds key_timeout{30};  // a look at the file system

}  // namespace

LoadedConfig load_servers_config(const std::string& file) {
    // A container's server may have no file at all.
    const bool is_alone = file == standard_config && !std::filesystem::exists(file) && is_enough(process_environment());
    return load_config(is_alone ? "" : file);
}

std::optional<Opened> Opened::open(const std::string& file, Access access, Console& console, int& exit_code) {
    return open(load_servers_config(file), access, console, exit_code);
}

std::optional<Opened> Opened::open(LoadedConfig loaded, Access access, Console& console, int& exit_code) {
    exit_code = exit_usage;
    if (!loaded.usable()) {
        for (const ConfigProblem& problem : loaded.problems) console.err << "popgate: " << problem.to_string() << '\n';
        return std::nullopt;
    }
    LogConfig log = loaded.config.log;
    log.format = LogFormat::text;
    log.level = std::max(log.level, LogLevel::warning);
    log.file.clear();  // whoever typed the command reads it
    (void)set_up_log(log);

    Opened opened;
    auto store = open_state_store(loaded.config.state);
    if (store.has_error()) return fail(console, store.error()), std::nullopt;
    opened.store_ = std::move(*store);
    opened.config_ = std::make_unique<Config>(std::move(loaded.config));
    auto accounts = Accounts::make(*opened.config_, *opened.store_);
    if (accounts.has_error()) return fail(console, accounts.error()), std::nullopt;
    opened.accounts_ = std::move(*accounts);

    exit_code = exit_failed;
    const std::string impairment = opened.store_->impairment();
    if (impairment.empty() && opened.store_->lasts()) return opened;
    console.err << "popgate: the store: " << (impairment.empty() ? "nothing in it lasts" : plain(impairment)) << '\n';
    if (access == Access::write || !opened.store_->lasts()) return std::nullopt;
    return opened;
}

const Route* Opened::find(const std::string& user, Console& console) const {
    const auto name = accounts_->authenticator.canonical(user);
    const Route* const route = name ? accounts_->router.find(*name) : nullptr;
    if (!route) console.err << "popgate: no route is for " << plain(user) << '\n';
    return route;
}

int Opened::on_mailbox(const std::string& user, Secret password, Console& console, const Body& body) const {
    if (!find(user, console)) return exit_usage;
    const auto name = *accounts_->authenticator.canonical(user);
    return on_fiber([&](Fiber& fiber) {
        const auto admitted = accounts_->authenticator.vouch(fiber, name, std::move(password));
        if (!admitted) return fail(console, admitted.error());
        const auto key = blocking_call(
            fiber, Clock::now() + key_timeout,
            [backend = admitted->backend, whose = admitted->login.user] { return backend->mailbox_key(whose); });
        if (!key) return fail(console, Error{Errc::temporary, "the file system does not answer", {}});
        const int outcome = body(fiber, *store_, NamedMailbox{name, *key}, *admitted);
        accounts_->tokens.hurry();
        return outcome;
    });
}

}  // namespace popgate::commands
