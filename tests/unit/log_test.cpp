#include "gateway/observe/log.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <boost/json.hpp>
#include <string>

namespace popgate {
namespace {

using namespace std::string_literals;

constexpr std::string_view noon = "2026-11-22T12:00:00.000Z";

std::string text_of(std::string_view value) {
    const std::string line = format_log_line(LogFormat::text, noon, LogLevel::info, "e", {{"v", value}});
    const std::string start = std::string(noon) + " info e v=";
    EXPECT_TRUE(line.starts_with(start)) << line;
    return line.substr(start.size());
}

std::string json_of(std::string_view value) {
    const std::string line = format_log_line(LogFormat::json, noon, LogLevel::info, "e", {{"v", value}});
    return std::string(boost::json::parse(line).as_object().at("v").as_string());
}

TEST(LogText, HasTimeLevelEventAndFields) {
    EXPECT_EQ(format_log_line(
                  LogFormat::text, noon, LogLevel::info, "session",
                  {{"user", "a@b"}, {"retrieved", std::uint64_t{3}}, {"balance", std::int64_t{-1}}, {"tls", true}}),
              R"(2026-11-22T12:00:00.000Z info session user="a@b" retrieved=3 balance=-1 tls=true)");
    EXPECT_EQ(format_log_line(LogFormat::text, noon, LogLevel::warning, "start", {}),
              "2026-11-22T12:00:00.000Z warning start");
}

TEST(LogText, LetsNoPeerForgeALine) {
    EXPECT_EQ(text_of("a\r\n2026 info login user=\"root\""), R"("a\r\n2026 info login user=\"root\"")");
    EXPECT_EQ(text_of("a\" admin=\"yes\\"), R"("a\" admin=\"yes\\")");
}

TEST(LogText, EscapesWhatMovesATerminal) {
    EXPECT_EQ(text_of("\x1B[2J\a\x7F\t\0"s), R"("\x1b[2J\x07\x7f\t\x00")");
    EXPECT_EQ(text_of("\u0085\u009B"), R"("\u0085\u009b")");
    EXPECT_EQ(text_of("\u2028\u202E\u2066\u200B\uFEFF"), R"("\u2028\u202e\u2066\u200b\ufeff")");
}

TEST(LogText, KeepsUtf8AndEscapesWhatIsNone) {
    EXPECT_EQ(text_of("jörg@büro €😀"), "\"jörg@büro €😀\"");
    EXPECT_EQ(text_of("\xFF"), R"("\xff")");
    EXPECT_EQ(text_of("\xC3"), R"("\xc3")");                  // cut short
    EXPECT_EQ(text_of("\xC3z"), R"("\xc3z")");                // no continuation
    EXPECT_EQ(text_of("\xC0\x8A"), R"("\xc0\x8a")");          // an overlong line feed
    EXPECT_EQ(text_of("\xED\xA0\x80"), R"("\xed\xa0\x80")");  // a surrogate
    EXPECT_EQ(text_of("\xF4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");
}

TEST(LogText, CutsLongValuesBetweenCharacters) {
    const std::string full(256, 'x');
    EXPECT_EQ(text_of(full), '"' + full + '"');
    EXPECT_EQ(text_of(full + 'x'), '"' + full + "…\"");
    const std::string odd = std::string(255, 'x');
    EXPECT_EQ(text_of(odd + "é"), '"' + odd + "…\"");
}

TEST(LogJson, HasTimeLevelEventAndFieldsAtTheTop) {
    EXPECT_EQ(format_log_line(LogFormat::json, noon, LogLevel::error, "session",
                              {{"user", "a@b"},
                               {"retrieved", std::uint64_t{18446744073709551615U}},
                               {"balance", std::int64_t{-1}},
                               {"tls", false}}),
              R"({"time":"2026-11-22T12:00:00.000Z","level":"error","event":"session","user":"a@b",)"
              R"("retrieved":18446744073709551615,"balance":-1,"tls":false})");
}

TEST(LogJson, IsOneLineOfValidJsonWhateverTheValue) {
    std::string all;
    for (int octet = 0; octet < 256; ++octet) all += static_cast<char>(octet);
    const std::string line = format_log_line(LogFormat::json, noon, LogLevel::info, "e", {{"v", all}});
    for (const char c : line) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
    EXPECT_EQ(boost::json::parse(line).as_object().size(), 4U);
}

TEST(LogJson, EscapesControlsAndReplacesWhatIsNoUtf8) {
    const std::string line =
        format_log_line(LogFormat::json, noon, LogLevel::info, "e", {{"v", "\x7F\u009B\u202E\x1B"}});
    EXPECT_NE(line.find(R"("\u007f\u009b\u202e\u001b")"), std::string::npos) << line;
    EXPECT_EQ(json_of("\u009B\"\\\n"), "\u009B\"\\\n");
    EXPECT_EQ(json_of("a\xFFz"), "a\uFFFDz");
}

TEST(LogJson, CutsLongValuesBetweenCharacters) {
    EXPECT_EQ(json_of(std::string(255, 'x') + "é"), std::string(255, 'x') + "…");
    EXPECT_EQ(json_of(std::string(256, 'x')), std::string(256, 'x'));
}

TEST(Log, WritesWholeLinesToStandardErrorFromItsLevelOn) {
    (void)set_up_log({LogFormat::text, LogLevel::warning});
    testing::internal::CaptureStderr();
    log(LogLevel::info, "quiet", {});
    log(LogLevel::warning, "loud", {{"format", "{} %s"}});
    const std::string out = testing::internal::GetCapturedStderr();
    (void)set_up_log({});
    EXPECT_EQ(out.find("quiet"), std::string::npos);
    EXPECT_TRUE(out.ends_with("Z warning loud format=\"{} %s\"\n")) << out;
    EXPECT_EQ(out.find("20"), 0U) << out;
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

}  // namespace
}  // namespace popgate
