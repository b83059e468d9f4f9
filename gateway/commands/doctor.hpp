#pragma once

#include <memory>
#include <optional>

namespace CLI {
class App;
}

namespace popgate::commands {

/// `doctor`: looks at all that a server with this configuration needs, and says what is wrong and what to do. Nothing
/// is changed. As AdminCommands.
class DoctorCommand {
public:
    explicit DoctorCommand(CLI::App& app);
    ~DoctorCommand();
    DoctorCommand(const DoctorCommand&) = delete;
    DoctorCommand& operator=(const DoctorCommand&) = delete;

    /// 0: no failure; 1: some.
    std::optional<int> run();

private:
    struct Options;
    std::unique_ptr<Options> options_;
};

}  // namespace popgate::commands
