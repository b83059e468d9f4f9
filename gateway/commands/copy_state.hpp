#pragma once

#include "gateway/commands/output.hpp"
#include "gateway/state/state_store.hpp"

namespace popgate::commands {

/// Copies all that one store remembers to another: mailboxes, imported and retired ids, accounts' records. What is the
/// same there already is left alone, what differs is replaced, and what only the other one has stays; so it can be run
/// again, also after it was broken off. Servers may use `from` meanwhile, and none should use `to`. Tells how far it
/// is, and gives the exit code; a mailbox that cannot be copied is named, and the others are.
int copy_state(Fiber& fiber, StateStore& from, StateStore& to, Console& console);

}  // namespace popgate::commands
