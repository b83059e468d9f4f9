#include "gateway/observe/traces.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

constexpr Traces::Clock::time_point start{1000h};

TEST(Traces, KeepWhatIsSaidWhileSomebodyLooks) {
    Traces traces;
    EXPECT_FALSE(traces.any());
    traces.add("ann", 1, "client", "> too early");
    ASSERT_TRUE(traces.set("Ann", 10s, start));
    EXPECT_TRUE(traces.any());
    EXPECT_TRUE(traces.wants("aNN", start));
    EXPECT_FALSE(traces.wants("bob", start));
    traces.add("ANN", 7, "client", "> STAT");
    traces.add("bob", 8, "client", "> STAT");
    traces.add("ann", 7, "upstream", "> NOOP");
    const auto lines = traces.lines("ann", 0);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].text, "> STAT");
    EXPECT_EQ(lines[0].session, 7u);
    EXPECT_EQ(lines[1].side, "upstream");
    EXPECT_LT(lines[0].number, lines[1].number);
    ASSERT_EQ(traces.lines("ann", lines[0].number).size(), 1u);
    EXPECT_TRUE(traces.lines("bob", 0).empty());
}

TEST(Traces, EndByThemselves) {
    Traces traces;
    ASSERT_TRUE(traces.set("ann", 10s, start));
    ASSERT_TRUE(traces.set("ann", 10s, start + 9s));
    EXPECT_TRUE(traces.wants("ann", start + 18s));
    EXPECT_FALSE(traces.wants("ann", start + 19s));
    EXPECT_FALSE(traces.any());
}

TEST(Traces, AreSwitchedOff) {
    Traces traces;
    ASSERT_TRUE(traces.set("ann", 10s, start));
    traces.add("ann", 1, "client", "> STAT");
    ASSERT_TRUE(traces.set("ann", 0s, start));
    EXPECT_FALSE(traces.any());
    EXPECT_TRUE(traces.lines("ann", 0).empty());
    ASSERT_TRUE(traces.set("bob", 0s, start)) << "was not on";
}

TEST(Traces, AreBounded) {
    Traces traces;
    for (std::size_t i = 0; i < Traces::most_users; ++i)
        ASSERT_TRUE(traces.set("user" + std::to_string(i), 10s, start));
    EXPECT_FALSE(traces.set("one more", 10s, start));
    EXPECT_TRUE(traces.set("user0", 10s, start));
    EXPECT_TRUE(traces.set("one more", 10s, start + 1min)) << "the others have ended";
    for (std::size_t i = 0; i < 2 * Traces::kept_lines; ++i)
        traces.add("one more", 1, "client", std::string(100'000, 'x'));
    const auto lines = traces.lines("one more", 0);
    EXPECT_EQ(lines.size(), Traces::kept_lines);
    EXPECT_LE(lines.back().text.size(), 1000u);
}

}  // namespace
}  // namespace popgate
