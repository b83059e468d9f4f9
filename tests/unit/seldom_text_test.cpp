#include "backends/seldom_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace popgate {
namespace {

TEST(SeldomText, IsAValueLikeAString) {
    EXPECT_TRUE(SeldomText().empty());
    EXPECT_TRUE(SeldomText("").empty());
    EXPECT_EQ(SeldomText().str(), "");
    EXPECT_EQ(SeldomText(""), SeldomText());

    SeldomText text = "one";
    const SeldomText copy = text;
    text = std::string("another");
    EXPECT_EQ(copy.str(), "one");
    EXPECT_EQ(text.str(), "another");
    EXPECT_FALSE(text == copy);

    const auto moved = std::move(text);
    EXPECT_EQ(moved.str(), "another");
    text = copy;
    EXPECT_EQ(text, copy);
    const auto& same = text;
    text = same;
    EXPECT_EQ(text.str(), "one");
    text = {};
    EXPECT_TRUE(text.empty());
}

TEST(SeldomText, TakesAPointer) { EXPECT_EQ(sizeof(SeldomText), sizeof(void*)); }

}  // namespace
}  // namespace popgate
