#include "backends/imap/uid_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace popgate::imap {
namespace {

using Sets = std::vector<std::string>;

/// What a server makes of the sets (RFC 3501, sequence-set).
std::vector<std::uint32_t> read(const Sets& sets) {
    std::vector<std::uint32_t> uids;
    for (const auto& set : sets) {
        for (std::size_t at = 0; at < set.size();) {
            std::size_t used = 0;
            const auto first = std::stoull(set.substr(at), &used);
            at += used;
            auto last = first;
            if (at < set.size() && set[at] == ':') {
                last = std::stoull(set.substr(++at), &used);
                at += used;
            }
            for (auto uid = first; uid <= last; ++uid) uids.push_back(static_cast<std::uint32_t>(uid));
            if (at < set.size()) {
                EXPECT_EQ(set[at++], ',') << set;
            }
        }
    }
    return uids;
}

TEST(UidSet, NeighboursBecomeRanges) {
    EXPECT_EQ(make_uid_sets({1, 2, 3, 7}), (Sets{"1:3,7"}));
    EXPECT_EQ(make_uid_sets({5}), (Sets{"5"}));
    EXPECT_EQ(make_uid_sets({1, 2}), (Sets{"1:2"}));
    EXPECT_EQ(make_uid_sets({1, 3, 5}), (Sets{"1,3,5"}));
}

TEST(UidSet, OrderAndRepetitionDoNotMatter) { EXPECT_EQ(make_uid_sets({3, 1, 2, 3, 1}), (Sets{"1:3"})); }

// An empty set is a syntax error to a server, and ":*" would be everything.
TEST(UidSet, NothingIsNoSet) { EXPECT_EQ(make_uid_sets({}), Sets{}); }

TEST(UidSet, TheLargestUid) {
    EXPECT_EQ(make_uid_sets({4294967295, 4294967294, 1}), (Sets{"1,4294967294:4294967295"}));
    EXPECT_EQ(make_uid_sets({4294967295, 0}), (Sets{"0,4294967295"})) << "no range around the end";
}

TEST(UidSet, ManyAreCutIntoSetsOfAllowedLength) {
    std::minstd_rand random(3);
    for (const std::size_t longest : {21, 40, 4000}) {
        std::set<std::uint32_t> uids;
        while (uids.size() < 3000) uids.insert(random() % 3 == 0 ? random() : random() % 5000);
        std::vector<std::uint32_t> shuffled(uids.begin(), uids.end());
        std::shuffle(shuffled.begin(), shuffled.end(), random);
        const auto sets = make_uid_sets(shuffled, longest);
        for (const auto& set : sets) EXPECT_LE(set.size(), longest);
        EXPECT_EQ(read(sets), std::vector<std::uint32_t>(uids.begin(), uids.end()));
    }
}

std::string ranges_of(UidSet set) {
    set.settle();
    std::string text;
    for (const auto& range : set.ranges()) text += std::to_string(range.first) + ":" + std::to_string(range.last) + " ";
    return text;
}

TEST(UidSet, AnyOrderSettles) {
    UidSet set;
    set.add(7);
    set.add(3, 1);
    set.add(2, 5);
    set.add(0);
    set.add(6);
    set.add(4294967295);
    EXPECT_EQ(ranges_of(set), "1:7 4294967295:4294967295 ");
    set.settle();
    EXPECT_EQ(set.size(), 8u);
    for (const std::uint32_t uid : {1u, 7u, 4294967295u}) EXPECT_TRUE(set.contains(uid)) << uid;
    for (const std::uint32_t uid : {0u, 8u, 4294967294u}) EXPECT_FALSE(set.contains(uid)) << uid;
    EXPECT_FALSE(UidSet{}.contains(1));
}

TEST(UidSet, AgreesWithAPlainSet) {
    std::minstd_rand random(5);
    for (int round = 0; round < 200; ++round) {
        UidSet set;
        std::set<std::uint32_t> plain;
        for (int i = 0; i < 20; ++i) {
            const auto first = static_cast<std::uint32_t>(1 + random() % 60),
                       last = static_cast<std::uint32_t>(first + random() % 4);
            set.add(first, last);
            for (auto uid = first; uid <= last; ++uid) plain.insert(uid);
        }
        set.settle();
        ASSERT_EQ(set.size(), plain.size());
        for (std::uint32_t uid = 0; uid < 70; ++uid) ASSERT_EQ(set.contains(uid), plain.contains(uid));
        UidSet read_back;
        for (const auto& text : make_uid_sets({plain.begin(), plain.end()}, 30))
            ASSERT_TRUE(read_back.add_text(text, 1000)) << text;
        ASSERT_EQ(ranges_of(read_back), ranges_of(set));
    }
}

TEST(UidSet, TextIsReadStrictlyAndBounded) {
    UidSet set;
    EXPECT_TRUE(set.add_text("5:3,9,1:4294967295", 10));
    EXPECT_EQ(ranges_of(set), "1:4294967295 ");
    for (const auto* text : {"", ",", "1,", "1:", ":", "a", "1 2", "1:*", "4294967296"})
        EXPECT_FALSE(UidSet{}.add_text(text, 10)) << text;
    EXPECT_FALSE(UidSet{}.add_text("1,3,5", 2));
}

}  // namespace
}  // namespace popgate::imap
