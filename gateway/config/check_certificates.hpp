#pragma once

#include "gateway/config/config.hpp"

#include <vector>

namespace popgate {

/// Judges [tls] and every [[certificate]], and that there is one where TLS is offered. Reads the files.
std::vector<ConfigProblem> check_certificates(const Config& config);

}  // namespace popgate
