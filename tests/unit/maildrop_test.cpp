#include "gateway/pop3/maildrop.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace popgate::pop3 {
namespace {

Maildrop make(std::vector<MessageInfo> messages) {
    return {std::move(messages), [](const MessageInfo& message) { return "uid-" + message.id; }};
}

Maildrop three() { return make({{"a", 100}, {"b", 20}, {"c", 3}}); }

std::string ids(const std::vector<MessageInfo>& messages) {
    std::string all;
    for (const auto& message : messages) all += message.id;
    return all;
}

TEST(Maildrop, NumbersBeginAtOne) {
    const auto maildrop = three();
    EXPECT_EQ(maildrop.count(), 3u);
    EXPECT_FALSE(maildrop.exists(0));
    EXPECT_TRUE(maildrop.exists(1));
    EXPECT_TRUE(maildrop.exists(3));
    EXPECT_FALSE(maildrop.exists(4));
    EXPECT_FALSE(maildrop.exists(UINT64_MAX));
    EXPECT_FALSE(maildrop.exists(std::uint64_t{1} << 32 | 1)) << "2^32 + 1 is not 1";
    EXPECT_EQ(maildrop.message(1).id, "a");
    EXPECT_EQ(maildrop.message(3).id, "c");
    EXPECT_EQ(maildrop.unique_id(2), "uid-b");
}

TEST(Maildrop, AnEmptyOneHasNothing) {
    auto maildrop = make({});
    EXPECT_EQ(maildrop.count(), 0u);
    EXPECT_EQ(maildrop.count_left(), 0u);
    EXPECT_EQ(maildrop.octets_left(), 0u);
    EXPECT_FALSE(maildrop.exists(0));
    EXPECT_FALSE(maildrop.exists(1));
    maildrop.unmark_all();
    EXPECT_TRUE(maildrop.marked().empty());
}

TEST(Maildrop, MarkedMessagesDoNotCountAndKeepTheirNumbers) {
    auto maildrop = three();
    maildrop.mark(1);
    EXPECT_EQ(maildrop.count(), 3u);
    EXPECT_EQ(maildrop.count_left(), 2u);
    EXPECT_EQ(maildrop.octets_left(), 23u);
    EXPECT_EQ(maildrop.marked_count(), 1u);
    EXPECT_TRUE(maildrop.is_marked(1));
    EXPECT_FALSE(maildrop.is_marked(2));
    EXPECT_EQ(maildrop.message(2).id, "b");
    EXPECT_EQ(ids(maildrop.marked()), "a");
}

TEST(Maildrop, MarkingTwiceCountsOnce) {
    auto maildrop = three();
    maildrop.mark(2);
    maildrop.mark(2);
    EXPECT_EQ(maildrop.count_left(), 2u);
    EXPECT_EQ(maildrop.octets_left(), 103u);
    EXPECT_EQ(maildrop.marked_count(), 1u);
}

TEST(Maildrop, AllMarkedIsNothingLeft) {
    auto maildrop = three();
    for (const std::uint64_t number : {3, 1, 2}) maildrop.mark(number);
    EXPECT_EQ(maildrop.count_left(), 0u);
    EXPECT_EQ(maildrop.octets_left(), 0u);
    EXPECT_EQ(ids(maildrop.marked()), "abc") << "in the order of the mailbox";
}

TEST(Maildrop, RsetTakesEveryMarkBackAndDeleWorksAgain) {
    auto maildrop = three();
    maildrop.mark(1);
    maildrop.mark(3);
    maildrop.unmark_all();
    EXPECT_EQ(maildrop.count_left(), 3u);
    EXPECT_EQ(maildrop.octets_left(), 123u);
    EXPECT_EQ(maildrop.marked_count(), 0u);
    EXPECT_TRUE(maildrop.marked().empty());
    maildrop.mark(3);
    EXPECT_EQ(maildrop.octets_left(), 120u);
    EXPECT_EQ(ids(maildrop.marked()), "c");
}

TEST(Maildrop, TotalsGoBeyondFourGigabytes) {
    constexpr std::uint64_t large = 4'294'967'295;
    auto maildrop = make({{"a", large}, {"b", large}, {"c", 10 * large}, {"d", 1}});
    EXPECT_EQ(maildrop.octets_left(), 12 * large + 1);
    maildrop.mark(3);
    EXPECT_EQ(maildrop.octets_left(), 2 * large + 1);
    maildrop.unmark_all();
    EXPECT_EQ(maildrop.octets_left(), 12 * large + 1);
}

TEST(Maildrop, WhatWasRetrievedAndStaysIsToBeMarkedAsRead) {
    auto maildrop = three();
    maildrop.set_given_whole(1, true);
    maildrop.set_given_whole(3, true);
    maildrop.set_given_whole(3, true);
    maildrop.mark(1);
    EXPECT_EQ(ids(maildrop.retrieved()), "c") << "a message that goes needs no mark";
    maildrop.unmark_all();
    EXPECT_EQ(ids(maildrop.retrieved()), "ac") << "RSET takes back DELE, not RETR";
}

TEST(Maildrop, AHundredThousandMessages) {
    std::vector<MessageInfo> messages(100'001);
    for (std::size_t i = 0; i < messages.size(); ++i) messages[i] = {std::to_string(i + 1), i};
    auto maildrop = make(std::move(messages));
    EXPECT_EQ(maildrop.message(100'001).id, "100001");
    for (std::uint64_t number = 1; number <= maildrop.count(); ++number) maildrop.mark(number);
    EXPECT_EQ(maildrop.octets_left(), 0u);
    EXPECT_EQ(maildrop.marked().size(), 100'001u);
}

TEST(Maildrop, WhereOnlyTheRetrievedMayBeDeletedTheRestMayNotBeMarked) {
    std::vector<MessageInfo> messages(3);
    Maildrop maildrop(messages, [](const MessageInfo&) { return std::string("x"); }, true, {false, true, false});
    EXPECT_FALSE(maildrop.may_be_marked(1));
    EXPECT_TRUE(maildrop.may_be_marked(2));
    maildrop.set_given_whole(1, false);
    EXPECT_TRUE(maildrop.may_be_marked(1));
    EXPECT_TRUE(maildrop.retrieved().empty()) << "TOP does not mark as read";
    EXPECT_FALSE(maildrop.may_be_marked(3));
    EXPECT_TRUE(three().may_be_marked(1));
}

}  // namespace
}  // namespace popgate::pop3
