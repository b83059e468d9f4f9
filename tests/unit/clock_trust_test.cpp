#include "gateway/index/clock_trust.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

constexpr std::int64_t hour = 3600;
constexpr std::int64_t day = 24 * hour;
constexpr std::int64_t year = 365 * day;
constexpr std::int64_t today = 1'800'000'000;

TEST(ClockTrust, ATimeThatFliesIsBelieved) {
    ClockTrust clock;
    for (std::int64_t passed = 0; passed < 5 * year; passed += 5 * hour)
        EXPECT_TRUE(clock.believes(today + passed + passed / 100'000, 1000 + passed));
}

TEST(ClockTrust, SmallStepsAreBelieved) {
    ClockTrust clock;
    EXPECT_TRUE(clock.believes(today, 1000));
    EXPECT_TRUE(clock.believes(today + hour, 1000));
    EXPECT_TRUE(clock.believes(today, 1000));
}

TEST(ClockTrust, AClockThatWasSetIsBelievedAfterADay) {
    for (const auto step : {2 * hour, -2 * hour, year, -10 * year}) {
        ClockTrust clock;
        EXPECT_TRUE(clock.believes(today, 1000));
        EXPECT_FALSE(clock.believes(today + step, 1000));
        EXPECT_FALSE(clock.believes(today + step + day - 1, 1000 + day - 1));
        EXPECT_TRUE(clock.believes(today + step + day, 1000 + day));
    }
}

TEST(ClockTrust, SettingItRightIsAnotherStep) {
    ClockTrust clock;
    EXPECT_TRUE(clock.believes(today, 1000));
    EXPECT_FALSE(clock.believes(today + year, 1000));
    EXPECT_FALSE(clock.believes(today + hour, 1000 + hour));
    EXPECT_FALSE(clock.believes(today + day, 1000 + day)) << "a day after the second step";
    EXPECT_TRUE(clock.believes(today + day + hour, 1000 + day + hour));
}

}  // namespace
}  // namespace popgate
