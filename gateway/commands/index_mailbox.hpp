#pragma once

#include "gateway/commands/output.hpp"
#include "gateway/index/index_builder.hpp"
#include "gateway/net/fiber.hpp"

namespace popgate::commands {

/// Reads the listing of a mailbox that is large or slow before its owner first logs in, and says how many messages
/// there are. What was read is kept when that is interrupted or fails (exit_failed), and the next run goes on there.
int index_mailbox(Fiber& fiber, StateStore& store, const Backend& backend, const IndexBuild& build, Console& console);

}  // namespace popgate::commands
