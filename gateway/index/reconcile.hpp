#pragma once

#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace popgate {

/// A mailbox as it is now, with what is remembered of each message.
struct Reconciled {
    std::vector<StoredMessage> messages;  ///< in the listing's order
    std::vector<std::uint32_t> removed;   ///< numbers of those that are no longer there
    std::vector<std::uint32_t> dated;     ///< ascending, of those whose arrival was not known before
    std::uint32_t first_new = 1;          ///< messages numbered from here on were not known before
    std::uint32_t next_number = 1;
    bool replaced = false;  ///< another generation: nothing that was stored holds any more
};

/// How what is stored and what is listed are put together.
struct ReconcileRules {
    std::int64_t now = 0;
    bool keep_measured_sizes = true;  ///< a size that was measured here outweighs the store's estimate
    bool keep_unique_ids = true;      ///< false: they were stored under another format
    bool is_whole = true;             ///< false: what is not listed may still be there, and nothing is removed
};

/// Puts what is remembered together with what is there now. A message is known by its tag (its place in
/// `stored.messages` from 1, whose info was lent to the backend), else by its id; an id that is listed twice is one
/// message. Pure.
Reconciled reconcile(StoredMailbox stored, std::vector<MessageInfo> listed, const std::string& generation,
                     const ReconcileRules& rules);

/// Sees to it that every unique-id is fit for UIDL and given once: imported ones first, then those of messages that
/// were known before, then new ones; whoever comes too late gets an id that is made from both its ids. Afterwards a
/// message whose id is not what `derive` says has it in info.unique_id. Gives the numbers of known messages whose id
/// was altered and must be stored. Costs nothing where no message has an explicit id. `derive`: Mailbox::unique_id().
/// Pure.
std::vector<std::uint32_t> settle_unique_ids(Reconciled& mailbox,
                                             const std::map<std::string, std::string, std::less<>>& imported,
                                             const std::function<std::string(const MessageInfo&)>& derive);

}  // namespace popgate
