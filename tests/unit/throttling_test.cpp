#include "backends/imap/throttling.hpp"

#include <gtest/gtest.h>

namespace popgate::imap {
namespace {

using namespace std::chrono_literals;

TEST(Throttling, ExchangeNamesTheTime) {
    EXPECT_EQ(asked_pause("BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"), 299961ms);
    EXPECT_EQ(asked_pause("NO suggested backoff time:5 milliseconds"), 5ms);
    EXPECT_EQ(asked_pause("BAD Suggested Backoff Time: 12 seconds"), 12s);
}

TEST(Throttling, NoTimeIsLongerThanAnHour) {
    EXPECT_EQ(asked_pause("Suggested Backoff Time: 99999999999 milliseconds"), 1h);
    EXPECT_EQ(asked_pause("Suggested Backoff Time: 99999999999999999999999 milliseconds"), 1h);
    EXPECT_EQ(asked_pause("Suggested Backoff Time: 99999999999999999999999 seconds"), 1h);
    EXPECT_EQ(asked_pause("Suggested Backoff Time: 99999 seconds"), 1h);
}

TEST(Throttling, OthersOnlySayThatItIsTooMuch) {
    for (const auto* text :
         {"NO [LIMIT] Too many logins", "NO [THROTTLED] slow down", "BYE Too many simultaneous connections. (Failure)",
          "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded", "Suggested Backoff Time: soon",
          "NO [OVERQUOTA] Account exceeded command or bandwidth limits."})
        EXPECT_EQ(asked_pause(text), 30s) << text;
}

TEST(Throttling, NothingElseIsAPause) {
    for (const auto* text : {"", "NO [AUTHENTICATIONFAILED] wrong", "NO [UNAVAILABLE] down", "BAD LIMIT", "BYE"})
        EXPECT_EQ(asked_pause(text), std::nullopt) << text;
}

}  // namespace
}  // namespace popgate::imap
