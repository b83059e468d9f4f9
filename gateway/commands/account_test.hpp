#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/net/fiber.hpp"

#include <cstdint>
#include <string>

namespace popgate::commands {

/// Walks the way that a client's login takes behind the password (names, TLS, tokens, login, folder, one message), and
/// says at each step what it found and what to do. Nothing in the mailbox changes. `password` is used where the
/// upstream wants the client's own. exit_done: all of it works.
int test_account(Fiber& fiber, Accounts& accounts, const std::string& user, Secret password, std::int64_t now,
                 Console& console);

}  // namespace popgate::commands
