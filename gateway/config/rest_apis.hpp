#pragma once

#include "gateway/config/config.hpp"

#include <vector>

namespace popgate {

/// Gives each route the description that its `rest_api` names: a [[rest]], else a preset.
void link_rest_apis(Config& config);

/// Judges the [[rest]] sections and what routes say that goes with some kinds of upstream only.
std::vector<ConfigProblem> check_http_routes(const Config& config);

}  // namespace popgate
