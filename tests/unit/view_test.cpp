#include "gateway/config/view.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace popgate {
namespace {

TEST(View, IsReadAndWritten) {
    EXPECT_EQ(*parse_view("all"), View{});
    EXPECT_EQ(*parse_view("unread"), (View{View::Kind::unread, 0}));
    EXPECT_EQ(*parse_view("last 30 days"), (View{View::Kind::last_days, 30}));
    EXPECT_EQ(*parse_view("last 100 messages"), (View{View::Kind::last_messages, 100}));
    EXPECT_EQ(*parse_view("last 1 day"), (View{View::Kind::last_days, 1}));
    for (const std::string_view text :
         {"all", "unread", "last 1 day", "last 30 days", "last 1 message", "last 1000000 messages"}) {
        EXPECT_EQ(view_text(*parse_view(text)), text);
    }
}

TEST(View, WhatIsNoneIsToldTheForms) {
    for (const std::string_view bad :
         {"", "All", "read", "30 days", "last", "last ", "last days", "last  30 days", "last 30", "last 30 ",
          "last 30days", "last -1 days", "last +1 days", "last 1.5 days", "last 30 days ", " last 30 days",
          "last 30 weeks", "last 30 d"}) {
        const auto view = parse_view(bad);
        ASSERT_TRUE(view.has_error()) << bad;
        EXPECT_EQ(view.error().text, '"' + std::string(bad) +
                                         "\" is no view; write one as \"all\", \"unread\", \"last 30 days\" or "
                                         "\"last 100 messages\"");
    }
}

TEST(View, CountsWithinLimits) {
    for (const std::string_view bad : {"last 0 days", "last 1000001 messages", "last 99999999999999999999 days"}) {
        const auto view = parse_view(bad);
        ASSERT_TRUE(view.has_error()) << bad;
        EXPECT_NE(view.error().text.find("must count from 1 to 1000000"), std::string::npos) << view.error().text;
    }
}

}  // namespace
}  // namespace popgate
