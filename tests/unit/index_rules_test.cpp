#include "tests/unit/indexed_mailbox_fixture.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

using Ids = std::vector<std::string>;
using IndexRulesTest = IndexedMailboxTest;

// --- purging

TEST_F(IndexRulesTest, PurgingIsTheStoresOwnAndSaysSoInTheLog) {
    rules.policy.on_delete = OnDelete::purge;
    testing::internal::CaptureStderr();
    in_session([&](IndexedMailbox& index, const auto& shown) { EXPECT_EQ(index.remove({shown[1]}).removed, 1U); });
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(mailbox.taken["purged"], (Ids{"2"}));
    EXPECT_TRUE(mailbox.taken["removed"].empty());
    EXPECT_NE(log.find(R"(action="purge" outcome="removed")"), std::string::npos) << log;
    EXPECT_EQ(shown_ids(), (Ids{"1", "3"}));
}

TEST_F(IndexRulesTest, WhatExpiresIsPurgedToo) {
    rules.policy.on_delete = OnDelete::purge;
    rules.policy.expire_after = std::chrono::milliseconds(0);
    in_session([&](IndexedMailbox& index, const auto& shown) { index.delivered(shown[0], 20); });
    in_session([&](IndexedMailbox& index, const auto&) { EXPECT_TRUE(index.remove({}).status); });
    EXPECT_EQ(mailbox.taken["purged"], (Ids{"1"}));
}

// --- sizes that are estimates

TEST_F(IndexRulesTest, ALearnedSizeIsShownByStoresWithAndWithoutAState) {
    for (const auto* state : {"s1", ""}) {
        mailbox.messages.clear();
        mailbox.state = state;
        put(2);
        for (auto& each : mailbox.messages) each.listed_octets = 5;
        const auto octets = mailbox.messages[0].text.size();
        in_session([&](IndexedMailbox& index, const auto& shown) { index.delivered(shown[0], octets); });
        for (int i = 0; i < 2; ++i)
            in_session([&](IndexedMailbox&, const auto& shown) {
                EXPECT_EQ(shown[0].octets, octets) << state;
                EXPECT_TRUE(shown[0].octets_are_exact);
                EXPECT_EQ(shown[1].octets, 5U);
                EXPECT_FALSE(shown[1].octets_are_exact);
            });
        test::on_fiber([&](Fiber& fiber) { EXPECT_TRUE(memory->forget(fiber, "key")); });
    }
}

TEST_F(IndexRulesTest, MeasuredSizesAreKeptByStoresWithAndWithoutAState) {
    rules.sizes = Sizes::exact;
    for (const auto* state : {"s1", ""}) {
        mailbox.state = state;
        for (auto& each : mailbox.messages) each.listed_octets = 5;
        mailbox.fetches = 0;
        for (int i = 0; i < 2; ++i)
            in_session([&](IndexedMailbox&, const auto& shown) {
                for (const auto& each : shown) EXPECT_EQ(each.octets, 20U) << state;
            });
        EXPECT_EQ(mailbox.fetches, 3U) << "once each";
        test::on_fiber([&](Fiber& fiber) { EXPECT_TRUE(memory->forget(fiber, "key")); });
    }
}

TEST_F(IndexRulesTest, AStoresEstimateIsBelievedAgainAfterTheRouteChanges) {
    for (auto& each : mailbox.messages) each.listed_octets = 5;
    in_session([&](IndexedMailbox& index, const auto& shown) { index.delivered(shown[0], 20); });
    rules.sizes = Sizes::backend;
    rules.reconcile_every = std::chrono::milliseconds(0);
    mailbox.state.clear();
    (void)shown_ids();  // with a state, what was learned stays until the message is listed anew
    in_session([&](IndexedMailbox&, const auto& shown) { EXPECT_EQ(shown[0].octets, 5U); });
}

// --- messages that can never be had

TEST_F(IndexRulesTest, AMessageThatCanNeverBeConvertedIsQuarantined) {
    mailbox.fault = {Errc::permanent, "this message cannot be converted", {}};
    mailbox.broken = {"2"};
    for (std::uint32_t i = 0; i < rules.quarantine_after; ++i)
        in_session([&](IndexedMailbox& index, const auto& shown) {
            ASSERT_EQ(shown.size(), 3U);
            index.failed(shown[1], "this message cannot be converted");
            EXPECT_EQ(index.quarantined(), i + 1 == rules.quarantine_after ? 1U : 0U);
        });
    EXPECT_EQ(shown_ids(), (Ids{"1", "3"}));
}

TEST_F(IndexRulesTest, AStoreThatRefusesOrPutsOffEverythingQuarantinesNothing) {
    for (const auto code : {Errc::permanent, Errc::temporary}) {
        mailbox.fault = {code, "not now, or never", {}};
        mailbox.is_down = true;
        for (std::uint32_t i = 0; i < rules.quarantine_after + 1; ++i)
            in_session([&](IndexedMailbox& index, const auto& shown) {
                for (const auto& each : shown) index.failed(each, "not now, or never");
                EXPECT_EQ(index.quarantined(), 0U);
            });
        mailbox.is_down = false;
        EXPECT_EQ(shown_ids().size(), 3U);
    }
}

}  // namespace
}  // namespace popgate
