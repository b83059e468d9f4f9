#include "gateway/config/config.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

using namespace std::chrono_literals;

RouteConfig careful_route() {
    RouteConfig route;
    route.policy = {OnDelete::trash, 720h, true, {View::Kind::last_days, 7}, MessageOrder::newest_first};
    return route;
}

TEST(PolicyFor, WithoutAnAccountTheRouteIsRight) {
    AccountConfig other;
    other.user = "ann";
    other.on_delete = OnDelete::keep;
    const auto policy = policy_for(careful_route(), {other}, "bob");
    EXPECT_EQ(policy.on_delete, OnDelete::trash);
    EXPECT_EQ(policy.expire_after, 720h);
    EXPECT_TRUE(policy.delete_only_if_retrieved);
    EXPECT_EQ(policy.view, (View{View::Kind::last_days, 7}));
    EXPECT_EQ(policy.order, MessageOrder::newest_first);
}

TEST(PolicyFor, AnAccountThatSaysNothingChangesNothing) {
    AccountConfig bob;
    bob.user = "bob";
    const auto policy = policy_for(careful_route(), {bob}, "BOB");
    EXPECT_EQ(policy.on_delete, OnDelete::trash);
    EXPECT_EQ(policy.expire_after, 720h);
    EXPECT_TRUE(policy.delete_only_if_retrieved);
    EXPECT_EQ(policy.view, (View{View::Kind::last_days, 7}));
    EXPECT_EQ(policy.order, MessageOrder::newest_first);
}

TEST(PolicyFor, WhatTheAccountSaysHolds) {
    const AccountConfig bob{"b*", OnDelete::destroy, 48h, false, View{}, MessageOrder::oldest_first};
    const auto policy = policy_for(careful_route(), {bob}, "bob");
    EXPECT_EQ(policy.on_delete, OnDelete::destroy);
    EXPECT_EQ(policy.expire_after, 48h);
    EXPECT_FALSE(policy.delete_only_if_retrieved);
    EXPECT_EQ(policy.view, View{});
    EXPECT_EQ(policy.order, MessageOrder::oldest_first);
}

TEST(PolicyFor, AnAccountMayExpireOnARouteThatDoesNot) {
    AccountConfig bob;
    bob.user = "bob";
    bob.expire_after = 24h;
    EXPECT_EQ(policy_for(RouteConfig{}, {bob}, "bob").expire_after, 24h);
}

TEST(PolicyFor, NeverSwitchesTheRoutesExpiryOff) {
    AccountConfig bob;
    bob.user = "bob";
    bob.expire_after = 0ms;
    EXPECT_FALSE(policy_for(careful_route(), {bob}, "bob").expire_after);
    EXPECT_FALSE(policy_for(RouteConfig{}, {bob}, "bob").expire_after);
}

TEST(PolicyFor, TheFirstAccountThatMatchesCountsAlone) {
    AccountConfig first, second;
    first.user = "bob@*";
    first.on_delete = OnDelete::archive;
    second.user = "*";
    second.on_delete = OnDelete::keep;
    second.view = View{View::Kind::unread, 0};
    const auto bob = policy_for(careful_route(), {first, second}, "bob@a.example");
    EXPECT_EQ(bob.on_delete, OnDelete::archive);
    EXPECT_EQ(bob.view, (View{View::Kind::last_days, 7})) << "of the route, not of the second account";
    EXPECT_EQ(policy_for(careful_route(), {first, second}, "ann").on_delete, OnDelete::keep);
}

}  // namespace
}  // namespace popgate
