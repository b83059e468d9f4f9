#include "gateway/accounts/account_sessions.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

TEST(AccountSessions, CountsThoseOfEachAccount) {
    AccountSessions sessions;
    auto first = sessions.admit("ann", 2);
    const auto second = sessions.admit("ann", 2);
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(sessions.admit("ann", 2));
    EXPECT_TRUE(sessions.admit("bob", 2));
    first.reset();
    EXPECT_TRUE(sessions.admit("ann", 2));
}

TEST(AccountSessions, ARefusalCountsNothing) {
    AccountSessions sessions;
    auto only = sessions.admit("ann", 1);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(sessions.admit("ann", 1));
    only.reset();
    only = sessions.admit("ann", 1);
    EXPECT_TRUE(only);
}

}  // namespace
}  // namespace popgate
