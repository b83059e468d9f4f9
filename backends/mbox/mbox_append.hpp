#pragma once

#include "backends/mbox/mbox_lock.hpp"

#include <vector>

namespace popgate::mbox {

/// Moves messages, each with its "From " line, from one locked mbox to the end of another: they are appended there and
/// made durable, and only then cut out here. A crash between the two leaves them in both, and never in none. After an
/// error they are here alone, or, when cut() is going to be finished by recover(), there alone. Blocks.
///
/// `ranges` are in order, do not overlap and are not empty.
Status move_messages(const LockedMbox& from, const std::vector<Range>& ranges, const LockedMbox& to);

}  // namespace popgate::mbox
