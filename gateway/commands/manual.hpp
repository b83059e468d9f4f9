#pragma once

#include <string>

namespace CLI {
class App;
}

namespace popgate::commands {

/// popgate(8) in roff, with man(7)'s macros: every command that `app` has declared, with its options. Nothing in it
/// depends on the machine or the user.
std::string program_manual(const CLI::App& app);

/// popgate.conf(5), likewise: every key of sections().
std::string configuration_manual();

}  // namespace popgate::commands
