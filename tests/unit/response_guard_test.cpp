#include "backends/imap/response_guard.hpp"

#include "tests/fuzz/passed_answers.hpp"
#include "tests/fuzz/splitter.hpp"
#include "tests/support/guarded.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {
namespace {

using namespace std::string_literals;

/// What the parser gets; nothing when the server was refused.
std::optional<std::string> pass(std::string_view octets, Answer expected = Answer::plain) {
    ResponseGuard guard;
    guard.begin_command(expected);
    std::string out;
    const bool accepted = test::feed(guard, octets, out);
    EXPECT_EQ(accepted, guard.reason().empty());
    EXPECT_TRUE(test::are_answers_a_parser_bears(out)) << out;
    if (!accepted) return std::nullopt;
    return out;
}

bool accepts(std::string_view octets, Answer expected = Answer::plain) { return pass(octets, expected).has_value(); }

std::string repeat(std::string_view text, std::size_t times) {
    std::string all;
    all.reserve(text.size() * times);
    while (times-- > 0) all += text;
    return all;
}

TEST(ResponseGuard, WhatWasAskedForPasses) {
    EXPECT_EQ(pass("* 1 FETCH (UID 7 BODY[] NIL)\r\n", Answer::part), "* 1 FETCH (UID 7 BODY[] NIL)\r\n");
    EXPECT_EQ(pass("* 1 FETCH (BODY[] \"\" UID 7)\n", Answer::part), "* 1 FETCH (BODY[] \"\" UID 7)\r\n");
    EXPECT_EQ(pass("3 OK Fetch completed.\r\n"), "3 OK done\r\n");
    EXPECT_EQ(pass("3 NO [LIMIT] no\r\n"), "3 NO done\r\n");
    EXPECT_EQ(pass("3 bad no\r\n"), "3 BAD done\r\n");
    EXPECT_EQ(pass("+ go on {5}\r\n"), "+ \r\n");
    EXPECT_EQ(pass("+\r\n"), "+ \r\n");
}

TEST(ResponseGuard, WhatElseServersSayDoesNot) {
    for (const auto* line : {"* OK [CAPABILITY IMAP4rev1] ready (really), it is 5\" {6}\r\n",
                             "* FLAGS (\\Answered \\Seen)\r\n",
                             "* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n",
                             "* 3 EXISTS\r\n",
                             "* 0 RECENT\r\n",
                             "* 3 EXPUNGE\r\n",
                             "* SEARCH 1 2 3\r\n",
                             "* SEARCH\r\n",
                             "* BYE x\r\n",
                             "* ID (\"name\" {7}\r\nDovecot)\r\n",
                             "* ID NIL\r\n",
                             "* STATUS INBOX (MESSAGES 1)\r\n",
                             "* STATUS\r\n",
                             "* 1 FETCH (FLAGS (\\Seen))\r\n",
                             "* 1 FETCH (UID 7 FLAGS (\\Seen $x))\r\n",
                             "* 1 FETCH (MODSEQ (12) UID 7)\r\n",
                             "* VANISHED 1:3\r\n",
                             "* LIST () \"/\" {5}\r\nINBOX\r\n",
                             "* X-UNHEARD-OF ((((((\r\n",
                             "* 1 FETCH (UID 7 RFC822.SIZE 120)\r\n",
                             "* ESEARCH (TAG \"1\") UID ALL 1:3\r\n",
                             "* VANISHED (EARLIER) 1:3\r\n"})
        EXPECT_EQ(pass(line), "") << line;
}

TEST(ResponseGuard, FlagsAreLeftOut) {
    EXPECT_EQ(pass("* 1 FETCH (FLAGS (\\Seen %x ]) UID 7 MODSEQ (5) BODY[] NIL)\r\n", Answer::part),
              "* 1 FETCH (UID 7 BODY[] NIL)\r\n");
}

TEST(ResponseGuard, ABodyMayHaveAnySize) {
    ResponseGuard guard;
    guard.begin_command(Answer::part);
    std::string out;
    ASSERT_TRUE(test::feed(guard, "* 7 FETCH (UID 42 BODY[] {104857600}\r\n", out));
    EXPECT_EQ(out, "* 7 FETCH (UID 42 BODY[] {104857600}\r\n");
    const std::string block = repeat("((((((* STATUS {4294967295}\r\n", 1024 * 1024 / 29);
    while (guard.body_left() > 0) {
        out.clear();
        const auto piece = block.substr(0, guard.body_left());
        ASSERT_TRUE(test::feed(guard, piece, out));
        ASSERT_TRUE(out == piece);
    }
    out.clear();
    EXPECT_TRUE(test::feed(guard, ")\r\n5 NO [SERVERBUG] after all\r\n", out));
    EXPECT_EQ(guard.complaint(), "NO [SERVERBUG] after all") << "and what comes behind it is read again";
    EXPECT_TRUE(out.ends_with(")\r\n5 NO done\r\n")) << out;
}

TEST(ResponseGuard, ABodyMayGoToTheParserUnseen) {
    ResponseGuard guard;
    guard.begin_command(Answer::part);
    std::string out;
    ASSERT_TRUE(test::feed(guard, "* 7 FETCH (UID 42 BODY[] {10}\r\n012", out));
    EXPECT_EQ(guard.body_left(), 7u);
    guard.passed(7);
    EXPECT_EQ(guard.body_left(), 0u);
    ASSERT_TRUE(test::feed(guard, ")\r\n5 OK done\r\n", out));
    EXPECT_TRUE(guard.ended_with_tagged_line());
}

TEST(ResponseGuard, ABodyIsKnownWhereverItStands) {
    const std::string body(100'000, 'x');
    for (const auto* before : {"BODY[] ", "UID 42 BODY[] ", "UID 42 FLAGS (\\Seen) BODY[] ", "BODY[]<0> ",
                               "UID 42 BODY[]<4096> ", "body[] "})
        for (const auto* behind : {")\r\n", " UID 42)\r\n", " FLAGS (\\Seen))\r\n", " UID 42 FLAGS ())\r\n"}) {
            const auto out = pass("* 7 fetch ("s + before + "{100000}\r\n" + body + behind, Answer::part);
            ASSERT_TRUE(out) << before << behind;
            EXPECT_NE(out->find(body), std::string::npos);
        }
}

TEST(ResponseGuard, NoOtherLiteralMayBeLarge) {
    for (const auto* announcement :
         {"* LIST () \"/\" {65537}\r\n", "* 7 FETCH (UID 42 BODY[HEADER] {100000}\r\n",
          "* 7 FETCH (UID 42 RFC822 {100000}\r\n", "* 7 FETCH (UID 42 BODY[1] {100000}\r\n",
          "* 7 FETCH (UID 42 XBODY[] {100000}\r\n", "* 7 FETCHED (UID 42 BODY[] {100000}\r\n",
          "* FETCH (UID 42 BODY[] {100000}\r\n", "* X {4294967295}\r\n",
          "* 7 FETCH (UID 42 ENVELOPE (\"x\" {4294967295}\r\n", "* LIST () \"/\" {4294967296}\r\n",
          "* LIST () \"/\" {18446744073709551616}\r\n", "* LIST () \"/\" {00000000000000000000000000004294967295}\r\n"})
        EXPECT_FALSE(accepts(announcement, Answer::part)) << announcement;
    EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] {100000}\r\n", Answer::plain)) << "nobody asked for a body";
}

TEST(ResponseGuard, OneBodyACommand) {
    EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n* 7 FETCH (UID 42 BODY[] {3}\r\n", Answer::part));
    EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] {3}\r\nabc BODY[] {3}\r\n", Answer::part));
}

// Beyond 32 bits libetpan counts from 0 again.
TEST(ResponseGuard, ABodyLongerThanImapKnowsIsRefused) {
    EXPECT_TRUE(accepts("* 7 FETCH (UID 42 BODY[] {4294967295}\r\n", Answer::part));
    for (const auto* length : {"{4294967296}", "{4294967301}", "{18446744073709551615}", "{18446744073709551616}",
                               "{99999999999999999999999999999999999}", "{-1}", "{x}", "{}", "{ 5}", "{5 }", "{5} ",
                               "{5} x", "{5}x", "x{5}", "{5}{5}", "((({5}"})
        EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] "s + length + "\r\n", Answer::part)) << length;
}

TEST(ResponseGuard, NestingNeverPasses) {
    for (const auto& line :
         {"* 1 FETCH " + repeat("(", 1000), "* 1 FETCH (BODYSTRUCTURE " + repeat("(", 100'000),
          "* 1 FETCH (X-GM-LABELS (\"" + repeat(")", 2000) + "\") BODYSTRUCTURE " + repeat("(", 2000),
          "* 1 FETCH (UID 1 FLAGS " + repeat("(", 1000) + repeat(")", 1000) + " RFC822.SIZE 5)",
          "* 1 FETCH (BODYSTRUCTURE " + repeat("((\"))\" \"))\") ", 500), "* THREAD " + repeat("(", 1000)})
        (void)pass(line + "\r\n");
}

TEST(ResponseGuard, WhatHidesBehindQuotesAndLiteralsNeverPasses) {
    const std::string inside = "* 7 FETCH (BODY[] {1000000}\r\n";
    for (const auto& octets : std::initializer_list<std::string>{
             "* 7 FETCH (ENVELOPE (\"x BODY[] {29}\r\n" + inside, "* 7 FETCH (X \" BODY[] {29}\r\n" + inside,
             "* 7 FETCH (X {3} BODY[] {29}\r\n" + inside, "* 7 FETCH (X-GM-LABELS (\"x\r\n" + inside,
             "* 7 FETCH (X-GM-LABELS ({29}\r\n" + inside + ") X {4294967295}\r\n",
             "* 7 FETCH (X-GM-LABELS (a BODY[] {4294967295}\r\n", "* LIST () \"/\" {29}\r\n" + inside + ")\r\n1 OK\r\n",
             "* 7 FETCH (UID 42 BODY[] \"a\\\" {5}\r\n", "* 7 FETCH (UID 42 BODY[] \"a\0b\")\r\n"s})
        (void)pass(octets, Answer::part);
    EXPECT_EQ(pass("* LIST () \"/\" {29}\r\n" + inside + " x\r\n", Answer::part), "") << "a literal is no line";
}

TEST(ResponseGuard, QuotedBodies) {
    EXPECT_EQ(pass("* 7 FETCH (UID 42 BODY[] \"\")\r\n", Answer::part), "* 7 FETCH (UID 42 BODY[] \"\")\r\n");
    EXPECT_EQ(pass("* 7 FETCH (BODY[] \"a \\\" (((( {5} \\\\\" UID 42)\r\n", Answer::part),
              "* 7 FETCH (BODY[] \"a \\\" (((( {5} \\\\\" UID 42)\r\n");
    EXPECT_EQ(pass("* 7 FETCH (UID 42 BODY[] NIL)\r\n", Answer::part), "* 7 FETCH (UID 42 BODY[] NIL)\r\n");
    for (const auto* value : {"\"abc", "\"abc\\", "\"abc\\\")", "abc", "NILx", "\"a\"b"})
        EXPECT_FALSE(accepts("* 7 FETCH (UID 42 BODY[] "s + value + ")\r\n", Answer::part)) << value;
}

TEST(ResponseGuard, LinesThatAreNotImap) {
    for (const auto* line :
         {" * OK x\r\n", "\r\n", "\n", "HTTP/1.0 400 Bad Request\r\n", "SSH-2.0-x\r\n", "*\tOK x\r\n", "1 OKAY\r\n",
          "1 FETCH (UID 42)\r\n", "(1) OK\r\n", "1 PREAUTH x\r\n", "OK\r\n"})
        EXPECT_FALSE(accepts(line)) << line;
    EXPECT_FALSE(accepts(repeat("1", 100) + " OK\r\n"));
}

TEST(ResponseGuard, EndlessLinesAndResponses) {
    const auto octets_until_refused = [](std::string_view piece) {
        ResponseGuard guard;
        guard.begin_command(Answer::part);
        std::string out;
        std::size_t fed = 0;
        while (fed < 64 * 1024 * 1024 && test::feed(guard, piece, out)) {
            fed += piece.size();
            out.clear();
        }
        return fed;
    };
    EXPECT_LT(octets_until_refused(std::string(4096, 'x')), 2u * 1024 * 1024);
    EXPECT_LT(octets_until_refused(repeat("* 1 EXISTS\r\n", 341)), 8u * 1024 * 1024);
    EXPECT_LT(octets_until_refused("* X {60000}\r\n" + std::string(60'000, 'x') + "\r\n"), 8u * 1024 * 1024);
    EXPECT_LT(octets_until_refused(repeat("* SEARCH 1 2 3\r\n", 300)), 8u * 1024 * 1024);

    ResponseGuard guard;
    for (int i = 0; i < 100; ++i) {
        guard.begin_command(Answer::plain);
        std::string out;
        ASSERT_TRUE(test::feed(guard, repeat("* 1 EXISTS\r\n", 10'000), out)) << "each command counts anew";
    }
}

TEST(ResponseGuard, WhatSelectTellsIsRead) {
    ResponseGuard guard;
    guard.begin_command(Answer::plain);
    std::string out;
    ASSERT_TRUE(
        test::feed(guard, "* 3 EXISTS\r\n* OK [UIDVALIDITY 1700000000] x\r\n* OK [UIDNEXT 5] x\r\n2 OK done\r\n", out));
    EXPECT_TRUE(guard.told_exists());
    EXPECT_EQ(guard.exists(), 3u);
    EXPECT_EQ(guard.uid_validity(), 1700000000u);
    guard.begin_command(Answer::plain);
    EXPECT_FALSE(guard.told_exists());
    EXPECT_EQ(guard.uid_validity(), 0u);
    ASSERT_TRUE(test::feed(guard, "* OK [uidvalidity 4294967296] x\r\n* 4294967296 EXISTS\r\n", out));
    EXPECT_FALSE(guard.told_exists()) << "no 32 bits";
    EXPECT_EQ(guard.uid_validity(), 0u);
    ASSERT_TRUE(test::feed(guard, "* 0 EXISTS\r\n", out));
    EXPECT_TRUE(guard.told_exists());
    EXPECT_EQ(guard.exists(), 0u);
}

TEST(ResponseGuard, KnowsWhetherSomethingFollowsTheEnd) {
    for (const auto& [octets, ended] : {std::pair{"2 OK begin\r\n", true},
                                        {"* 1 EXISTS\r\n2 OK begin\r\n", true},
                                        {"2 OK begin\r\n* 1 EXISTS\r\n", false},
                                        {"2 OK begin\r\nx", false},
                                        {"2 OK begin\r\n\r", false},
                                        {"2 OK begi", false}}) {
        ResponseGuard guard;
        guard.begin_command(Answer::plain);
        std::string out;
        (void)test::feed(guard, octets, out);
        EXPECT_EQ(guard.ended_with_tagged_line(), ended) << octets;
    }
}

TEST(ResponseGuard, AfterAFaultNothingPasses) {
    ResponseGuard guard;
    std::string out;
    guard.begin_command(Answer::plain);
    EXPECT_FALSE(test::feed(guard, "* LIST () \"/\" {4294967295}\r\n", out));
    EXPECT_FALSE(guard.reason().empty());
    guard.begin_command(Answer::part);
    EXPECT_FALSE(test::feed(guard, "1 OK x\r\n", out));
    EXPECT_EQ(out, "");
}

TEST(ResponseGuard, CapabilitiesAreCaptured) {
    ResponseGuard guard;
    guard.begin_command(Answer::plain);
    std::string out;
    ASSERT_TRUE(test::feed(guard, "* OK [CAPABILITY IMAP4rev1 sasl-ir AUTH=PLAIN] ready\r\n", out));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 SASL-IR AUTH=PLAIN ");
    ASSERT_TRUE(test::feed(guard, "* CAPABILITY IMAP4rev1 UIDPLUS\r\n", out));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 UIDPLUS ") << "the last list holds";
    ASSERT_TRUE(test::feed(guard, "2 OK [CAPABILITY IMAP4rev1 ID] Logged in\r\n", out));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 ID ");
    ASSERT_TRUE(test::feed(guard, "* 1 EXISTS\r\n* OK [UIDNEXT 5] CAPABILITY x\r\n", out));
    EXPECT_EQ(guard.capabilities(), " IMAP4REV1 ID ");
    guard.forget_capabilities();
    EXPECT_EQ(guard.capabilities(), "");
}

TEST(ResponseGuard, WhatABodySaysIsNotTheServersWord) {
    const std::string body = "* CAPABILITY EVIL\r\n* BYE x\r\n* NO [ALERT] x\r\n* 9 EXISTS\r\n9 OK x\r\n";
    ResponseGuard guard;
    guard.begin_command(Answer::part);
    std::string out;
    ASSERT_TRUE(
        test::feed(guard, "* 7 FETCH (UID 42 BODY[] {" + std::to_string(body.size()) + "}\r\n" + body + ")\r\n", out));
    EXPECT_EQ(guard.capabilities(), "");
    EXPECT_EQ(guard.complaint(), "");
    EXPECT_FALSE(guard.said_bye());
    EXPECT_FALSE(guard.told_exists());
    EXPECT_FALSE(guard.ended_with_tagged_line());
    EXPECT_EQ(guard.condition(), "");
}

TEST(ResponseGuard, ComplaintsAreCaptured) {
    ResponseGuard guard;
    const auto complaint = [&](std::string_view octets) {
        guard.begin_command(Answer::plain);
        std::string out;
        EXPECT_TRUE(test::feed(guard, octets, out));
        return guard.complaint();
    };
    EXPECT_EQ(complaint("3 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
              "NO [AUTHENTICATIONFAILED] Authentication failed.");
    EXPECT_EQ(complaint("4 OK fine\r\n"), "") << "a new command begins without";
    EXPECT_EQ(complaint("5 BAD Request is throttled.\n"), "BAD Request is throttled.");
    EXPECT_EQ(complaint("* NO [ALERT] full\r\n6 NO [OVERQUOTA] no\r\n"), "NO [OVERQUOTA] no");
    EXPECT_EQ(complaint("* NOT a complaint\r\n"), "");
    EXPECT_FALSE(guard.said_bye());
    EXPECT_EQ(complaint("* BYE Too many connections\r\n"), "BYE Too many connections");
    EXPECT_TRUE(guard.said_bye());
    EXPECT_LE(complaint("* NO " + std::string(100'000, 'x') + "\r\n").size(), 1000u);
}

/// All that a guard knows in the end.
std::string state_of(ResponseGuard& guard, bool accepted) {
    auto state = (accepted ? "accepted|" : "refused|") + std::string(guard.reason()) + "|" + guard.complaint() + "|" +
                 guard.capabilities() + "|" + guard.condition() + "|" + std::to_string(guard.uid_validity()) + "|" +
                 std::to_string(guard.exists()) + "|" + std::to_string(guard.body_left()) + "|" +
                 (guard.said_bye() ? "bye|" : "") + (guard.told_exists() ? "exists|" : "");
    state += std::to_string(guard.uid_next()) + "|" + std::to_string(guard.highest_modseq()) + "|";
    for (const auto* set : {&guard.found(), &guard.vanished()})
        for (const auto& range : set->ranges())
            state += std::to_string(range.first) + ":" + std::to_string(range.last) + " ";
    for (const auto& each : guard.listed())
        state += std::to_string(each.number) + "/" + std::to_string(each.uid) + "/" + std::to_string(each.octets) +
                 "/" + std::to_string(each.arrival) + "/" + std::to_string(each.gmail_id) + " ";
    for (const auto& folder : guard.folders()) state += folder.attributes + "=" + folder.name + " ";
    return state;
}

TEST(ResponseGuard, AnySplitGivesTheSame) {
    const std::string conversations[] = {
        "* OK [CAPABILITY IMAP4rev1 ID] hi\r\n1 OK\r\n",
        "* 7 FETCH (UID 42 BODY[] {20}\r\n0123456789\r\n{99999}\r\n FLAGS ())\r\n2 OK done\r\n* BYE later\r\n",
        "* 7 FETCH (FLAGS (\\Seen) BODY[]<0> {5}\n01234 UID 42)\n2 NO [X] y\n",
        "* 7 FETCH (UID 42 BODY[] {5}\r\n01234)\r\n* 7 FETCH (UID 42 BODY[] {70000}\r\n",
        "* LIST () \"/\" {10}\r\n0123456789\r\n* CAPABILITY A B\r\n* NO x\r\n",
        "* LIST () \"/\" {4294967295}\r\n* OK\r\n",
        "* SEARCH 1 2\r\n* 5 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* SEARCH 3\r\n",
        "* 1 FETCH ((((\r\n* 1 FETCH (UID 1 RFC822.SIZE 2)\r\n* STATUS x\r\n* OK\r\n",
        "* OK \0\0\xFF {}} {{5}\r\r\n* 1 EXISTS\n2 BAD \r\n"s,
        "* 1 EXISTS\r\n\r\n* OK\r\n",
        "* 1 FETCH (UID 7 RFC822.SIZE 5 INTERNALDATE \"01-Jan-2024 00:00:00 +0000\" X-GM-MSGID 9)\r\n1 OK x\r\n",
        "* ESEARCH (TAG \"1\") UID ALL 1:3,7\r\n* VANISHED (EARLIER) 1,5:9\r\n* OK [HIGHESTMODSEQ 5] x\r\n",
        "* LIST (\\Trash) \"/\" {5}\r\nTrash\r\n* LIST (\\All) NIL \"a \\\"b\"\r\n* OK [UIDNEXT 5] x\r\n",
    };
    for (const auto& octets : conversations)
        for (const auto expected_answer :
             {Answer::plain, Answer::body, Answer::part, Answer::listing, Answer::changes, Answer::folders}) {
            ResponseGuard whole;
            whole.begin_command(expected_answer);
            std::string expected_out;
            const auto expected = state_of(whole, test::feed(whole, octets, expected_out));
            for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
                ResponseGuard guard;
                guard.begin_command(expected_answer);
                std::string out;
                const bool accepted =
                    test::feed(guard, octets.substr(0, cut), out) && test::feed(guard, octets.substr(cut), out);
                ASSERT_EQ(state_of(guard, accepted), expected) << octets << " cut at " << cut;
                ASSERT_EQ(out, expected_out) << octets << " cut at " << cut;
            }
            for (std::uint32_t seed = 1; seed <= 100; ++seed) {
                ResponseGuard guard;
                guard.begin_command(expected_answer);
                std::string out;
                bool accepted = true;
                test::split(octets, seed, seed == 1 ? 1 : 9,
                            [&](std::string_view piece) { accepted = accepted && test::feed(guard, piece, out); });
                ASSERT_EQ(state_of(guard, accepted), expected) << octets << " seed " << seed;
                ASSERT_EQ(out, expected_out) << octets << " seed " << seed;
            }
        }
}

}  // namespace
}  // namespace popgate::imap
