#pragma once

#include "backends/errors.hpp"
#include "gateway/config/config.hpp"

#include <string>
#include <string_view>

namespace popgate {

/// The user name that a client gives, as the routes and all that is kept know it: the default domain is added where
/// there is none, then the case is changed, then the first alias that matches is put in its place (once: aliases lead
/// nowhere else). Errc::auth: a name that cannot be what the alias says, see expand_user_path(). Pure.
Result<std::string> canonical_user(const LoginConfig& rules, std::string_view user);

}  // namespace popgate
