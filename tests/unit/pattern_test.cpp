#include "gateway/config/pattern.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {
namespace {

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

std::string random_of(std::minstd_rand& random, std::string_view alphabet, unsigned longest) {
    std::string out;
    for (auto length = random() % (longest + 1); length > 0; --length) out += alphabet[random() % alphabet.size()];
    return out;
}

/// Every text of `a`, `b` and `c` that is no longer than this.
std::vector<std::string> all_texts(std::size_t longest) {
    std::vector<std::string> texts{""};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (texts[i].size() == longest) continue;
        for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
    }
    return texts;
}

TEST(CoversPattern, WhatIsTakenAsAWhole) {
    EXPECT_TRUE(covers_pattern("*", "bob@*"));
    EXPECT_TRUE(covers_pattern("**", "?"));
    EXPECT_TRUE(covers_pattern("*@a.example", "bob*@A.example"));
    EXPECT_TRUE(covers_pattern("b?b", "b?b"));
    EXPECT_TRUE(covers_pattern("?*", "?*"));
    EXPECT_TRUE(covers_pattern("Bob*", "bOb*"));
    EXPECT_FALSE(covers_pattern("?", "*"));
    EXPECT_FALSE(covers_pattern("bob", "bo*"));
    EXPECT_FALSE(covers_pattern("*@a.example", "bob@*"));
}

TEST(PatternsOverlap, WhereOneNameFitsBoth) {
    EXPECT_TRUE(patterns_overlap("*@a.example", "bob@*"));
    EXPECT_TRUE(patterns_overlap("", "*"));
    EXPECT_TRUE(patterns_overlap("B?b", "b*B"));
    EXPECT_FALSE(patterns_overlap("", "?"));
    EXPECT_FALSE(patterns_overlap("*@a.example", "*@b.example"));
    EXPECT_FALSE(patterns_overlap("bob", "bobby"));
}

// Two patterns of so few octets have a text in common that is no longer than both together, if they have any.
TEST(PatternsOverlap, AgreesWithAllTextsAndSoDoesCovers) {
    std::minstd_rand random(12);
    const auto texts = all_texts(6);
    for (int round = 0; round < 2000; ++round) {
        const auto a = random_of(random, "ab*?", 3), b = random_of(random, "ab*?", 3);
        bool overlap = false, covers = true;
        for (const auto& text : texts) {
            const bool in_a = matches_pattern(a, text), in_b = matches_pattern(b, text);
            overlap = overlap || (in_a && in_b);
            covers = covers && (in_a || !in_b);
        }
        ASSERT_EQ(patterns_overlap(a, b), overlap) << a << ' ' << b;
        ASSERT_TRUE(covers || !covers_pattern(a, b)) << a << ' ' << b;
    }
}

}  // namespace
}  // namespace popgate
