#include "gateway/web/sessions.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>

namespace popgate::web {
namespace {

using namespace std::chrono_literals;

const Clock::time_point start{24h};

PendingSignIns::Pending pending(const std::string& state, const std::string& browser) {
    PendingSignIns::Pending made;
    made.request.state = state;
    made.browser = browser;
    return made;
}

TEST(WebToken, IsNeverTheSame) {
    std::set<std::string> tokens;
    for (int i = 0; i < 1000; ++i) tokens.insert(random_token());
    EXPECT_EQ(tokens.size(), 1000u);
    EXPECT_EQ(tokens.begin()->size(), 64u);
}

TEST(WebFormTokens, AreOfOneCookieAndOneProcess) {
    const FormTokens tokens;
    const FormTokens others;
    EXPECT_TRUE(tokens.is_good("cookie", tokens.make("cookie")));
    EXPECT_FALSE(tokens.is_good("cookie", tokens.make("another")));
    EXPECT_FALSE(tokens.is_good("cookie", others.make("cookie")));
    EXPECT_FALSE(tokens.is_good("cookie", ""));
    EXPECT_FALSE(tokens.is_good("", tokens.make(""))) << "without a cookie nothing is proved";
}

TEST(WebPending, ComesBackOnceToItsBrowserInTime) {
    PendingSignIns signs;
    signs.add(pending("s1", "b1"), start);
    EXPECT_FALSE(signs.take("s1", "b2", start));
    EXPECT_FALSE(signs.take("s1", "", start));
    EXPECT_TRUE(signs.take("s1", "b1", start + 9min)) << "another browser's try takes nothing away";
    EXPECT_FALSE(signs.take("s1", "b1", start + 9min)) << "replayed";
    signs.add(pending("s2", "b1"), start);
    EXPECT_FALSE(signs.take("s2", "b1", start + 11min));
    EXPECT_FALSE(signs.take("", "b1", start));
}

TEST(WebPending, IsBoundedAndTheOldestGoesFirst) {
    PendingSignIns signs;
    for (int i = 0; i < 1500; ++i) signs.add(pending("s" + std::to_string(i), "b"), start + i * 1ms);
    EXPECT_EQ(signs.size(), 1000u);
    EXPECT_FALSE(signs.take("s499", "b", start + 2s));
    EXPECT_TRUE(signs.take("s500", "b", start + 2s));
    EXPECT_TRUE(signs.take("s1499", "b", start + 2s));
}

TEST(WebSessions, EndWhenIdleAndAfterTheirTime) {
    Sessions sessions;
    const auto id = sessions.begin("alice", start);
    ASSERT_TRUE(sessions.find(id, start));
    EXPECT_EQ(sessions.find(id, start)->user, "alice");
    EXPECT_FALSE(sessions.find("", start));
    EXPECT_FALSE(sessions.find("another", start));
    EXPECT_TRUE(sessions.find(id, start + 29min));
    EXPECT_TRUE(sessions.find(id, start + 58min)) << "each request counts";
    EXPECT_FALSE(sessions.find(id, start + 58min + 31min));
    const auto busy = sessions.begin("bob", start);
    for (auto at = start; at <= start + 12h; at += 20min) EXPECT_TRUE(sessions.find(busy, at));
    EXPECT_FALSE(sessions.find(busy, start + 12h + 10min));
    const auto left = sessions.begin("carol", start);
    sessions.end(left);
    EXPECT_FALSE(sessions.find(left, start));
}

TEST(WebSessions, AreBounded) {
    Sessions sessions;
    const auto first = sessions.begin("a", start);
    for (int i = 0; i < 10'000; ++i) sessions.begin("a", start + 1s);
    EXPECT_EQ(sessions.size(), 10'000u);
    EXPECT_FALSE(sessions.find(first, start + 1s));
}

TEST(WebSignInRate, IsOfAnAddressAndForAWhile) {
    SignInRate rate;
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(rate.allow("192.0.2.1", start));
    EXPECT_FALSE(rate.allow("192.0.2.1", start + 9min));
    EXPECT_TRUE(rate.allow("192.0.2.2", start));
    EXPECT_TRUE(rate.allow("192.0.2.1", start + 11min));
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(rate.allow("2001:db8::" + std::to_string(i), start));
    EXPECT_FALSE(rate.allow("2001:db8::ffff", start)) << "one network";
    EXPECT_TRUE(rate.allow("2001:db8:0:1::1", start));
}

}  // namespace
}  // namespace popgate::web
