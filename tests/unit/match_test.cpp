#include "gateway/commands/match.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace popgate::commands {
namespace {

Comparable message(const std::string& header, std::uint64_t octets = 100) { return {summarise_header(header), octets}; }

std::string header(const std::string& id, const std::string& date = "Mon", const std::string& more = "") {
    return "Message-ID: <" + id + "@x>\nDate: " + date + "\nFrom: eva@x\n" + more;
}

using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

Pairs pairs(const std::vector<Match>& matches) {
    Pairs found;
    for (const auto& match : matches) found.emplace_back(match.old_index, match.new_index);
    return found;
}

TEST(Match, EqualHeadersInAnyOrder) {
    const auto matches = match_messages({message(header("1")), message(header("2"))},
                                        {message(header("3")), message(header("2")), message(header("1"))});
    EXPECT_EQ(pairs(matches), (Pairs{{0, 2}, {1, 1}}));
    for (const auto& match : matches) EXPECT_EQ(match.rule, MatchRule::headers);
}

TEST(Match, EachRuleInItsTurn) {
    const auto only = [](const std::string& old_header, const std::string& new_header) {
        const auto matches = match_messages({message(old_header)}, {message(new_header, 999)});
        return matches.size() == 1 ? std::string(name_of(matches[0].rule)) : "none";
    };
    EXPECT_EQ(only(header("1"), header("1")), "headers");
    EXPECT_EQ(only(header("1"), "Received: here\n" + header("1")), "headers-without-trace");
    EXPECT_EQ(only(header("1"), header("1", "Mon", "X-Spam: no\n")), "message-id-and-date");
    EXPECT_EQ(only(header("1"), header("1", "Tue")), "message-id");
    EXPECT_EQ(only("Date: Mon\nFrom: a\nSubject: s\n", "Date: Mon\nFrom: a\nX-Spam: no\nSubject: s\n"), "looks");
    EXPECT_EQ(only("Date: Mon\nFrom: a\n", "Date: Tue\nFrom: a\n"), "none");
    EXPECT_EQ(only(header("1"), header("2")), "none") << "what looks alike but has another Message-ID is another";
    EXPECT_EQ(only("", ""), "none") << "two messages without a header are not the same one";
}

TEST(Match, TwinsGoInOrder) {
    const auto twin = message(header("1"));
    EXPECT_EQ(pairs(match_messages({twin, message(header("2")), twin}, {twin, twin, message(header("2"))})),
              (Pairs{{0, 0}, {1, 2}, {2, 1}}));
}

TEST(Match, TwinsOfDifferentSizesGoBySize) {
    const auto small = message(header("1"), 100), big = message(header("1"), 200);
    EXPECT_EQ(pairs(match_messages({small, big}, {big, small})), (Pairs{{0, 1}, {1, 0}}));
    // Sizes that fit nowhere prove nothing: the order remains.
    const auto other = message(header("1"), 300), another = message(header("1"), 301);
    EXPECT_EQ(pairs(match_messages({small, big}, {other, another})), (Pairs{{0, 0}, {1, 1}}));
}

TEST(Match, UnequalNumbersAreDecidedBySizeOrNotAtAll) {
    const auto small = message(header("1"), 100), big = message(header("1"), 200);
    EXPECT_EQ(pairs(match_messages({small, big}, {big})), (Pairs{{1, 0}}));
    EXPECT_EQ(pairs(match_messages({small, small}, {small})), Pairs{});
    EXPECT_EQ(pairs(match_messages({small}, {small, small})), Pairs{});
    EXPECT_EQ(pairs(match_messages({small, small, big, big}, {small, big, big})), Pairs{});
    const auto unknown = message(header("1"), 0);
    EXPECT_EQ(pairs(match_messages({unknown}, {unknown, small})), Pairs{}) << "no size is no equal size";
}

TEST(Match, ADoubledMessageIdIsLeftWhereHeadersDoNotTell) {
    const auto old_side = {message(header("1", "Mon", "X: a\n")), message(header("1", "Mon", "X: b\n"))};
    const auto new_side = {message(header("1", "Mon", "X: b\n")), message(header("1", "Mon", "X: c\n"), 7),
                           message(header("1", "Mon", "X: d\n"), 8)};
    // X: b is found by its header; the other might be either of the two.
    EXPECT_EQ(pairs(match_messages(old_side, new_side)), (Pairs{{1, 0}}));
}

TEST(Match, NothingOnOneSide) {
    EXPECT_TRUE(match_messages({}, {message(header("1"))}).empty());
    EXPECT_TRUE(match_messages({message(header("1"))}, {}).empty());
}

}  // namespace
}  // namespace popgate::commands
