#include "gateway/observe/upstream_health.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

using namespace std::chrono_literals;

constexpr UpstreamHealth::Clock::time_point start{1000h};

TEST(UpstreamHealth, AFaultCountsUntilAllIsWell) {
    UpstreamHealth health;
    health.note("imaps://a", {}, start);
    EXPECT_TRUE(health.faults(start).empty());
    health.note("imaps://a", "cannot be reached", start);
    health.note("imaps://a", "the certificate is refused", start + 1min);
    health.note("imaps://b", {}, start + 1min);
    const auto faults = health.faults(start + 2min);
    ASSERT_EQ(faults.size(), 1u);
    EXPECT_EQ(faults[0].upstream, "imaps://a");
    EXPECT_EQ(faults[0].text, "the certificate is refused");
    EXPECT_EQ(faults[0].since, start);
    EXPECT_EQ(faults[0].logins, 2u);
    health.note("imaps://a", {}, start + 3min);
    EXPECT_TRUE(health.faults(start + 3min).empty());
}

TEST(UpstreamHealth, AnOldFaultIsNoNews) {
    UpstreamHealth health;
    health.note("imaps://a", "down", start);
    EXPECT_EQ(health.faults(start + 9min).size(), 1u);
    EXPECT_TRUE(health.faults(start + 10min).empty());
}

}  // namespace
}  // namespace popgate
