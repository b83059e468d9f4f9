#pragma once

#include "backends/errors.hpp"

#include <string>
#include <string_view>

namespace popgate {

/// Replaces %u (whole user name), %n (part before the last '@'), %d (part after it), %% in a path.
/// Errc::auth when the user name holds what must not reach a path: '/', NUL, control characters, a leading '.', or is
/// empty.
Result<std::string> expand_user_path(std::string_view pattern, std::string_view user);

}  // namespace popgate
