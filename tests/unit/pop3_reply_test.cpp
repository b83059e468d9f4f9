#include "gateway/commands/pop3_reply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {
namespace {

using Event = ReplyReader::Event;

/// The replies in `octets`, fed in pieces, as "+status|body" or "-status"; "?" where it stops being POP3.
std::vector<std::string> read(std::string_view octets, std::size_t piece, bool multiline = true) {
    ReplyReader reader;
    std::vector<std::string> replies;
    std::string current;
    for (;;) {
        std::string_view text;
        switch (reader.next(multiline, text)) {
            case Event::need_more:
                if (octets.empty()) return replies;
                reader.feed(octets.substr(0, piece));
                octets.remove_prefix(std::min(piece, octets.size()));
                break;
            case Event::status:
                current = (reader.ok() ? "+" : "-") + std::string(text) + (reader.ok() ? "|" : "");
                break;
            case Event::octets: current += text; break;
            case Event::end: replies.push_back(current); break;
            case Event::broken: replies.emplace_back("?"); return replies;
        }
    }
}

using Replies = std::vector<std::string>;

TEST(ReplyReader, MultilineRepliesHoweverTheyAreSplit) {
    const std::string_view wire =
        "+OK two\r\nA: 1\r\n..dot\r\n.\r\n-ERR [SYS/TEMP] no\r\n+OK\r\n.\r\n+OK x\r\n\r\n...\r\n.\r\n";
    const Replies expected = {"+two|A: 1\r\n.dot\r\n", "-[SYS/TEMP] no", "+|", "+x|\r\n..\r\n"};
    for (std::size_t piece = 1; piece < wire.size() + 1; ++piece) EXPECT_EQ(read(wire, piece), expected) << piece;
}

TEST(ReplyReader, SingleLineReplies) {
    for (const std::size_t piece : {1u, 3u, 100u})
        EXPECT_EQ(read("+OK\r\n+OK ready\n-ERR\r\n", piece, false), (Replies{"+|", "+ready|", "-"}));
}

TEST(ReplyReader, OddLineEnds) {
    EXPECT_EQ(read("+OK\na\n.b\n.\n+OK\r\n.\rx\r\n.\r\n", 1), (Replies{"+|a\nb\n", "+|\rx\r\n"}));
}

TEST(ReplyReader, WhatIsNoPop3) {
    for (const std::string_view wire : {"* OK IMAP\r\n", "HTTP/1.1 400\r\n", "\r\n", "+OKAY\r\n", "-ERROR\r\n"})
        EXPECT_EQ(read(wire, 100), Replies{"?"}) << wire;
}

TEST(ReplyReader, AStatusWithoutEndIsBroken) {
    EXPECT_EQ(read("+OK " + std::string(ReplyReader::longest_status, 'x'), 1000), Replies{"?"});
    EXPECT_EQ(read(std::string(1'000'000, 'x'), 1000), Replies{"?"});
    EXPECT_EQ(read("+OK " + std::string(4000, 'x') + "\r\n", 1, false).size(), 1u);
}

TEST(ReplyReader, TellsWhetherSomethingIsLeft) {
    ReplyReader reader;
    std::string_view text;
    reader.feed("+OK go ahead\r\n+OK injected\r\n");
    EXPECT_EQ(reader.next(false, text), Event::status);
    EXPECT_EQ(reader.next(false, text), Event::end);
    EXPECT_FALSE(reader.empty());
    EXPECT_EQ(reader.next(false, text), Event::status);
    EXPECT_TRUE(reader.empty());
}

TEST(ScanLine, NumberAndValue) {
    const auto scan = parse_scan_line("12 abc");
    ASSERT_TRUE(scan);
    EXPECT_EQ(scan->number, 12u);
    EXPECT_EQ(scan->value, "abc");
    EXPECT_EQ(parse_scan_line("3  a b ")->value, "a b");
    EXPECT_EQ(parse_scan_line("4")->value, "");
    for (const std::string_view line : {"", "x", "0 a", "-1 a", "12a", "4294967296 a", " 1 a"})
        EXPECT_FALSE(parse_scan_line(line)) << line;
}

TEST(UniqueId, WhatUidlCanCarry) {
    EXPECT_TRUE(is_valid_unique_id("!"));
    EXPECT_TRUE(is_valid_unique_id(std::string(70, '~')));
    for (const auto& id : {std::string(), std::string(71, 'x'), std::string("a b"), std::string("\x7f"),
                           std::string("\xc3\xa9"), std::string(1, '\0')})
        EXPECT_FALSE(is_valid_unique_id(id));
}

TEST(ResponseCode, IsWhatStandsInBrackets) {
    EXPECT_EQ(response_code("[SYS/TEMP] later"), "SYS/TEMP");
    EXPECT_EQ(response_code("[AUTH]"), "AUTH");
    for (const std::string_view text : {"", "later [AUTH]", "[AUTH"}) EXPECT_EQ(response_code(text), "");
}

}  // namespace
}  // namespace popgate::commands
