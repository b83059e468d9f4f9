#pragma once

#include <memory>
#include <optional>

namespace CLI {
class App;
}

namespace popgate::commands {

/// The commands that ask the running server, over the Unix socket that its configuration names: `status`, `sessions`,
/// `top`, `kick`, `drain`, `reload`, `trace` and `health`. As AdminCommands.
class ControlCommands {
public:
    explicit ControlCommands(CLI::App& app);
    ~ControlCommands();
    ControlCommands(const ControlCommands&) = delete;
    ControlCommands& operator=(const ControlCommands&) = delete;

    std::optional<int> run();

private:
    struct Options;
    std::unique_ptr<Options> options_;
};

}  // namespace popgate::commands
