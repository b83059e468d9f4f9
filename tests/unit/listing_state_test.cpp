#include "backends/imap/listing_state.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate::imap {
namespace {

TEST(ListingState, ComesBackAsItWas) {
    for (const auto& state : {ListingState{1, 0, 0}, ListingState{1700000000, 43, 12345678901},
                              ListingState{1700000000, 43, 5, false}, ListingState{UINT32_MAX, UINT32_MAX, UINT64_MAX}})
        EXPECT_EQ(parse_listing_state(to_text(state)), state) << to_text(state);
}

TEST(ListingState, AnythingElseIsNothing) {
    const auto good = to_text({1700000000, 43, 5});
    for (std::size_t cut = 0; cut < good.size(); ++cut)
        EXPECT_EQ(parse_listing_state(good.substr(0, cut)), std::nullopt) << good.substr(0, cut);
    EXPECT_EQ(parse_listing_state(good + " undated"), (ListingState{1700000000, 43, 5, false}));
    for (const auto& text :
         {good + " ", good + "x", good + " undate", good + " undated ", " " + good,
          std::string("imap2") + good.substr(5), std::string("imap1 validity=0 next=1 modseq=1"),
          std::string("imap1 validity=4294967296 next=1 modseq=1"), std::string("imap1 validity=-1 next=1 modseq=1"),
          std::string("imap1 validity=1 next=1 modseq=18446744073709551616"),
          std::string("imap1 validity=1  next=1 modseq=1"), std::string("\0\0", 2)})
        EXPECT_EQ(parse_listing_state(text), std::nullopt) << text;
}

}  // namespace
}  // namespace popgate::imap
