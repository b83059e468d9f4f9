#include "gateway/config/duration.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace popgate {
namespace {

using namespace std::chrono_literals;

TEST(Duration, IsReadAndWritten) {
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("60s"), 60s);
    EXPECT_EQ(parse_duration("10m"), 10min);
    EXPECT_EQ(parse_duration("12h"), 12h);
    EXPECT_EQ(parse_duration("30d"), 720h);
    EXPECT_GT(parse_duration("4294967295d"), 0ms);
    for (const std::string_view bad :
         {"", "s", "-1s", "+1s", " 1s", "1 s", "1s ", "1", "1.5s", "1D", "1H", "99999999999999h", "dd", "1dd"}) {
        EXPECT_LT(parse_duration(bad), 0ms) << bad;
    }
    EXPECT_EQ(duration_text(60s), "1m");
    EXPECT_EQ(duration_text(90s), "90s");
    EXPECT_EQ(duration_text(12h), "12h");
    EXPECT_EQ(duration_text(24h), "1d");
    EXPECT_EQ(duration_text(25h), "25h");
    EXPECT_EQ(duration_text(1500ms), "1500ms");
    EXPECT_EQ(duration_text(longest_duration), "366d");
}

}  // namespace
}  // namespace popgate
