#include "gateway/web/forms.hpp"

#include "gateway/web/html.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate::web {
namespace {

TEST(WebForm, NamesAndValuesAreDecoded) {
    const auto form = parse_form("a=1+2&b%20c=%C3%A9%26&empty=&alone&&d=x=y");
    ASSERT_TRUE(form);
    EXPECT_EQ(form->size(), 5u);
    EXPECT_EQ(form->get("a"), "1 2");
    EXPECT_EQ(form->get("b c"), "é&");
    EXPECT_EQ(form->get("empty"), "");
    EXPECT_TRUE(form->has("empty") && form->has("alone"));
    EXPECT_EQ(form->get("d"), "x=y");
    EXPECT_FALSE(form->has("e"));
}

TEST(WebForm, WhatIsSaidTwiceIsNotSaid) {
    const auto form = parse_form("state=a&state=b");
    ASSERT_TRUE(form);
    EXPECT_TRUE(form->has("state"));
    EXPECT_EQ(form->get("state"), "");
}

TEST(WebForm, BrokenEscapesAreRefused) {
    for (const auto* each : {"a=%", "a=%4", "a=%zz", "%=1", "a=%-1", "a=%+1", "a=% 1"})
        EXPECT_FALSE(parse_form(each)) << each;
}

TEST(WebForm, FieldsAreCounted) {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "a&";
    EXPECT_TRUE(parse_form(text));
    EXPECT_FALSE(parse_form(text + "a"));
}

TEST(WebCookies, ArePairs) {
    const auto cookies = parse_cookies("a=1; b=2=3;junk;  c=");
    EXPECT_EQ(cookies.size(), 3u);
    EXPECT_EQ(cookies.get("a"), "1");
    EXPECT_EQ(cookies.get("b"), "2=3");
    EXPECT_TRUE(cookies.has("c"));
}

TEST(WebMarkup, IsEscaped) {
    EXPECT_EQ(escape_markup("<a href=\"x\" b='y'>&</a>"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;&lt;/a&gt;");
    EXPECT_EQ(escape_markup("é漢🙂"), "é漢🙂");
}

TEST(WebMarkup, WhatIsNoCharacterIsReplaced) {
    const std::string bad = "\xEF\xBF\xBD";
    EXPECT_EQ(escape_markup("a\xFF\x62"), "a" + bad + "b");
    EXPECT_EQ(escape_markup(std::string_view("a\0b", 3)), "a" + bad + "b");
    EXPECT_EQ(escape_markup("\xC0\xAF"), bad + bad) << "an overlong slash";
    EXPECT_EQ(escape_markup("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
    EXPECT_EQ(escape_markup("\xC3"), bad) << "cut off";
    EXPECT_EQ(escape_markup("\x1B[31m"), bad + "[31m");
}

TEST(WebLine, HasNoControlsAndIsCutBetweenCharacters) {
    EXPECT_EQ(clean_line("  a\r\nb\x7F \t", 60), "ab");
    EXPECT_EQ(clean_line("ééé", 5), "éé");
    EXPECT_EQ(clean_line("x\xE2\x80\xAEy", 60), "xy") << "what turns the text's direction";
    EXPECT_EQ(clean_line("   ", 60), "");
}

}  // namespace
}  // namespace popgate::web
