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

}  // namespace
}  // namespace popgate::imap
