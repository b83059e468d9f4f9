#include "gateway/commands/header_summary.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate::commands {
namespace {

constexpr std::string_view plain_header =
    "Date: Mon, 2 Nov 2026 10:00:00 +0100\n"
    "From: Eva <eva@x>\n"
    "To: Jan <jan@x>\n"
    "Subject: tea\n"
    "Message-ID: <1@x>\n";

std::string collect(std::string_view message, std::size_t piece) {
    HeaderCollector collector;
    while (!message.empty() && collector.write(message.substr(0, piece)))
        message.remove_prefix(std::min(piece, message.size()));
    return collector.text();
}

TEST(HeaderCollector, EndsAtTheFirstEmptyLineHoweverItIsSplit) {
    for (const std::size_t piece : {1u, 2u, 3u, 100u}) {
        EXPECT_EQ(collect("A: 1\r\nB: 2\r\n\r\nC: 3\r\n", piece), "A: 1\nB: 2\n");
        EXPECT_EQ(collect("A: 1\nB: 2\n\nC: 3\n", piece), "A: 1\nB: 2\n");
        EXPECT_EQ(collect("\r\nbody\r\n", piece), "");
        EXPECT_EQ(collect("A: 1\r\n", piece), "A: 1\n");
        EXPECT_EQ(collect("A: a\rb\r\n\r\n", piece), "A: a\rb\n");
        EXPECT_EQ(collect("", piece), "");
    }
}

TEST(HeaderCollector, WantsNoMoreAfterTheHeader) {
    HeaderCollector collector;
    EXPECT_TRUE(collector.write("A: 1\r\n"));
    EXPECT_FALSE(collector.complete());
    EXPECT_FALSE(collector.write("\r\nbody"));
    EXPECT_TRUE(collector.complete());
    EXPECT_FALSE(collector.write("more"));
    EXPECT_EQ(collector.text(), "A: 1\n");
}

TEST(HeaderCollector, KeepsABeginningOfAHeaderWithoutEnd) {
    HeaderCollector collector;
    const std::string line = "X: " + std::string(9000, 'x') + "\r\n";
    int writes = 0;
    while (collector.write(line)) ASSERT_LT(++writes, 1000);
    EXPECT_EQ(collector.text().size(), HeaderCollector::longest);
}

TEST(HeaderSummary, ReadsItsFields) {
    const auto summary = summarise_header(plain_header);
    EXPECT_EQ(summary.message_id, "<1@x>");
    EXPECT_EQ(summary.date, "Mon, 2 Nov 2026 10:00:00 +0100");
    EXPECT_EQ(summary.from, "Eva <eva@x>");
    EXPECT_EQ(summary.subject, "tea");
    EXPECT_EQ(summary.block.size(), 32u);
    EXPECT_EQ(summary.looks.size(), 32u);
}

TEST(HeaderSummary, UnfoldsAndTakesTheFirstOfDoubledFields) {
    const auto summary = summarise_header("SUBJECT : a\n b\n\tc  d\nSubject: second\nmessage-id:\n <2@x>\n");
    EXPECT_EQ(summary.subject, "a b c d");
    EXPECT_EQ(summary.message_id, "<2@x>");
}

TEST(HeaderSummary, LeavesOutWhatMailStoresWrite) {
    const std::string before = "From eva@x Mon Nov  2 10:00:00 2026\nStatus: RO\nX-Status: A\nX-Keywords: \n folded\n";
    const std::string behind = "X-UID: 7\nX-UIDL: abc\nLines: 3\nContent-Length: 99\nX-Mozilla-Status: 0001\n";
    EXPECT_EQ(summarise_header(before + std::string(plain_header) + behind).block,
              summarise_header(plain_header).block);
    EXPECT_NE(summarise_header(std::string(plain_header) + "X-Other: 1\n").block, summarise_header(plain_header).block);
}

TEST(HeaderSummary, TraceAtTheTopCountsInOneHashAndNotInTheOther) {
    const auto plain = summarise_header(plain_header);
    const auto traced = summarise_header("Return-Path: <eva@x>\nDelivered-To: jan@x\nReceived: from a\n\tby b\n" +
                                         std::string(plain_header));
    EXPECT_NE(traced.block, plain.block);
    EXPECT_EQ(traced.block_without_trace, plain.block_without_trace);
    const auto inside = summarise_header(std::string(plain_header) + "Received: from a\n");
    EXPECT_NE(inside.block_without_trace, plain.block_without_trace);
}

TEST(HeaderSummary, NothingToCompareIsEmpty) {
    for (const std::string_view header : {"", "Status: RO\n"}) {
        const auto summary = summarise_header(header);
        EXPECT_TRUE(summary.block.empty() && summary.block_without_trace.empty() && summary.looks.empty());
    }
    EXPECT_TRUE(summarise_header("Received: x\n").block_without_trace.empty());
    EXPECT_TRUE(summarise_header("Subject: alone\n").looks.empty()) << "one field is no likeness";
}

TEST(HeaderSummary, AnyOctetsWillDo) {
    using namespace std::string_literals;
    const auto summary = summarise_header("Subject: \xff\0 \xc3\x28\n no colon\n:\n\n: x\n\tfolded"s);
    EXPECT_EQ(summary.subject, "\xff\0 \xc3\x28 no colon"s);
    EXPECT_NE(summarise_header("garbage\n").block, summarise_header("rubbish\n").block);
}

TEST(HeaderSummary, TheLastLineMayHaveNoEnd) {
    EXPECT_EQ(summarise_header("A: 1\nB: 2").block, summarise_header("A: 1\nB: 2\n").block);
}

TEST(HeaderSummary, LongValuesAreCut) {
    const auto summary =
        summarise_header("Subject: " + std::string(100'000, 's') + "\nMessage-ID: " + std::string(100'000, 'm') + "\n");
    EXPECT_EQ(summary.subject.size(), 200u);
    EXPECT_EQ(summary.message_id.size(), 998u);
}

}  // namespace
}  // namespace popgate::commands
