#pragma once

#include <chrono>
#include <cstdint>

namespace popgate {

/// The time as it is stored: seconds since 1970.
inline std::int64_t seconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace popgate
