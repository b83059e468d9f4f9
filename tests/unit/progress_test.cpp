#include "gateway/commands/progress.hpp"

#include <gtest/gtest.h>

namespace popgate::commands {
namespace {

using namespace std::chrono_literals;

TEST(ProgressLine, CountRateAndWhatIsLeft) {
    EXPECT_EQ(progress_line("old server", 50, 200, 10s, 200),
              "old server  [#######.......................]  50/200  5/s  0:30 left");
    EXPECT_EQ(progress_line("x", 1, 10'000, 1s, 200),
              "x  [..............................]  1/10000  1/s  2:46:39 left");
}

TEST(ProgressLine, NoRateBeforeThereIsOne) {
    EXPECT_EQ(progress_line("x", 0, 2, 0s, 200), "x  [..............................]  0/2");
    EXPECT_EQ(progress_line("x", 0, 2, 5s, 200), "x  [..............................]  0/2");
}

TEST(ProgressLine, FullAtTheEndAndNeverFuller) {
    EXPECT_NE(progress_line("x", 2, 2, 1s, 200).find("[##############################]  2/2"), std::string::npos);
    EXPECT_EQ(progress_line("x", 3, 2, 1s, 200), progress_line("x", 2, 2, 1s, 200));
    EXPECT_NE(progress_line("x", 0, 0, 1s, 200).find("0/0"), std::string::npos);
}

TEST(ProgressLine, NoWiderThanTheTerminal) { EXPECT_EQ(progress_line("mailbox", 1, 2, 1s, 20).size(), 20u); }

}  // namespace
}  // namespace popgate::commands
