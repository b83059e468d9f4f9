#include "gateway/pop3/reply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace popgate::pop3 {
namespace {

constexpr Language languages[] = {Language::english, Language::spanish};
constexpr Errc codes[] = {Errc::auth, Errc::temporary, Errc::permanent, Errc::in_use, Errc::login_delay, Errc::gone, Errc::sink_closed};

/// RFC 2449 §4: one line of at most 512 octets with its CRLF, and nothing that a terminal would obey.
void expect_one_clean_line(const std::string& reply) {
    SCOPED_TRACE(reply);
    EXPECT_LE(reply.size(), 512u);
    ASSERT_TRUE(reply.ends_with("\r\n"));
    const auto text = std::string_view(reply).substr(0, reply.size() - 2);
    EXPECT_TRUE(std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
    EXPECT_TRUE(text.starts_with("+OK") || text.starts_with("-ERR"));
}

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
}

bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i++]);
        const int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
        if (more < 0) return false;
        for (int j = 0; j < more; ++j)
            if (i == text.size() || (static_cast<unsigned char>(text[i++]) & 0xC0) != 0x80) return false;
    }
    return true;
}

TEST(Reply, EverySentenceIsOneCleanLineInBothLanguages) {
    for (int i = 0; i <= static_cast<int>(Text::shutting_down); ++i) {
        const auto text = static_cast<Text>(i);
        for (const auto language : languages) {
            EXPECT_FALSE(text_of(text, language).empty());
            EXPECT_TRUE(is_utf8(text_of(text, language)));
            const auto filled = ok(text, language, {UINT64_MAX, UINT64_MAX});
            expect_one_clean_line(filled);
            EXPECT_EQ(filled.find("{}"), std::string::npos) << filled;
            expect_one_clean_line(err("SYS/TEMP", text, language, {UINT64_MAX, UINT64_MAX}));
        }
        // Until a client asks for another language it has not said that it can read more (RFC 6856 §3).
        EXPECT_TRUE(is_ascii(text_of(text, Language::english))) << text_of(text, Language::english);
    }
}

// curl would take it for an APOP challenge.
TEST(Reply, TheGreetingHoldsNoTimestamp) {
    for (const auto language : languages)
        EXPECT_EQ(text_of(Text::greeting, language).find('<'), std::string_view::npos);
}

TEST(Reply, NumbersAreFilledInInTurn) {
    EXPECT_EQ(ok(Text::logged_in, Language::english, {2, 320}), "+OK 2 messages (320 octets)\r\n");
    EXPECT_EQ(ok(Text::message, Language::spanish, {5'000'000'000}), "+OK 5000000000 octetos\r\n");
    const auto not_removed = err("SYS/TEMP", Text::not_removed, Language::english, {2500, 5000});
    EXPECT_TRUE(not_removed.starts_with("-ERR [SYS/TEMP] 2500 of 5000 ")) << not_removed;
}

TEST(Reply, AFailureHasItsResponseCode) {
    for (const auto language : languages) {
        const auto reply = [&](Errc code) { return err(Error{code, "why", "secret detail"}, language); };
        EXPECT_TRUE(reply(Errc::auth).starts_with("-ERR [AUTH] ")) << reply(Errc::auth);
        EXPECT_TRUE(reply(Errc::temporary).starts_with("-ERR [SYS/TEMP] ")) << reply(Errc::temporary);
        EXPECT_TRUE(reply(Errc::permanent).starts_with("-ERR [SYS/PERM] ")) << reply(Errc::permanent);
        EXPECT_TRUE(reply(Errc::in_use).starts_with("-ERR [IN-USE] ")) << reply(Errc::in_use);
        EXPECT_TRUE(reply(Errc::gone).starts_with("-ERR ")) << reply(Errc::gone);
        for (const auto code : codes) EXPECT_EQ(reply(code).find("detail"), std::string::npos) << "the log's alone";
    }
}

// fetchmail takes a refused PASS for a wrong password unless it reads of waiting.
TEST(Reply, WhatPassesByItselfSaysWait) {
    for (const auto code : {Errc::temporary, Errc::in_use})
        for (const auto* text : {"", "the mail server cannot be reached"})
            EXPECT_NE(err(Error{code, text, {}}, Language::english).find("wait"), std::string::npos);
    EXPECT_EQ(err(Error{Errc::auth, "please wait", {}}, Language::english).find("wait"), std::string::npos);
}

// Which of the two was wrong is nobody's business.
TEST(Reply, ARefusedLoginAlwaysReadsTheSame) {
    for (const auto language : languages)
        EXPECT_EQ(err(Error{Errc::auth, "no such user", {}}, language),
                  err(Error{Errc::auth, "expired", "x"}, language));
}

TEST(Reply, TextOfAPeerIsCutAndCleaned) {
    std::string every_octet;
    for (int i = 0; i < 256; ++i) every_octet += static_cast<char>(i);
    const std::string texts[] = {"",
                                 std::string(100'000, 'x'),
                                 std::string(600, '\xF1'),
                                 every_octet,
                                 std::string(3, '\0') + "x",
                                 "one\r\n+OK two\r\n.\r\n",
                                 "\x1B]0;title\x07",
                                 "[AUTH] [SYS/PERM]",
                                 "{} {} {}",
                                 std::string(511, ' '),
                                 "emoji \xF0\x9F\x93\xA7 ñ"};
    for (const auto& text : texts)
        for (const auto code : codes)
            for (const auto language : languages) expect_one_clean_line(err(Error{code, text, text}, language));
}

TEST(FindLanguage, TagsAreNotCaseSensitiveAndTakeRegions) {
    for (const auto* tag : {"en", "EN", "en-GB", "en-us-x-twain", "*", "i-default", "I-Default"})
        EXPECT_EQ(find_language(tag), Language::english) << tag;
    for (const auto* tag : {"es", "ES", "es-MX", "es-419"}) EXPECT_EQ(find_language(tag), Language::spanish) << tag;
}

TEST(FindLanguage, OthersAreNotSpoken) {
    for (const auto* tag :
         {"", "e", "fr", "de-AT", "eng", "esp", "english", "-en", "-", "**", "en_GB", "\x05n", "i-klingon", "i"})
        EXPECT_FALSE(find_language(tag)) << tag;
}

}  // namespace
}  // namespace popgate::pop3
