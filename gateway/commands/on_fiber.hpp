#pragma once

#include "gateway/net/fiber.hpp"

#include <functional>

namespace popgate::commands {

/// Runs `body` on a fiber with blocking pools, for a command that has no server around it, and gives what it returns.
/// SIGINT and SIGTERM interrupt the fiber: its waits fail and it puts its things in order; what then fails (exit code
/// 1) ends with exit code 130. An exception of `body` is rethrown. `threads_a_pool`: calls of one kind that block at
/// once.
int on_fiber(const std::function<int(Fiber&)>& body, unsigned threads_a_pool = 2);

}  // namespace popgate::commands
