#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/accounts.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/state/state_store.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace popgate::commands {

enum class Access { read, write };

/// As the server has it: where there is nothing at the standard place, variables may say all. Blocks.
LoadedConfig load_servers_config(const std::string& file);

/// What a command works on: the routes of a configuration and the store that it names, without a server.
class Opened {
public:
    /// Complains on the console, and gives nothing, where the file is bad (`exit_code` is then exit_usage) or the store
    /// cannot be had (exit_failed). Blocks.
    static std::optional<Opened> open(const std::string& file, Access access, Console& console, int& exit_code);
    /// The same for a configuration that was put together otherwise.
    static std::optional<Opened> open(LoadedConfig loaded, Access access, Console& console, int& exit_code);

    /// The user's route, or null after a complaint.
    const Route* find(const std::string& user, Console& console) const;
    Accounts& accounts() const { return *accounts_; }
    StateStore& store() const { return *store_; }
    const Config& config() const { return *config_; }

    using Body = std::function<int(Fiber&, StateStore&, const NamedMailbox&, const Admitted&)>;
    /// Runs `body` on a fiber, with the user's mailbox and what opens it, and gives its exit code. `password` is used
    /// where the upstream wants the client's own.
    int on_mailbox(const std::string& user, Secret password, Console& console, const Body& body) const;
    int on_mailbox(const std::string& user, Console& console, const Body& body) const {
        return on_mailbox(user, Secret(), console, body);
    }

private:
    std::unique_ptr<Config> config_;  // where it is whatever becomes of this object
    std::unique_ptr<StateStore> store_;
    std::unique_ptr<Accounts> accounts_;
};

}  // namespace popgate::commands
