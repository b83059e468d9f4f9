#pragma once

#include "gateway/commands/findings.hpp"
#include "gateway/config/config.hpp"

#include <vector>

namespace popgate::commands {

/// The state store: its folder and who owns it, room on the disk, each file. Nothing is made, mended or changed, but a
/// write is begun and rolled back. Blocks.
std::vector<Finding> examine_store(const Config& config);

/// Whether the keys open everything that is kept of accounts. Opens the store as a server does, so it is for one that
/// examine_store() has found no fault in. Blocks; runs fibers of its own.
Finding examine_keys(const Config& config);

}  // namespace popgate::commands
