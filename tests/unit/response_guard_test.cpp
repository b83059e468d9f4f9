#include "backends/imap/response_guard.hpp"

#include "tests/fuzz/splitter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {
namespace {

using namespace std::string_literals;

enum class Expect { no_body, body };

/// Whether everything may pass.
bool accepts(std::string_view octets, Expect expect = Expect::no_body) {
    ResponseGuard guard;
    guard.begin_command(expect == Expect::body);
    return guard.feed(octets);
}

std::string repeat(std::string_view text, std::size_t times) {
    std::string all;
    all.reserve(text.size() * times);
    while (times-- > 0) all += text;
    return all;
}

/// As the answer to a FETCH of a body, with `item` for the body's announcement.
std::string fetch_line(const std::string& item) { return "* 7 FETCH (UID 42 " + item + "\r\n"; }

TEST(ResponseGuard, WhatServersSayPasses) {
    EXPECT_TRUE(accepts("* OK [CAPABILITY IMAP4rev1 SASL-IR] ready (really), it is 5\" wide\r\n"));
    EXPECT_TRUE(accepts("* FLAGS (\\Answered \\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n2 OK [READ-WRITE] done\r\n"));
    EXPECT_TRUE(accepts("* 1 FETCH (UID 1 RFC822.SIZE 120)\r\n* 2 FETCH (RFC822.SIZE 9 UID 5)\r\n3 OK done\r\n"));
    EXPECT_TRUE(accepts("* SEARCH 1 2 3\r\n* SEARCH\r\n4 OK\r\n"));
    EXPECT_TRUE(accepts("* ID (\"name\" {7}\r\nDovecot)\r\n"));
    EXPECT_TRUE(accepts("+ \r\n+ idling\r\n"));
    EXPECT_TRUE(accepts("\r\n\n"));
}

TEST(ResponseGuard, ABodyMayHaveAnySize) {
    ResponseGuard guard;
    guard.begin_command(true);
    ASSERT_TRUE(guard.feed("* 7 FETCH (UID 42 BODY[] {104857600}\r\n"));
    const std::string block = repeat("((((((* STATUS {4294967295}\r\n", 1024 * 1024 / 29);
    std::size_t left = 104'857'600;
    while (left > 0) {
        const auto piece = std::min(left, block.size());
        ASSERT_TRUE(guard.feed(std::string_view(block).substr(0, piece)));
        left -= piece;
    }
    EXPECT_TRUE(guard.feed(")\r\n5 NO [SERVERBUG] after all\r\n"));
    EXPECT_EQ(guard.complaint(), "NO [SERVERBUG] after all") << "and what comes behind it is read again";
}

TEST(ResponseGuard, ABodyIsKnownWhereverItStands) {
    const std::string large = "{100000}\r\n" + std::string(100'000, 'x');
    for (const auto* before : {"BODY[] ", "UID 42 BODY[] ", "UID 42 FLAGS (\\Seen) BODY[] ", "BODY[]<0> ", "UID 42 BODY[]<4096> ", "body[] "})
        EXPECT_TRUE(accepts("* 7 FETCH ("s + before + large + ")\r\n", Expect::body)) << before;
    EXPECT_TRUE(accepts("* 7 fetch (BODY[] " + large + ")\r\n", Expect::body));
}

TEST(ResponseGuard, NoOtherLiteralMayBeLarge) {
    for (const auto* announcement :
         {"* LIST () \"/\" {65537}\r\n", "* 7 FETCH (UID 42 BODY[HEADER] {100000}\r\n", "* 7 FETCH (UID 42 RFC822 {100000}\r\n",
          "* 7 FETCH (UID 42 BODY[1] {100000}\r\n", "* 7 FETCH (UID 42 XBODY[] {100000}\r\n", "* OK [X {100000}\r\n",
          "7 FETCH (UID 42 BODY[] {100000}\r\n", "* X FETCH (UID 42 BODY[] {100000}\r\n", "* 7 FETCHED (UID 42 BODY[] {100000}\r\n",
          "* FETCH (UID 42 BODY[] {100000}\r\n", "{4294967295}\r\n", "* 7 FETCH (UID 42 ENVELOPE (\"x\" {4294967295}\r\n"})
        EXPECT_FALSE(accepts(announcement, Expect::body)) << announcement;
    EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] {100000}\r\n", Expect::no_body)) << "nobody asked for a body";
    EXPECT_TRUE(accepts("* LIST () \"/\" {65536}\r\n"));
}

TEST(ResponseGuard, OneBodyACommand) {
    ResponseGuard guard;
    guard.begin_command(true);
    EXPECT_TRUE(guard.feed("* 7 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n"));
    EXPECT_FALSE(guard.feed("* 7 FETCH (UID 42 BODY[] {100000}\r\n"));
}

TEST(ResponseGuard, LiteralsOfAbsurdLength) {
    for (const auto* length : {"{4294967295}", "{4294967296}", "{18446744073709551615}", "{18446744073709551616}",
                               "{99999999999999999999999999999999999999}", "{4294967295+}", "{00000000000000000000000000004294967295}"}) {
        EXPECT_FALSE(accepts("* LIST () \"/\" "s + length + "\r\n")) << length;
        EXPECT_FALSE(accepts("* LIST () \"/\" "s + length + "\n")) << length;
    }
}

// Beyond 32 bits libetpan counts from 0 again, and reads as answers what was skipped here.
TEST(ResponseGuard, ABodyLongerThanImapKnowsIsRefused) {
    EXPECT_TRUE(accepts(fetch_line("BODY[] {4294967295}"), Expect::body));
    for (const auto* length : {"{4294967296}", "{4294967301}", "{18446744073709551615}", "{18446744073709551616}",
                               "{00000000000000000000000000000000005}", "{99999999999999999999999999999999999}"})
        EXPECT_FALSE(accepts(fetch_line("BODY[] "s + length), Expect::body)) << length;
}

// libetpan skips blanks inside and behind the braces, and takes a literal in the middle of a line as well.
TEST(ResponseGuard, LiteralsThatOnlyALenientParserSees) {
    for (const auto* announcement : {"{ 4294967295}", "{4294967295 }", "{\t4294967295}", "{4294967295} ", "{4294967295}\t", "{4294967295} x",
                                     "{4294967295}x", "{4294967295} {3}"})
        EXPECT_FALSE(accepts("* LIST () \"/\" "s + announcement + "\r\n")) << announcement;
}

TEST(ResponseGuard, BracesThatAnnounceNothing) {
    for (const auto* line : {"* OK {}", "* OK {x}", "* OK 4294967295}", "* OK {5", "* OK }", "* OK {", "* OK }{"})
        EXPECT_TRUE(accepts(line + "\r\n"s)) << line;
}

TEST(ResponseGuard, NestingIsBounded) {
    EXPECT_TRUE(accepts("* 1 FETCH " + repeat("(", 20) + repeat(")", 20) + "\r\n"));
    EXPECT_FALSE(accepts("* 1 FETCH " + repeat("(", 1000) + "\r\n"));
    EXPECT_FALSE(accepts("* 1 FETCH (BODYSTRUCTURE " + repeat("(\"TEXT\" \"PLAIN\" (", 20) + "\r\n"));
    EXPECT_TRUE(accepts(repeat("* 1 FETCH (UID 1)\r\n", 1000))) << "each line counts anew";
    EXPECT_FALSE(accepts("* 1 FETCH (X {3}\r\nabc" + repeat("(", 30) + "\r\n")) << "but not the one behind a literal";
}

// What is closed in a quoted string or a literal was never opened.
TEST(ResponseGuard, NestingCannotBeHiddenBehindQuotedParentheses) {
    EXPECT_FALSE(accepts("* 1 FETCH (X-GM-LABELS (\"" + repeat(")", 2000) + "\") BODYSTRUCTURE " + repeat("(", 2000) + "\r\n"));
    EXPECT_FALSE(accepts("* 1 FETCH (ENVELOPE ({2000}\r\n" + repeat(")", 2000) + ") BODYSTRUCTURE " + repeat("(", 2000) + "\r\n"));
    EXPECT_FALSE(accepts("* 1 FETCH (BODYSTRUCTURE " + repeat("((\"))\" \"))\") ", 500) + "\r\n"));
}

TEST(ResponseGuard, EndlessLinesAndResponses) {
    ResponseGuard endless_line;
    endless_line.begin_command(false);
    bool going = true;
    std::size_t fed = 0;
    for (; going && fed < 64 * 1024 * 1024; fed += 4096) going = endless_line.feed(std::string(4096, 'x'));
    EXPECT_FALSE(going);
    EXPECT_LT(fed, 2u * 1024 * 1024);

    ResponseGuard endless_response;
    endless_response.begin_command(false);
    going = true;
    for (fed = 0; going && fed < 64 * 1024 * 1024; fed += 4096) going = endless_response.feed(repeat("* 1 EXISTS\r\n", 341));
    EXPECT_FALSE(going);
    EXPECT_LT(fed, 8u * 1024 * 1024);

    ResponseGuard many_commands;
    for (int i = 0; i < 100; ++i) {
        many_commands.begin_command(false);
        ASSERT_TRUE(many_commands.feed(repeat("* 1 EXISTS\r\n", 10'000))) << "each command counts anew";
    }
}

TEST(ResponseGuard, AListingOfAWholeWindowPasses) {
    std::string listing;
    for (int i = 1; i <= 2000; ++i)
        listing += "* " + std::to_string(4'000'000'000u + static_cast<unsigned>(i)) + " FETCH (UID " +
                   std::to_string(4'000'000'000u + static_cast<unsigned>(i)) + " RFC822.SIZE 4294967295)\r\n";
    EXPECT_TRUE(accepts(listing + "5 OK Fetch completed (0.001 + 0.000 secs).\r\n"));
}

TEST(ResponseGuard, AStatusThatNobodyAskedFor) {
    for (const auto* line : {"* STATUS\r\n", "* STATUS INBOX\r\n", "* STATUS INBOX (MESSAGES 1)\r\n", "* status x\r\n", "*  STATUS x\r\n",
                             "* \tSTATUS x\r\n", "*\tSTATUS x\r\n", " * STATUS x\r\n"})
        EXPECT_FALSE(accepts(line)) << line;
}

TEST(ResponseGuard, ForgedBodiesAreNotSkipped) {
    // Each line shows a body to who does not know about quotes; what it would hide is a literal of 4 GiB.
    const std::string hidden = "* LIST () \"/\" {4294967295}\r\n";
    const auto padding = std::to_string(hidden.size());
    for (const auto& line : {"* 7 FETCH (ENVELOPE (\"x BODY[] {" + padding + "}\r\n", "* 7 FETCH (X \" BODY[] {" + padding + "}\r\n",
                             "* 7 FETCH (X {3} BODY[] {" + padding + "}\r\n"})
        EXPECT_FALSE(accepts(line + hidden, Expect::body)) << line;
}

// libetpan lets a quoted string go on behind the end of a line.
TEST(ResponseGuard, ABodyInsideAQuotedStringOfSeveralLinesIsNotSkipped) {
    EXPECT_FALSE(accepts("* 7 FETCH (X-GM-LABELS (\"x\r\n* 7 FETCH (BODY[] {4294967295}\r\n" + std::string(8 * 1024 * 1024, 'x'), Expect::body));
}

TEST(ResponseGuard, ABodyInsideALiteralIsNotSkipped) {
    const std::string inside = "* 7 FETCH (BODY[] {1000000}\r\n";
    EXPECT_FALSE(accepts("* 7 FETCH (X-GM-LABELS ({" + std::to_string(inside.size()) + "}\r\n" + inside + ") X {4294967295}\r\n", Expect::body));
}

// "BODY[]" may be a label's name, and its literal is then kept by libetpan.
TEST(ResponseGuard, ABodyInsideAListIsNotSkipped) {
    EXPECT_FALSE(accepts("* 7 FETCH (X-GM-LABELS (a BODY[] {4294967295}\r\n" + std::string(8 * 1024 * 1024, 'x'), Expect::body));
}

TEST(ResponseGuard, AfterAFaultNothingPasses) {
    ResponseGuard guard;
    guard.begin_command(false);
    EXPECT_FALSE(guard.feed("* LIST () \"/\" {4294967295}\r\n"));
    EXPECT_FALSE(guard.reason().empty());
    guard.begin_command(true);
    EXPECT_FALSE(guard.feed("* OK\r\n"));
}

TEST(ResponseGuard, CapabilitiesAreCaptured) {
    ResponseGuard guard;
    guard.begin_command(false);
    ASSERT_TRUE(guard.feed("* OK [CAPABILITY IMAP4rev1 sasl-ir AUTH=PLAIN] ready\r\n"));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 SASL-IR AUTH=PLAIN ");
    ASSERT_TRUE(guard.feed("* CAPABILITY IMAP4rev1 UIDPLUS\r\n"));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 UIDPLUS ") << "the last list holds";
    ASSERT_TRUE(guard.feed("2 OK [CAPABILITY IMAP4rev1 ID] Logged in\r\n"));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 ID ");
    ASSERT_TRUE(guard.feed("* 1 EXISTS\r\n* OK [UIDNEXT 5] CAPABILITY x\r\n"));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 ID ");
    guard.forget_capabilities();
    EXPECT_EQ(guard.capabilities(), "");
}

TEST(ResponseGuard, CapabilitiesInABodyAreNone) {
    const std::string body = "* CAPABILITY EVIL\r\n* BYE x\r\n* NO [ALERT] x\r\n";
    ResponseGuard guard;
    guard.begin_command(true);
    ASSERT_TRUE(guard.feed("* 7 FETCH (UID 42 BODY[] {" + std::to_string(body.size()) + "}\r\n" + body + ")\r\n5 OK done\r\n"));
    EXPECT_EQ(guard.capabilities(), "");
    EXPECT_EQ(guard.complaint(), "");
    EXPECT_FALSE(guard.said_bye());
}

TEST(ResponseGuard, ComplaintsAreCaptured) {
    ResponseGuard guard;
    const auto complaint = [&](std::string_view octets) {
        guard.begin_command(false);
        EXPECT_TRUE(guard.feed(octets));
        return guard.complaint();
    };
    EXPECT_EQ(complaint("3 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"), "NO [AUTHENTICATIONFAILED] Authentication failed.");
    EXPECT_EQ(complaint("4 OK fine\r\n"), "") << "a new command begins without";
    EXPECT_EQ(complaint("5 BAD Request is throttled.\n"), "BAD Request is throttled.");
    EXPECT_EQ(complaint("* NO [ALERT] full\r\n6 NO [OVERQUOTA] no\r\n"), "NO [OVERQUOTA] no");
    EXPECT_EQ(complaint("* NOT a complaint\r\n"), "");
    EXPECT_FALSE(guard.said_bye());
    EXPECT_EQ(complaint("* BYE Too many connections\r\n"), "BYE Too many connections");
    EXPECT_TRUE(guard.said_bye());
}

TEST(ResponseGuard, AComplaintIsKeptShort) {
    ResponseGuard guard;
    guard.begin_command(false);
    ASSERT_TRUE(guard.feed("* NO " + std::string(100'000, 'x') + "\r\n"));
    EXPECT_LE(guard.complaint().size(), 1000u);
}

/// All that a guard knows in the end.
std::string state_of(const ResponseGuard& guard, bool accepted) {
    return (accepted ? "accepted|" : "refused|") + std::string(guard.reason()) + "|" + guard.complaint() + "|" + guard.capabilities() +
           (guard.said_bye() ? "|bye" : "");
}

TEST(ResponseGuard, AnySplitGivesTheSameVerdict) {
    const std::string conversations[] = {
        "* OK [CAPABILITY IMAP4rev1 ID] hi\r\n1 OK\r\n",
        "* 7 FETCH (UID 42 BODY[] {20}\r\n0123456789\r\n{99999}\r\n FLAGS ())\r\n2 OK done\r\n* BYE later\r\n",
        "* 7 FETCH (FLAGS (\\Seen) BODY[]<0> {5}\n01234 UID 42)\n2 NO [X] y\n",
        "* 7 FETCH (UID 42 BODY[] {5}\r\n01234)\r\n* 7 FETCH (UID 42 BODY[] {70000}\r\n",
        "* LIST () \"/\" {10}\r\n0123456789\r\n* CAPABILITY A B\r\n* NO x\r\n",
        "* LIST () \"/\" {4294967295}\r\n* OK\r\n",
        "* LIST () \"/\" {00000000000000000000000000000001}\r\n* OK\r\n",
        "* 1 FETCH " + repeat("(", 25) + "\r\n",
        "* 1 FETCH " + repeat("(", 24) + repeat(")", 24) + "\r\n",
        "* STATUS x\r\n* OK\r\n",
        "* OK \0\0\xFF {}} {{5}\r\r\n\n\n2 BAD \r\n"s,
    };
    for (const auto& octets : conversations)
        for (const bool expect_body : {false, true}) {
            ResponseGuard whole;
            whole.begin_command(expect_body);
            const auto expected = state_of(whole, whole.feed(octets));
            for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
                ResponseGuard guard;
                guard.begin_command(expect_body);
                const bool accepted = guard.feed(octets.substr(0, cut)) && guard.feed(octets.substr(cut));
                ASSERT_EQ(state_of(guard, accepted), expected) << octets << " cut at " << cut;
            }
            for (std::uint32_t seed = 1; seed <= 100; ++seed) {
                ResponseGuard guard;
                guard.begin_command(expect_body);
                bool accepted = true;
                test::split(octets, seed, seed == 1 ? 1 : 9, [&](std::string_view piece) { accepted = accepted && guard.feed(piece); });
                ASSERT_EQ(state_of(guard, accepted), expected) << octets << " seed " << seed;
            }
        }
}

}  // namespace
}  // namespace popgate::imap
