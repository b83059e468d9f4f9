#pragma once

#include "gateway/config/config.hpp"

#include <vector>

namespace popgate {

/// Judges how clients prove themselves and with what upstreams are opened: the routes' auth and upstream_auth with what
/// belongs to them, [[oauth]], [login], [[alias]], [enrolment], [admin], and the listeners' own ways to log in.
std::vector<ConfigProblem> check_accounts(const Config& config);

}  // namespace popgate
