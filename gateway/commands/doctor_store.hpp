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

/// What is told of free room; pure. Sizes are octets; 0 `inodes`: the file system has no such limit.
struct DiskRoom {
    unsigned long long free = 0;
    unsigned long long inodes = 0;
    unsigned long long free_inodes = 0;
};
Finding judge_room(const std::string& folder, const DiskRoom& room);

}  // namespace popgate::commands
