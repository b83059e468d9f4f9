#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

namespace popgate {

/// Whether the date may be believed where a wrong one would cost mail: not for a day after it was set by more than an
/// hour. A clock that is right by then, or stays as it is, is believed again. Any thread may use it.
class ClockTrust {
public:
    /// Of this moment: seconds since 1970, and those of a clock that nobody sets.
    bool believes(std::int64_t date, std::int64_t running);

private:
    std::mutex mutex_;
    std::optional<std::int64_t> offset_;  // between the two
    std::optional<std::int64_t> doubted_since_;
};

/// Of this process. The log says when doubt begins ("clock_was_set").
bool believes_the_clock();

}  // namespace popgate
