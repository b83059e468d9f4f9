#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/net/fiber.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace popgate::commands {

// What the administrator does with accounts. Each gives an exit code; users go by their name after the name rules.

/// A line for each account: where it leads, how its tokens are, its app passwords.
int list_accounts(Fiber& fiber, Accounts& accounts, std::int64_t now, Console& console);
/// All that is kept of one, but no secret.
int show_account(Fiber& fiber, Accounts& accounts, const std::string& user, std::int64_t now, Console& console);

/// What is to be changed; what is absent stays.
struct AccountChange {
    std::optional<std::string> upstream_user;
    std::optional<Secret> upstream_password;
    std::optional<Secret> shared_secret;
    std::optional<std::string> app_password;  ///< the label of a new one
};
/// Makes the account, or changes it. A new app password is shown once.
int add_account(Fiber& fiber, Accounts& accounts, const std::string& user, const AccountChange& change,
                std::int64_t now, Console& console);
int remove_account(Fiber& fiber, Accounts& accounts, const std::string& user, Console& console);
/// Ends one app password, by its id.
int revoke_app_password(Fiber& fiber, Accounts& accounts, const std::string& user, const std::string& id,
                        Console& console);

/// How the account's tokens are, in words.
std::string token_state(const AccountTokens& tokens, std::int64_t now);

}  // namespace popgate::commands
