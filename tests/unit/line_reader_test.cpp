#include "gateway/pop3/line_reader.hpp"

#include "tests/fuzz/splitter.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace popgate::pop3 {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t limit = 16;

void drain(LineReader& reader, std::vector<std::string>& events) {
    std::string_view line;
    for (;;) {
        switch (reader.next(line)) {
            case LineReader::Event::none: return;
            case LineReader::Event::line: events.emplace_back(line); break;
            case LineReader::Event::too_long: events.emplace_back("<too long>"); break;
        }
    }
}

std::vector<std::string> read_whole(std::string_view octets) {
    LineReader reader(limit);
    std::vector<std::string> events;
    reader.feed(octets);
    drain(reader, events);
    return events;
}

std::vector<std::string> read_in_pieces(std::string_view octets, std::uint32_t seed, std::size_t longest) {
    LineReader reader(limit);
    std::vector<std::string> events;
    test::split(octets, seed, longest, [&](std::string_view piece) {
        reader.feed(piece);
        drain(reader, events);
    });
    return events;
}

using Events = std::vector<std::string>;

TEST(LineReader, CrlfAndBareLfEndALine) {
    EXPECT_EQ(read_whole("USER a\r\nPASS b\nSTAT\r\n"), (Events{"USER a", "PASS b", "STAT"}));
}

TEST(LineReader, ALoneCrStaysInTheLine) {
    EXPECT_EQ(read_whole("NOOP\rQUIT\r\n"), (Events{"NOOP\rQUIT"}));
    EXPECT_EQ(read_whole("NOOP\r\r\n"), (Events{"NOOP\r"}));
    EXPECT_EQ(read_whole("\rNOOP\n"), (Events{"\rNOOP"}));
}

TEST(LineReader, EmptyLinesAreLines) { EXPECT_EQ(read_whole("\r\n\n\r\n"), (Events{"", "", ""})); }

TEST(LineReader, NulIsAnOctetLikeAnother) {
    EXPECT_EQ(read_whole("A\0B\r\n\0\n"sv), (Events{std::string("A\0B", 3), std::string(1, '\0')}));
}

TEST(LineReader, WhatHasNoEndIsNoLine) {
    EXPECT_EQ(read_whole("STAT"), Events{});
    EXPECT_EQ(read_whole("STAT\r"), Events{});
    EXPECT_EQ(read_whole(""), Events{});
}

TEST(LineReader, ALineAsLongAsTheLimitIsALine) {
    const std::string longest(limit, 'x');
    EXPECT_EQ(read_whole(longest + "\r\nSTAT\r\n"), (Events{longest, "STAT"}));
    EXPECT_EQ(read_whole(longest + "\nSTAT\n"), (Events{longest, "STAT"}));
}

TEST(LineReader, OneMoreOctetIsTooLongAndTheNextLineIsFound) {
    for (const auto* end : {"\r\n", "\n"})
        EXPECT_EQ(read_whole(std::string(limit + 1, 'x') + end + "STAT" + end), (Events{"<too long>", "STAT"}));
}

TEST(LineReader, AnEndlessLineIsToldOnceAndKeepsNoMemory) {
    LineReader reader(limit);
    Events events;
    const std::string piece(4096, 'x');
    for (int i = 0; i < 1000; ++i) {
        reader.feed(piece);
        drain(reader, events);
    }
    EXPECT_EQ(events, (Events{"<too long>"}));
    EXPECT_FALSE(reader.empty()) << "the rest of a line is still to come";
    reader.feed("x\r\nSTAT\r\n");
    drain(reader, events);
    EXPECT_EQ(events, (Events{"<too long>", "STAT"}));
    EXPECT_TRUE(reader.empty());
}

TEST(LineReader, EmptyOnlyWhenNothingWaits) {
    LineReader reader(limit);
    std::string_view line;
    EXPECT_TRUE(reader.empty());
    reader.feed("STLS\r\nUS");
    EXPECT_FALSE(reader.empty());
    ASSERT_EQ(reader.next(line), LineReader::Event::line);
    EXPECT_FALSE(reader.empty()) << "half a command waits";
    ASSERT_EQ(reader.next(line), LineReader::Event::none);
    EXPECT_FALSE(reader.empty());
    reader.feed("ER a\r\n");
    ASSERT_EQ(reader.next(line), LineReader::Event::line);
    EXPECT_EQ(line, "USER a");
    EXPECT_TRUE(reader.empty());
}

TEST(LineReader, AnySplitGivesTheSameLines) {
    const std::string octets = "USER a\r\nPASS b\nNOOP\rX\r\n\r\n\n" + std::string(limit, 'y') + "\r\n" +
                               std::string(limit + 1, 'z') + "\r\n" + std::string(limit + 2, 'z') + "\n" +
                               std::string(limit, 'w') + "\r\r\n" + std::string(5 * limit, 'v') + "\r\nSTAT\r\nRE";
    const auto whole = read_whole(octets);
    EXPECT_EQ(whole, (Events{"USER a", "PASS b", "NOOP\rX", "", "", std::string(limit, 'y'), "<too long>", "<too long>",
                             "<too long>", "<too long>", "STAT"}));
    EXPECT_EQ(read_in_pieces(octets, 1, 1), whole);
    for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
        LineReader reader(limit);
        Events events;
        for (const auto piece : {std::string_view(octets).substr(0, cut), std::string_view(octets).substr(cut)}) {
            reader.feed(piece);
            drain(reader, events);
        }
        ASSERT_EQ(events, whole) << "cut at " << cut;
    }
    for (std::uint32_t seed = 1; seed <= 200; ++seed) ASSERT_EQ(read_in_pieces(octets, seed, 40), whole) << seed;
}

}  // namespace
}  // namespace popgate::pop3
