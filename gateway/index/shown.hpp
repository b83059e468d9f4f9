#pragma once

#include "gateway/config/config.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <vector>

namespace popgate {

/// Places of the messages that a POP3 client is shown, in the order of its message numbers. What was deleted and kept,
/// and what is quarantined, is not among them.
struct Shown {
    std::vector<std::size_t> places;
    /// StoredHead::view_floor from now on: a window of the last N messages never moves back, or a client that deletes
    /// would be given ever older mail, and some of it twice.
    std::uint32_t view_floor = 0;
};

/// `unread`: for View::Kind::unread, of each message whether it is. Pure.
Shown choose_shown(const std::vector<StoredMessage>& messages, const MaildropPolicy& policy,
                   const std::vector<bool>& unread, std::uint32_t view_floor, std::int64_t now);

}  // namespace popgate
