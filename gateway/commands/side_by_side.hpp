#pragma once

#include "gateway/net/fiber.hpp"

#include <functional>
#include <vector>

namespace popgate::commands {

/// Runs each of `tasks` on a fiber of its own beside the caller's, and returns when all have ended. An interrupt of the
/// caller reaches them all. What they refer to need only outlive the call. An exception of one is rethrown at the end.
void side_by_side(Fiber& fiber, const std::vector<std::function<void(Fiber&)>>& tasks);

}  // namespace popgate::commands
