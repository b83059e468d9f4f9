#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <string>

namespace popgate::commands {

/// True when standard input is a terminal, so that somebody can be asked.
bool can_ask();

/// Asks on the terminal, without echo. Blocks.
std::string ask_silently(const std::string& prompt);

/// The first line of `file`, or the next one of standard input where it is "-"; without its end. Blocks.
Result<Secret> read_password(const std::string& file);

}  // namespace popgate::commands
