#pragma once

#include "gateway/commands/findings.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace popgate::commands {

/// A server's certificate and key: that they fit, the chain and its order, how long it holds, that it covers `names`,
/// and who may read the key. `now`: seconds since 1970. Reads files, so it blocks.
std::vector<Finding> examine_certificate(const std::string& certificate, const std::string& key,
                                         const std::vector<std::string>& names, std::int64_t now);

}  // namespace popgate::commands
