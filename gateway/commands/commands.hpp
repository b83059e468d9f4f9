#pragma once

#include <memory>
#include <optional>

namespace CLI {
class App;
}

namespace popgate::commands {

inline constexpr const char* standard_config = "/etc/popgate/popgate.toml";

/// The admin's commands: `mailbox show|index|forget|quarantine`, `state copy` and `import-uids`. They use the same
/// store as a server that may be running.
class AdminCommands {
public:
    /// Declares them.
    explicit AdminCommands(CLI::App& app);
    ~AdminCommands();
    AdminCommands(const AdminCommands&) = delete;
    AdminCommands& operator=(const AdminCommands&) = delete;

    /// Runs the one that the parsed command line names and gives the exit code; nothing where it names none of them.
    std::optional<int> run();

private:
    struct Options;
    std::unique_ptr<Options> options_;
};

}  // namespace popgate::commands
