#include "gateway/index/clock_trust.hpp"

#include "gateway/index/seconds.hpp"
#include "gateway/observe/log.hpp"

#include <ctime>

namespace popgate {

namespace {

constexpr std::int64_t small_step = 3600;
constexpr std::int64_t doubt = 24 * 3600;

/// A machine that was suspended is no clock that was set.
std::int64_t running_seconds() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

ClockTrust process_clock;
// The process's first look is at its start, not at its first session.
[[maybe_unused]] const bool started = process_clock.believes(seconds_since_1970(), running_seconds());

}  // namespace

bool ClockTrust::believes(std::int64_t date, std::int64_t running) {
    const std::lock_guard lock(mutex_);
    const auto offset = date - running;
    if (!offset_) offset_ = offset;
    const auto step = offset - *offset_;
    if (step > small_step || step < -small_step) {
        doubted_since_ = running;
        log(LogLevel::warning, "clock_was_set",
            {{"text", "the clock was set by more than an hour: nothing expires for a day"}, {"seconds", step}});
    }
    offset_ = offset;
    if (doubted_since_ && running - *doubted_since_ >= doubt) doubted_since_.reset();
    return !doubted_since_;
}

bool believes_the_clock() { return process_clock.believes(seconds_since_1970(), running_seconds()); }

}  // namespace popgate
