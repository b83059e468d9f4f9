#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/net/fiber.hpp"

#include <cstdint>
#include <string>

namespace popgate::commands {

enum class LoginFlow { automatic, device, browser };

struct LoginRequest {
    std::string user;
    LoginFlow flow = LoginFlow::automatic;  ///< automatic: with a code on another device where that is offered
    bool yes = false;                       ///< whoever signs in is the right one
    bool can_ask = false;                   ///< somebody sits at the terminal
};

/// Has a person sign in with the account's provider, and keeps the tokens. Where clients log in with app passwords and
/// the account has none, it gets one. Gives an exit code.
int log_in_account(Fiber& fiber, Accounts& accounts, const LoginRequest& request, std::int64_t now, Console& console);

}  // namespace popgate::commands
