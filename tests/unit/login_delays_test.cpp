#include "gateway/accounts/login_delays.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

const Secret password("secret");
const Secret another("another");
constexpr LoginDelays::Rule every_minute{60s, 3};
constexpr LoginDelays::Clock::time_point start{1000h};

TEST(LoginDelays, AFewMayFollowOneAnother) {
    LoginDelays delays;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(delays.admit("ann", password, every_minute, start)) << i;
    EXPECT_FALSE(delays.admit("ann", password, every_minute, start));
    EXPECT_TRUE(delays.admit("bob", password, every_minute, start)) << "another account";
}

TEST(LoginDelays, OnAverageThereIsADelayBetweenThem) {
    LoginDelays delays;
    int admitted = 0;
    for (auto now = start; now < start + 1h; now += 10s) admitted += delays.admit("ann", password, every_minute, now);
    EXPECT_GE(admitted, 60);
    EXPECT_LE(admitted, 63);
}

TEST(LoginDelays, WhatIsRefusedDoesNotCount) {
    LoginDelays delays;
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(delays.admit("ann", password, every_minute, start));
    for (int i = 0; i < 100; ++i) ASSERT_FALSE(delays.admit("ann", password, every_minute, start + 59s));
    EXPECT_TRUE(delays.admit("ann", password, every_minute, start + 60s));
}

TEST(LoginDelays, OnlyWhoHasTheSecretLearnsThatItIsTooSoon) {
    LoginDelays delays;
    EXPECT_FALSE(delays.is_known_too_soon("ann", password, every_minute, start)) << "never seen";
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(delays.admit("ann", password, every_minute, start));
    EXPECT_TRUE(delays.is_known_too_soon("ann", password, every_minute, start));
    EXPECT_FALSE(delays.is_known_too_soon("ann", another, every_minute, start));
    EXPECT_FALSE(delays.is_known_too_soon("ann", Secret(), every_minute, start));
    EXPECT_FALSE(delays.is_known_too_soon("bob", password, every_minute, start));
    EXPECT_FALSE(delays.is_known_too_soon("ann", password, every_minute, start + 60s));
}

TEST(LoginDelays, WithoutADelayNothingIsRefused) {
    LoginDelays delays;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(delays.admit("ann", password, {}, start));
    EXPECT_FALSE(delays.is_known_too_soon("ann", password, {}, start));
}

TEST(LoginDelays, TheLeastRecentlyUsedIsForgotten) {
    LoginDelays delays(2);
    constexpr LoginDelays::Rule once{60s, 1};
    ASSERT_TRUE(delays.admit("ann", password, once, start));
    ASSERT_TRUE(delays.admit("bob", password, once, start));
    ASSERT_FALSE(delays.admit("ann", password, once, start));
    ASSERT_TRUE(delays.admit("eva", password, once, start));
    EXPECT_FALSE(delays.admit("ann", password, once, start));
    EXPECT_TRUE(delays.admit("bob", password, once, start)) << "forgotten";
}

}  // namespace
}  // namespace popgate
