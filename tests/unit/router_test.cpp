#include "gateway/accounts/router.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

namespace popgate {
namespace {

RouteConfig route(std::string match, std::string url) {
    RouteConfig config;
    config.match = std::move(match);
    config.backend.url = std::move(url);
    return config;
}

TEST(MatchesPattern, Literally) {
    EXPECT_TRUE(matches_pattern("bob", "bob"));
    EXPECT_TRUE(matches_pattern("Bob@Example.COM", "bOB@eXAMPLE.com")) << "ASCII case does not matter";
    EXPECT_FALSE(matches_pattern("bob", "bobby"));
    EXPECT_FALSE(matches_pattern("bob", "bo"));
    EXPECT_FALSE(matches_pattern("bob", ""));
    EXPECT_TRUE(matches_pattern("", ""));
    EXPECT_FALSE(matches_pattern("", "x"));
    EXPECT_TRUE(matches_pattern("a.b", "a.b"));
    EXPECT_FALSE(matches_pattern("a.b", "axb")) << "no regular expression";
    EXPECT_FALSE(matches_pattern("[ab]", "a"));
}

TEST(MatchesPattern, StarsAndQuestionMarks) {
    EXPECT_TRUE(matches_pattern("*", ""));
    EXPECT_TRUE(matches_pattern("*", "anything at all"));
    EXPECT_TRUE(matches_pattern("*@corp.example", "bob@corp.example"));
    EXPECT_TRUE(matches_pattern("*@corp.example", "a@b@corp.example"));
    EXPECT_TRUE(matches_pattern("*@corp.example", "@corp.example"));
    EXPECT_FALSE(matches_pattern("*@corp.example", "bob@corp.example.org"));
    EXPECT_FALSE(matches_pattern("*@corp.example", "bob@corpXexample"));
    EXPECT_TRUE(matches_pattern("a*b*c", "aXbYbZc"));
    EXPECT_FALSE(matches_pattern("a*b*c", "aXcYb"));
    EXPECT_TRUE(matches_pattern("**a**", "xax"));
    EXPECT_TRUE(matches_pattern("b?b", "bob"));
    EXPECT_FALSE(matches_pattern("b?b", "bb"));
    EXPECT_FALSE(matches_pattern("?", ""));
    EXPECT_TRUE(matches_pattern("?*", "x"));
    EXPECT_TRUE(matches_pattern("*?", "x"));
    EXPECT_FALSE(matches_pattern("*??", "x"));
    EXPECT_TRUE(matches_pattern("*\xFF", "\x80\xFF")) << "octets, not characters";
}

bool matches_naively(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*')
        return matches_naively(pattern.substr(1), text) || (!text.empty() && matches_naively(pattern, text.substr(1)));
    return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
           matches_naively(pattern.substr(1), text.substr(1));
}

TEST(MatchesPattern, AgreesWithTheDefinition) {
    std::minstd_rand random(11);
    for (int round = 0; round < 20'000; ++round) {
        std::string pattern, text;
        for (auto length = random() % 8; length > 0; --length) pattern += "ab*?"[random() % 4];
        for (auto length = random() % 10; length > 0; --length) text += "ab"[random() % 2];
        ASSERT_EQ(matches_pattern(pattern, text), matches_naively(pattern, text)) << pattern << ' ' << text;
    }
}

TEST(MatchesPattern, ManyStarsDoNotTakeForever) {
    std::string pattern;
    for (int i = 0; i < 50; ++i) pattern += "*a";
    EXPECT_FALSE(matches_pattern(pattern + "b", std::string(10'000, 'a')));
}

TEST(Router, TheFirstMatchWins) {
    const auto router =
        Router::make({route("bob@*", "maildir:/mail/bob"), route("*@corp.example", "maildir:/mail/corp/%n"),
                      route("*@corp.example", "maildir:/mail/never")});
    ASSERT_TRUE(router);
    const auto url_for = [&](std::string_view user) {
        const auto* found = router->find(user);
        return found ? found->config.backend.url : std::string("none");
    };
    EXPECT_EQ(url_for("bob@corp.example"), "maildir:/mail/bob");
    EXPECT_EQ(url_for("ann@corp.example"), "maildir:/mail/corp/%n");
    EXPECT_EQ(url_for("ANN@CORP.EXAMPLE"), "maildir:/mail/corp/%n");
    EXPECT_EQ(url_for("ann@other.example"), "none");
    EXPECT_EQ(url_for(""), "none");
    EXPECT_NE(router->find("bob@x")->backend, nullptr);
}

TEST(Router, WithoutRoutesNobodyIsAnywhere) {
    const auto router = Router::make({});
    ASSERT_TRUE(router);
    EXPECT_EQ(router->find("bob"), nullptr);
}

TEST(Router, ABackendThatCannotBeMadeIsTheError) {
    const auto router = Router::make({route("*", "maildir:/mail/%u"), route("*", "gopher://example.com")});
    ASSERT_TRUE(router.has_error());
    EXPECT_NE(router.error().text.find("gopher"), std::string::npos) << router.error().text;
}

}  // namespace
}  // namespace popgate
