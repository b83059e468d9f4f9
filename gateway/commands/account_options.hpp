#pragma once

#include <memory>
#include <optional>

namespace CLI {
class App;
}

namespace popgate::commands {

/// The commands about accounts and what is kept of them: `account add|list|show|remove|revoke|login|test` and
/// `secrets create|rotate|check`. As AdminCommands.
class AccountCommands {
public:
    explicit AccountCommands(CLI::App& app);
    ~AccountCommands();
    AccountCommands(const AccountCommands&) = delete;
    AccountCommands& operator=(const AccountCommands&) = delete;

    std::optional<int> run();

private:
    struct Options;
    std::unique_ptr<Options> options_;
};

}  // namespace popgate::commands
