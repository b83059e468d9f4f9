#include "backends/gmail/raw_stream.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate::gmail {
namespace {

class TextSink final : public BodySink {
public:
    explicit TextSink(std::size_t wanted = SIZE_MAX) : wanted_(wanted) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return text.size() < wanted_;
    }
    std::string text;

private:
    std::size_t wanted_;
};

struct Outcome {
    std::string text;
    Status status;
};

Outcome read(std::string_view json, std::size_t piece = SIZE_MAX) {
    TextSink sink;
    RawStream stream(sink);
    for (std::size_t i = 0; i < json.size(); i += std::min(piece, json.size() - i))
        if (!stream.write(json.substr(i, piece))) break;
    auto status = stream.finish();
    EXPECT_EQ(stream.octets(), sink.text.size());
    return {sink.text, status};
}

TEST(GmailRawStream, ReadsTheMessageInAnyPieces) {
    const std::string json =
        "{\n \"id\": \"18c\", \"payload\": {\"raw\": \"bm8=\", \"a\": [1, 2.5, {\"raw\": null}]},\n"
        " \"r\\u0061w\": \"RnJvbTogYQ0KDQrDpGI_fg0K\", \"snippet\": \"raw\", \"sizeEstimate\": 17 }\n";
    for (std::size_t piece = 1; piece <= json.size(); ++piece) {
        const auto outcome = read(json, piece);
        EXPECT_TRUE(outcome.status) << outcome.status.error().detail;
        EXPECT_EQ(outcome.text,
                  "From: a\r\n\r\n\xC3\xA4"
                  "b?~\r\n");
    }
}

TEST(GmailRawStream, TakesPaddingOrNone) {
    for (const auto& [raw, text] : {std::pair{"YQ", "a"},
                                    {"YQ==", "a"},
                                    {"YWI", "ab"},
                                    {"YWI=", "ab"},
                                    {"YWJj", "abc"},
                                    {"", ""},
                                    {"YQ\\u003d\\u003d", "a"}}) {
        const auto outcome = read(R"({"raw":")" + std::string(raw) + R"("})");
        EXPECT_TRUE(outcome.status) << raw;
        EXPECT_EQ(outcome.text, text);
    }
}

TEST(GmailRawStream, WhatIsNotWholeDoesNotLookWhole) {
    const std::string whole = R"({"id":"1","raw":"RnJvbTogYQ0K","x":1})";
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        const auto outcome = read(whole.substr(0, cut), 3);
        ASSERT_FALSE(outcome.status) << whole.substr(0, cut);
        EXPECT_EQ(outcome.status.error().code, Errc::temporary);
    }
    EXPECT_TRUE(read(whole).status);
}

TEST(GmailRawStream, RefusesOtherAnswers) {
    for (const auto* json : {R"({})",
                             R"({"id":"1"})",
                             R"({"raw":null})",
                             R"({"raw":1})",
                             R"({"raw":-1})",
                             R"({"raw":1.5})",
                             R"({"raw":true})",
                             R"({"raw":["YQ"]})",
                             R"({"raw":{"raw":"YQ"}})",
                             R"({"raw":"YQ","raw":"YQ"})",
                             R"({"raw":"YQ","raw":null})",
                             R"({"raw":"Y"})",
                             R"({"raw":"YWJjY"})",
                             R"({"raw":"Y==="})",
                             R"({"raw":"YQ="})",
                             R"({"raw":"YQ==="})",
                             R"({"raw":"YWJj="})",
                             R"({"raw":"YQ==YQ=="})",
                             R"({"raw":"="})",
                             R"({"raw":"YR"})",
                             R"({"raw":"YWJ"})",
                             R"({"raw":"Y Q"})",
                             R"({"raw":"YQ+/"})",
                             R"({"raw":"YQ\n"})",
                             R"({"raw":"YQ"}x)",
                             R"({"raw":"YQ"}{"raw":"YQ"})",
                             R"([{"raw":"YQ"}])",
                             R"("raw")",
                             R"({"a":{"raw":"YQ"}})",
                             "<html>busy</html>",
                             ""})
        for (const std::size_t piece : {std::size_t{1}, SIZE_MAX}) {
            const auto outcome = read(json, piece);
            ASSERT_FALSE(outcome.status) << json;
            EXPECT_EQ(outcome.status.error().code, Errc::temporary) << json;
        }
}

TEST(GmailRawStream, StopsWhenNoMoreIsWanted) {
    TextSink sink(1);
    RawStream stream(sink);
    EXPECT_FALSE(stream.write(R"({"raw":"YWJj)"));
    EXPECT_FALSE(stream.write(R"(YWJj"})"));
    const auto status = stream.finish();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::sink_closed);
    EXPECT_EQ(sink.text, "abc");
}

TEST(GmailRawStream, GivesALongMessageInShortPieces) {
    class Measure final : public BodySink {
    public:
        bool write(std::string_view octets) noexcept override {
            longest = std::max(longest, octets.size());
            total += octets.size();
            return true;
        }
        std::size_t longest = 0, total = 0;
    } sink;
    RawStream stream(sink);
    ASSERT_TRUE(stream.write(R"({"raw":")"));
    const std::string piece(40'000, 'A');
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(stream.write(piece));
    ASSERT_TRUE(stream.write(R"("})"));
    EXPECT_TRUE(stream.finish());
    EXPECT_EQ(sink.total, 3'000'000U);
    EXPECT_LE(sink.longest, 8192U);
}

}  // namespace
}  // namespace popgate::gmail
