// What ResponseGuard reads of answers that tell of many messages, or of folders.
#include "backends/imap/response_guard.hpp"

#include "tests/support/guarded.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate::imap {
namespace {

using namespace std::string_literals;

std::string text_of(const UidSet& set) {
    std::string text;
    for (const auto& range : set.ranges()) text += std::to_string(range.first) + ":" + std::to_string(range.last) + " ";
    return text;
}

constexpr auto refused = "refused";

/// What the guard has learned from an answer; nothing of it may go further.
template <class Read>
std::string learned(Answer expected, std::string_view octets, Read read) {
    ResponseGuard guard;
    guard.begin_command(expected);
    std::string out;
    if (!test::feed(guard, octets, out)) return refused;
    EXPECT_EQ(out, "");
    return read(guard);
}

std::string found(std::string_view octets) {
    return learned(Answer::plain, octets, [](auto& guard) { return text_of(guard.found()); });
}

std::string vanished(std::string_view octets, Answer expected = Answer::changes) {
    return learned(expected, octets, [](auto& guard) { return text_of(guard.vanished()); });
}

std::string listed(std::string_view octets, Answer expected = Answer::listing) {
    return learned(expected, octets, [](auto& guard) {
        std::string all;
        for (const auto& each : guard.listed())
            all += std::to_string(each.number) + "/" + std::to_string(each.uid) + "/" + std::to_string(each.octets) +
                   "/" + std::to_string(each.arrival) + "/" + std::to_string(each.gmail_id) + " ";
        return all;
    });
}

std::string folders(std::string_view octets, Answer expected = Answer::folders) {
    return learned(expected, octets, [](auto& guard) {
        std::string all;
        for (const auto& each : guard.folders()) all += each.attributes + "=" + each.name + ";";
        return all;
    });
}

TEST(ListingAnswers, ItemsComeInAnyOrder) {
    EXPECT_EQ(listed("* 3 FETCH (UID 7 RFC822.SIZE 120 INTERNALDATE \"01-Jan-1970 00:01:00 +0000\")\r\n"),
              "3/7/120/60/0 ");
    EXPECT_EQ(listed("* 3 fetch (internaldate \" 1-jan-1970 00:01:00 +0000\" flags (\\Seen) x-gm-msgid 5 modseq (9) "
                     "rfc822.size 120 uid 7)\n"),
              "3/7/120/60/5 ");
    EXPECT_EQ(listed("* 3 FETCH (RFC822.SIZE 120)\r\n"), "3/0/120/0/0 ") << "whoever lists must look for the UID";
}

TEST(ListingAnswers, WithoutASizeItIsNews) {
    EXPECT_EQ(listed("* 3 FETCH (UID 7 FLAGS (\\Seen))\r\n"), "");
    EXPECT_EQ(listed("* 3 FETCH (UID 7 INTERNALDATE \"01-Jan-1970 00:01:00 +0000\")\r\n"), "");
    EXPECT_EQ(listed("* 3 FETCH (X-UNHEARD-OF 5)\r\n"), "");
    EXPECT_EQ(listed("* 3 FETCH (UID 7 RFC822.SIZE 120)\r\n", Answer::plain), "") << "nobody asked";
    EXPECT_EQ(listed("* 3 FETCH (UID 7 RFC822.SIZE -1)\r\n", Answer::plain), "");
}

TEST(ListingAnswers, ADateThatIsNoneIsUnknown) {
    for (const auto* date : {"", "yesterday", "32-Jan-2024 00:00:00 +0000", "((({5}"})
        EXPECT_EQ(listed("* 3 FETCH (INTERNALDATE \""s + date + "\" UID 7 RFC822.SIZE 1)\r\n"), "3/7/1/0/0 ") << date;
}

TEST(ListingAnswers, NumbersAreBounded) {
    EXPECT_EQ(listed("* 1 FETCH (UID 4294967295 RFC822.SIZE 9223372036854775807 X-GM-MSGID 18446744073709551615)\r\n"),
              "1/4294967295/9223372036854775807/0/18446744073709551615 ");
    for (const auto* items :
         {"RFC822.SIZE 1 UID 4294967296", "RFC822.SIZE 9223372036854775808 UID 1", "RFC822.SIZE -1", "RFC822.SIZE x",
          "RFC822.SIZE 1 UID 18446744073709551617", "RFC822.SIZE 1x", "RFC822.SIZE  1", "UID 1 RFC822.SIZE {3}",
          "RFC822.SIZE 1 X-GM-MSGID 18446744073709551616", "RFC822.SIZE 1 INTERNALDATE NIL",
          "RFC822.SIZE 1 INTERNALDATE \"x", "RFC822.SIZE 1 UID"})
        EXPECT_EQ(listed("* 1 FETCH ("s + items + ")\r\n"), refused) << items;
}

TEST(ListingAnswers, AWholeWindowPasses) {
    std::string listing;
    for (int i = 1; i <= 2000; ++i) {
        const auto number = std::to_string(4'000'000'000u + static_cast<unsigned>(i));
        listing += "* " + number + " FETCH (UID " + number + " RFC822.SIZE 9223372036854775807 INTERNALDATE " +
                   "\"17-Jul-1996 02:44:25 -0700\" X-GM-MSGID 18446744073709551615 FLAGS (\\Answered \\Flagged " +
                   "\\Deleted \\Seen \\Draft $Forwarded $Junk) MODSEQ (9223372036854775807))\r\n";
    }
    ResponseGuard guard;
    guard.begin_command(Answer::listing);
    std::string out;
    ASSERT_TRUE(test::feed(guard, listing + "5 OK Fetch completed (0.001 + 0.000 secs).\r\n", out));
    EXPECT_EQ(out, "5 OK done\r\n");
    EXPECT_EQ(guard.listed().size(), 2000u);
    guard.begin_command(Answer::listing);
    EXPECT_TRUE(guard.listed().empty()) << "each command begins anew";
}

TEST(ListingAnswers, Searches) {
    EXPECT_EQ(found("* SEARCH 1 5 4294967295\r\n"), "1:1 5:5 4294967295:4294967295 ");
    EXPECT_EQ(found("* SEARCH\r\n"), "");
    EXPECT_EQ(found("* search 1 \r\n* SEARCH 2 3\r\n"), "1:3 ");
    EXPECT_EQ(found("* SEARCH 1 (MODSEQ 12345678901)\r\n"), "1:1 ");
    EXPECT_EQ(found("* SEARCH 0\r\n"), "") << "no UID";
    for (const auto* numbers : {"x", "4294967296", "-1", "1x", "1,2", "{5}"})
        EXPECT_EQ(found("* SEARCH "s + numbers + "\r\n"), refused) << numbers;
}

TEST(ListingAnswers, ASearchOfAHundredThousandPasses) {
    std::string line = "* SEARCH";
    for (int i = 0; i < 100'000; ++i) line += " " + std::to_string(100'001 + 2 * i);
    ResponseGuard guard;
    guard.begin_command(Answer::plain);
    std::string out;
    ASSERT_TRUE(test::feed(guard, line + "\r\n", out));
    EXPECT_EQ(guard.found().size(), 100'000u);
}

// RFC 4731 §3.1, RFC 9051 §7.3.4.
TEST(ListingAnswers, ExtendedSearches) {
    EXPECT_EQ(found("* ESEARCH (TAG \"3\") UID ALL 1:3,7\r\n"), "1:3 7:7 ");
    EXPECT_EQ(found("* esearch (tag \"3\") uid min 1 all 5 count 9 modseq 4\r\n"), "5:5 ");
    EXPECT_EQ(found("* ESEARCH UID ALL 3:1\r\n"), "1:3 ");
    EXPECT_EQ(found("* ESEARCH (TAG \"3\") UID\r\n"), "") << "nothing was found";
    EXPECT_EQ(found("* ESEARCH (TAG \"3\")\r\n"), "");
    EXPECT_EQ(found("* ESEARCH (TAG \"3\r\n"), "");
    EXPECT_EQ(found("* ESEARCH\r\n"), "");
    EXPECT_EQ(found("* ESEARCH UID ALL 1:4294967295\r\n"), "1:4294967295 ") << "twelve octets, and no more memory";
    for (const auto* set :
         {"", "x", "1:", ":1", "1:*", "*", "1,", ",1", "1,,2", "1:2:3", "4294967296", "-1", "1:x", "$"})
        EXPECT_EQ(found("* ESEARCH (TAG \"3\") UID ALL "s + set + "\r\n"), refused) << set;
    EXPECT_EQ(found("* ESEARCH (TAG \"3\") ALL 1:3\r\n"), refused) << "numbers that are no UIDs";
}

// RFC 7162 §3.2.10.
TEST(ListingAnswers, WhatVanished) {
    EXPECT_EQ(vanished("* VANISHED (EARLIER) 300:310,405,411\r\n* vanished (earlier) 5\r\n"),
              "300:310 405:405 411:411 5:5 ");
    EXPECT_EQ(vanished("* VANISHED 300:310\r\n"), "") << "that is now, and not before";
    EXPECT_EQ(vanished("* VANISHED (EARLIER) 3\r\n", Answer::plain), "") << "nobody asked";
    for (const auto* set : {"", "x", "1:*", "1,"})
        EXPECT_EQ(vanished("* VANISHED (EARLIER) "s + set + "\r\n"), refused) << set;
}

TEST(ListingAnswers, AFloodOfFlagsIsNeitherRefusedNorKept) {
    std::string flood;
    for (int i = 0; i < 1000; ++i)
        flood +=
            "* 12345678 FETCH (UID 12345678 FLAGS (\\Answered \\Flagged \\Seen $Forwarded) MODSEQ (123456789))\r\n";
    const auto fed = [&](Answer expected) {
        ResponseGuard guard;
        guard.begin_command(expected);
        std::string out;
        std::size_t octets = 0;
        while (octets < 200u * 1024 * 1024 && test::feed(guard, flood, out)) octets += flood.size();
        EXPECT_EQ(out, "");
        EXPECT_TRUE(guard.listed().empty());
        return octets;
    };
    const auto most = fed(Answer::changes);
    EXPECT_GT(most, 32u * 1024 * 1024);
    EXPECT_LT(most, 128u * 1024 * 1024);
    EXPECT_LT(fed(Answer::listing), 8u * 1024 * 1024);
}

TEST(ListingAnswers, RangesAreBounded) {
    std::string line = "* VANISHED (EARLIER) 1";
    for (int i = 0; i < 90'000; ++i) line += "," + std::to_string(3 + 2 * i);
    ResponseGuard guard;
    guard.begin_command(Answer::changes);
    std::string out;
    int lines = 0;
    while (lines < 100 && test::feed(guard, line + "\r\n", out)) ++lines;
    EXPECT_GT(lines, 5);
    EXPECT_LT(lines, 20);
}

TEST(ListingAnswers, FoldersWithASpecialUse) {
    EXPECT_EQ(folders("* LIST (\\HasNoChildren \\Trash) \"/\" Trash\r\n* LIST () \"/\" INBOX\r\n"
                      "* list (\\archive) NIL \"My \\\"old\\\" mail\"\r\n* LIST (\\Sent) \"/\" Sent\r\n"),
              "\\HASNOCHILDREN \\TRASH=Trash;\\ARCHIVE=My \"old\" mail;");
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {5}\r\nTrash\r\n* LIST (\\All) \"\\\\\" {8}\r\nAll mail (\"X\" (5))\r\n"),
              "\\TRASH=Trash;\\ALL=All mail;");
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" Trash\r\n", Answer::plain), "");
}

TEST(ListingAnswers, FoldersThatAreNoneAreLeftOut) {
    for (const auto* line : {"(\\Trash", "\\Trash \"/\" Trash", "(\\Trash) \"/\"", "(\\Trash) \"/\" ",
                             "(\\Trash) \"/\" \"Trash", "(\\Trash) \"/\" \"Trash\\", "(\\Trash) \"/ Trash",
                             "(\\Trash)\"/\" Trash", "", "(\\Trash \\Noselect) \"/\" Trash", "(\\Trash) \"/\" \"\"",
                             "(\\Trash) \"/\" \"a\tb\"", "(\\Trash) \"/\" \"M\xC3\xBCll\"", "(\\Trashy) \"/\" Trash"})
        EXPECT_EQ(folders("* LIST "s + line + "\r\n"), "") << line;
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {7}\r\nx\r\nDELE\r\n"), "") << "a name must not become a command";
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {0}\r\n\r\n"), "");
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" \"" + std::string(1001, 'x') + "\"\r\n"), "");
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {1001}\r\n" + std::string(1001, 'x') + "\r\n* 1 EXISTS\r\n"), "");
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {4294967295}\r\n"), refused);
    EXPECT_EQ(folders("* LIST (\\Trash) \"/\" {5}\r\nTrash {4294967295}\r\n"), refused);
}

TEST(ListingAnswers, FoldersAreBounded) {
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += "* LIST (\\Trash) \"/\" x\r\n";
    ResponseGuard guard;
    guard.begin_command(Answer::folders);
    std::string out;
    ASSERT_TRUE(test::feed(guard, lines, out));
    EXPECT_LE(guard.folders().size(), 100u);
}

TEST(ListingAnswers, WhatSelectTells) {
    ResponseGuard guard;
    guard.begin_command(Answer::plain);
    std::string out;
    ASSERT_TRUE(test::feed(guard, "* OK [UIDNEXT 5] x\r\n2 OK [HIGHESTMODSEQ 9223372036854775807] done\r\n", out));
    EXPECT_EQ(guard.uid_next(), 5u);
    EXPECT_EQ(guard.highest_modseq(), 9223372036854775807u);
    guard.begin_command(Answer::plain);
    EXPECT_EQ(guard.uid_next(), 0u);
    EXPECT_EQ(guard.highest_modseq(), 0u);
    ASSERT_TRUE(
        test::feed(guard, "* OK [UIDNEXT 4294967296] x\r\n* OK [HIGHESTMODSEQ x] x\r\n* OK [UIDNEXT]\r\n", out));
    EXPECT_EQ(guard.uid_next(), 0u);
    EXPECT_EQ(guard.highest_modseq(), 0u);
}

}  // namespace
}  // namespace popgate::imap
