#pragma once

#include "gateway/index/reconcile.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace popgate {

/// For stores whose ids may come back with another message (Listing::ids_may_return): a client that has taken the one
/// that is gone would not fetch the other under the same unique-id. All pure; `derive`: Mailbox::unique_id().

/// Gives messages from number `first` on, where their ids were retired, unique-ids that say how often. The same state
/// of `retired` gives the same unique-ids, whatever else is lost.
void name_returned(std::vector<StoredMessage>& messages, std::uint32_t first, const RetiredIds& retired,
                   const std::function<std::string(const MessageInfo&)>& derive);

/// What is to be kept of messages that have gone. Counted from the unique-id that each had, so that two who see the
/// same message go count the same.
RetiredIds count_retired(const std::vector<MessageInfo>& gone, const RetiredIds& so_far,
                         const std::function<std::string(const MessageInfo&)>& derive);

/// Takes imported unique-ids away from messages whose ids were retired: they were given to those of before, whose own
/// they stay.
void keep_from_returned(std::map<std::string, std::string, std::less<>>& imported, const RetiredIds& retired);

}  // namespace popgate
