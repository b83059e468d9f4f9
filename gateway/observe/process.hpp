#pragma once

#include <cstdint>

namespace popgate {

/// What this process has and has used. What cannot be read is 0.
struct ProcessUse {
    double cpu_seconds = 0;  ///< user and system, of all threads
    std::uint64_t resident_bytes = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t most_descriptors = 0;  ///< the soft limit
};

/// Reads /proc. Never waits for anything but the kernel; takes as long as there are descriptors.
ProcessUse used_by_process();

}  // namespace popgate
