#include "gateway/accounts/login_throttle.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

class LoginThrottleTest : public testing::Test {
protected:
    /// How long this refusal waits.
    std::chrono::milliseconds fail(const std::string& user, const std::string& address, const std::string& password) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
            throttle.failed(user, address, Secret(password), now).told_at - now);
    }
    std::chrono::milliseconds wait_before_check(const std::string& user, const std::string& address) const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(throttle.check_at(user, address, now) - now);
    }

    LoginThrottle throttle{{}};
    LoginThrottle::Clock::time_point now = LoginThrottle::Clock::now();
};

TEST_F(LoginThrottleTest, EachFailureDoublesTheWaitUpToTheLongest) {
    for (const auto expected : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
        EXPECT_EQ(
            fail("ann", "192.0.2.1", "guess " + std::to_string(expected.count() + now.time_since_epoch().count())),
            expected);
        now += 1s;
    }
    for (int i = 0; i < 100; ++i) EXPECT_EQ(fail("ann", "192.0.2.1", "more " + std::to_string(i)), 30s);
}

TEST_F(LoginThrottleTest, TheUserIsNotHeldUpElsewhere) {
    for (int i = 0; i < 50; ++i) fail("ann", "192.0.2.1", std::to_string(i));
    EXPECT_EQ(wait_before_check("ann", "192.0.2.2"), 0s);
    EXPECT_EQ(fail("ann", "192.0.2.2", "typo"), 1s);
}

TEST_F(LoginThrottleTest, OnePasswordByThreeMechanismsCountsOnce) {
    EXPECT_EQ(fail("ann", "192.0.2.1", "old"), 1s);
    EXPECT_EQ(fail("ann", "192.0.2.1", "old"), 1s);
    EXPECT_EQ(fail("ann", "192.0.2.1", "old"), 1s);
    EXPECT_EQ(fail("ann", "192.0.2.1", "another"), 2s);
}

TEST_F(LoginThrottleTest, AWrongPasswordIsKnownForAWhileFromWhereverItComes) {
    EXPECT_FALSE(throttle.is_known_wrong("ann", Secret("old"), now));
    fail("ann", "192.0.2.1", "old");
    EXPECT_TRUE(throttle.is_known_wrong("ann", Secret("old"), now + 59s));
    EXPECT_FALSE(throttle.is_known_wrong("ann", Secret("old"), now + 61s));
    EXPECT_FALSE(throttle.is_known_wrong("bob", Secret("old"), now));
    EXPECT_FALSE(throttle.is_known_wrong("ann", Secret("old "), now));
    now += 61s;
    fail("ann", "192.0.2.1", "old");
    EXPECT_TRUE(throttle.is_known_wrong("ann", Secret("old"), now)) << "refused anew";
}

TEST_F(LoginThrottleTest, WhoTriesOneUserAfterAnotherIsSlowedDownToo) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(fail("user" + std::to_string(i), "192.0.2.1", "123456"), 1s) << i;
    fail("user10", "192.0.2.1", "123456");
    EXPECT_EQ(fail("user11", "192.0.2.1", "123456"), 2s);
    EXPECT_EQ(fail("user12", "192.0.2.1", "123456"), 4s);
    EXPECT_EQ(fail("user13", "198.51.100.1", "123456"), 1s);
    EXPECT_EQ(wait_before_check("somebody else", "192.0.2.1"), 0s) << "those who know their password do not wait";
}

TEST_F(LoginThrottleTest, AnIpv6ClientIsItsNetwork) {
    EXPECT_EQ(fail("ann", "2001:db8::1", "a"), 1s);
    EXPECT_EQ(fail("ann", "2001:db8::ffff:2", "b"), 2s);
    EXPECT_EQ(fail("ann", "2001:db8:0:1::1", "c"), 1s);
    EXPECT_EQ(fail("bob", "192.0.2.7", "a"), 1s);
    EXPECT_EQ(fail("bob", "::ffff:192.0.2.7", "b"), 2s);
}

TEST_F(LoginThrottleTest, NoPasswordIsLookedAtWhileARefusalWaits) {
    fail("ann", "192.0.2.1", "a");
    fail("ann", "192.0.2.1", "b");
    EXPECT_EQ(wait_before_check("ann", "192.0.2.1"), 2s);
    now += 3s;
    EXPECT_EQ(wait_before_check("ann", "192.0.2.1"), 0s);
}

TEST_F(LoginThrottleTest, SuccessAndTimeForget) {
    fail("ann", "192.0.2.1", "a");
    fail("ann", "192.0.2.1", "b");
    throttle.succeeded("ann", "192.0.2.1");
    EXPECT_EQ(wait_before_check("ann", "192.0.2.1"), 0s);
    EXPECT_EQ(fail("ann", "192.0.2.1", "c"), 1s);
    fail("ann", "192.0.2.1", "d");
    now += 16min;
    EXPECT_EQ(fail("ann", "192.0.2.1", "e"), 1s);
}

TEST(LoginThrottle, IsBounded) {
    LoginThrottle::Limits limits;
    limits.entries = 10;
    LoginThrottle throttle(limits);
    const auto now = LoginThrottle::Clock::now();
    for (int i = 0; i < 1000; ++i) {
        const auto text = std::to_string(i);
        throttle.failed("user" + text, "2001:db8:0:" + text + "::1", Secret("p"), now);
    }
    EXPECT_FALSE(throttle.is_known_wrong("user1", Secret("p"), now));
    EXPECT_TRUE(throttle.is_known_wrong("user999", Secret("p"), now));
    EXPECT_EQ(throttle.check_at("user1", "2001:db8:0:1::1", now), now);
    EXPECT_GT(throttle.check_at("user999", "2001:db8:0:999::1", now), now);
}

}  // namespace
}  // namespace popgate
