#include "backends/http/json.hpp"

#include <gtest/gtest.h>

namespace popgate::http {
namespace {

TEST(HttpJson, ReadsNumbersAndTextsHoweverTheyAreWritten) {
    const auto value = *parse_json(
        R"({"a":"12","b":12,"c":-1,"d":"x","e":null,"f":12.0,"g":18446744073709551615,"h":1.5,"i":{}, "j":"99999999999999999999"})",
        "");
    EXPECT_EQ(number_of(value, "a"), 12u);
    EXPECT_EQ(number_of(value, "b"), 12u);
    EXPECT_EQ(number_of(value, "f"), 12u);
    EXPECT_EQ(number_of(value, "g"), 18446744073709551615u);
    for (const char* key : {"c", "d", "e", "h", "i", "j", "none"})
        EXPECT_EQ(number_of(value, key), std::nullopt) << key;
    EXPECT_EQ(text_of(value, "a"), "12");
    EXPECT_EQ(text_of(value, "b"), "12");
    EXPECT_EQ(text_of(value, "g"), "18446744073709551615");
    EXPECT_EQ(text_of(value, "e"), std::nullopt);
    EXPECT_EQ(text_of(value, "i"), std::nullopt);
    EXPECT_EQ(text_of(boost::json::value(3), "a"), std::nullopt);
}

TEST(HttpJson, RefusesWhatIsNone) {
    for (const std::string& text :
         {std::string(), std::string("<html>"), std::string("{\"a\":"), std::string("{}x"), std::string(1000, '[')})
        EXPECT_FALSE(parse_json(text, "what")) << text;
    EXPECT_EQ(parse_json("<html>", "the list").error().text, "the list");
}

TEST(HttpJson, ReadsDates) {
    EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), 0);
    EXPECT_EQ(parse_rfc3339("2026-01-02T03:04:05.678Z"), 1767323045);
    EXPECT_EQ(parse_rfc3339("2026-01-02T05:04:05+02:00"), 1767323045);
    EXPECT_EQ(parse_rfc3339("2024-02-29T23:59:60-00:30"), 1709253000);
    for (const char* text :
         {"", "2026-01-02", "2026-13-02T03:04:05Z", "2025-02-29T03:04:05Z", "2026-01-02T03:04:05",
          "2026-01-02T03:04:05.Z", "2026-01-02T24:04:05Z", "2026-01-02T03:04:05Zx", "+026-01-02T03:04:05Z"})
        EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
}

}  // namespace
}  // namespace popgate::http
