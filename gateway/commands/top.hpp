#pragma once

#include "gateway/commands/admin_client.hpp"
#include "gateway/commands/output.hpp"

namespace popgate::commands {

/// `popgate top`: the open sessions, anew every second, over the whole terminal until q or Ctrl-C; one table where
/// standard output is none. Gives the exit code.
int run_top(AdminClient& client, Console& console);

}  // namespace popgate::commands
