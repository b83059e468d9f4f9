#include "backends/modified_utf7.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate {
namespace {

using namespace std::string_view_literals;

TEST(ModifiedUtf7, PrintableAsciiIsItself) {
    EXPECT_EQ(to_modified_utf7("INBOX"), "INBOX");
    EXPECT_EQ(to_modified_utf7(""), "");
    EXPECT_EQ(to_modified_utf7(" ~+-,/\\\"'%*(){}"), " ~+-,/\\\"'%*(){}");
}

TEST(ModifiedUtf7, AnAmpersandIsShifted) {
    EXPECT_EQ(to_modified_utf7("&"), "&-");
    EXPECT_EQ(to_modified_utf7("Tom & Jerry"), "Tom &- Jerry");
    EXPECT_EQ(to_modified_utf7("&&"), "&-&-");
    EXPECT_EQ(to_modified_utf7("&AOk-"), "&-AOk-") << "what looks encoded is not";
}

// The mailbox of RFC 3501 §5.1.3; the RFC itself has one character of it wrong.
TEST(ModifiedUtf7, TheMailboxOfTheRfc) {
    EXPECT_EQ(to_modified_utf7("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
}

TEST(ModifiedUtf7, Others) {
    EXPECT_EQ(to_modified_utf7("Entwürfe"), "Entw&APw-rfe");
    EXPECT_EQ(to_modified_utf7("Éléments envoyés"), "&AMk-l&AOk-ments envoy&AOk-s");
    EXPECT_EQ(to_modified_utf7("Отправленные"), "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-");
    EXPECT_EQ(to_modified_utf7("é&é"), "&AOk-&-&AOk-");
    EXPECT_EQ(to_modified_utf7("📧"), "&2D3c5w-") << "beyond the basic plane: a pair of surrogates";
    EXPECT_EQ(to_modified_utf7("\xF4\x8F\xBF\xBF"), "&2,,f,w-");
}

TEST(ModifiedUtf7, WhatIsNotUtf8IsRefused) {
    for (const auto text :
         {"\xFF"sv, "\xE9t\xE9"sv, "\xC3"sv, "\xC3("sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x80\x80"sv, "\xE0\x9F\xBF"sv,
          "\xF0\x80\x80\x80"sv, "\xED\xA0\x80"sv, "\xED\xBF\xBF"sv, "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv,
          "\xF8\x88\x80\x80\x80"sv, "\xE5\x8F"sv, "\x80"sv, "a\xE5\x8F"sv})
        EXPECT_FALSE(to_modified_utf7(text)) << testing::PrintToString(text);
}

TEST(ModifiedUtf7, ControlCharactersAreRefused) {
    for (const auto text : {"a\0b"sv, "a\r\nb"sv, "\n"sv, "\t"sv, "\x1B"sv, "\x7F"sv})
        EXPECT_FALSE(to_modified_utf7(text)) << testing::PrintToString(text);
}

}  // namespace
}  // namespace popgate
