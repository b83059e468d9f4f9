#pragma once

#include "gateway/commands/output.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace popgate::commands {

/// A mailbox as the admin names it, and as the store does.
struct NamedMailbox {
    std::string user;
    std::string key;  ///< Backend::mailbox_key()
};

/// Each prints its outcome and gives an exit code. JSON is one document a line; docs/commands.md has the members.

/// What is known of one mailbox; with `messages`, of each of them.
int show_mailbox(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, bool messages, Console& console);
/// A line for each mailbox of which something is stored.
int show_all_mailboxes(Fiber& fiber, StateStore& store, Console& console);

/// What forgetting would lose, as a question to the admin; nothing where there is nothing to forget.
Result<std::optional<std::string>> cost_of_forgetting(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox);
int forget_mailbox(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, Console& console);

/// Of one mailbox, or of all.
int list_quarantine(Fiber& fiber, StateStore& store, const std::optional<NamedMailbox>& mailbox, Console& console);

/// What is to be released: by unique-id or remote id, by the index's number, or everything.
struct Release {
    std::vector<std::string> ids;
    std::vector<std::uint32_t> numbers;
    bool all = false;
};
/// Releases all that is named, or nothing where something is named that is not in quarantine.
int release_quarantine(Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Release& what,
                       Console& console);

/// "popgate: " and what went wrong, on the console's error stream. Gives exit_failed.
int fail(Console& console, const Error& error);

}  // namespace popgate::commands
