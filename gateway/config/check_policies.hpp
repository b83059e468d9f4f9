#pragma once

#include "gateway/config/config.hpp"

#include <vector>

namespace popgate {

/// Judges what is remembered and what becomes of messages: [state], the routes' policies and the accounts.
std::vector<ConfigProblem> check_policies(const Config& config);

}  // namespace popgate
