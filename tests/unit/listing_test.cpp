// What a look at a mailbox asks for, command by command, and what it makes of the answers.
#include "backends/imap/listing.hpp"

#include "gateway/accounts/secret.hpp"
#include "tests/fuzz/scripted_transport.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace popgate::imap {
namespace {

using test::ScriptedTransport;
using test::Turn;
using Turns = std::vector<Turn>;

constexpr std::uint32_t validity = 1700000000;

struct SelectAnswer {
    std::uint32_t exists = 0;
    std::uint32_t uid_next = 0;
    std::uint64_t modseq = 0;
    std::uint32_t uid_validity = validity;
};

Turn select(const SelectAnswer& told) {
    std::string answer = "* FLAGS (\\Seen)\r\n* " + std::to_string(told.exists) + " EXISTS\r\n* OK [UIDVALIDITY " +
                         std::to_string(told.uid_validity) + "] x\r\n";
    if (told.uid_next != 0) answer += "* OK [UIDNEXT " + std::to_string(told.uid_next) + "] x\r\n";
    if (told.modseq != 0) answer += "* OK [HIGHESTMODSEQ " + std::to_string(told.modseq) + "] x\r\n";
    return {"<tag> SELECT INBOX\r\n", answer + "<tag> OK [READ-WRITE] done\r\n"};
}

struct Line {
    std::uint32_t number = 0;
    std::uint32_t uid = 0;
};

std::string lines(const std::vector<Line>& messages) {
    std::string answer;
    for (const auto& [number, uid] : messages)
        answer += "* " + std::to_string(number) + " FETCH (UID " + std::to_string(uid) + " RFC822.SIZE " +
                  std::to_string(100 + uid) + " INTERNALDATE \"01-Jan-1970 00:00:10 +0000\")\r\n";
    return answer;
}

Turn fetch(const std::string& set, const std::string& answer, const std::string& end = "OK done") {
    return {"<tag> " + set + " (UID RFC822.SIZE INTERNALDATE)\r\n", answer + "<tag> " + end + "\r\n"};
}

Turn search(const std::string& criteria, const std::string& numbers) {
    return {"<tag> UID SEARCH " + criteria + "\r\n", "* SEARCH " + numbers + "\r\n<tag> OK done\r\n"};
}

/// As an earlier look found it; sizes and tags as nothing else would give them.
KnownMailbox known(const std::vector<std::uint32_t>& uids, std::uint32_t uid_next, std::uint64_t modseq = 0) {
    KnownMailbox mailbox;
    mailbox.state = to_text({validity, uid_next, modseq});
    mailbox.generation = std::to_string(validity);
    for (const auto uid : uids) {
        MessageInfo info{.id = std::to_string(uid), .octets = 7000 + uid, .arrival = 10, .octets_are_exact = true};
        info.tag = uid * 10;
        mailbox.messages.push_back(info);
    }
    return mailbox;
}

struct Outcome {
    std::string messages;  // "UID:octets:tag" each, with "!" when they are exact
    std::string arrivals;
    std::string state;
    std::string generation;
    std::optional<Errc> error;
    std::string text;
};

/// Runs a look; every turn must be used, and nothing else be said.
Outcome look(Turns turns, KnownMailbox before, const std::string& capability = "",
             const UniqueIdFormat* gmail_ids = nullptr, bool whole_script = true) {
    turns.insert(turns.begin(), {{"", "* OK [CAPABILITY IMAP4rev1] ready\r\n"},
                                 {"<tag> LOGIN alice secret\r\n",
                                  "<tag> OK [CAPABILITY IMAP4rev1 " + capability + "] Logged in\r\n"}});
    ScriptedTransport transport(std::move(turns));
    EtpanSession session(transport);
    EXPECT_FALSE(session.read_greeting().has_error());
    EXPECT_FALSE(session.login("alice", Secret("secret")).has_error());
    Look looking(session, "INBOX", gmail_ids, std::move(before));
    auto listing = looking.list();
    EXPECT_EQ(transport.surprise(), "");
    EXPECT_EQ(transport.at_end(), whole_script);
    Outcome outcome;
    if (listing.has_error()) {
        outcome.error = listing.error().code;
        outcome.text = listing.error().text + " (" + listing.error().detail + ")";
        return outcome;
    }
    for (const auto& each : listing->messages)
        outcome.messages += each.id + ":" + std::to_string(each.octets) + (each.octets_are_exact ? "!" : "") + ":" +
                            std::to_string(each.tag) + (each.unique_id.empty() ? "" : ":" + each.unique_id.str()) + " ";
    for (const auto& each : listing->messages) outcome.arrivals += std::to_string(each.arrival) + " ";
    outcome.state = listing->state;
    outcome.generation = listing->generation;
    EXPECT_EQ(looking.uid_validity(), validity);
    return outcome;
}

// --- what popgate itself has removed is no longer known, and not asked for

TEST(Look, AfterARemovalOfOursNothingIsAskedFor) {
    auto before = known({7, 9, 42}, 43);
    before.messages.erase(before.messages.begin() + 1);
    const auto outcome = look({select({2, 43})}, before);
    EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 ") << outcome.text;
}

// --- nothing is known

TEST(Look, TheFirstTakesEverything) {
    const auto outcome = look({select({3, 43, 5}), fetch("FETCH 1:3", lines({{1, 7}, {2, 9}, {3, 42}}))}, {});
    EXPECT_EQ(outcome.messages, "7:107:0 9:109:0 42:142:0 ") << outcome.text;
    EXPECT_EQ(outcome.state, to_text({validity, 43, 5}));
    EXPECT_EQ(outcome.generation, "1700000000");
}

TEST(Look, AnEmptyMailbox) {
    const auto outcome = look({select({0, 1})}, {});
    EXPECT_EQ(outcome.error, std::nullopt);
    EXPECT_EQ(outcome.messages, "");
}

TEST(Look, InWindows) {
    std::vector<Line> first, second;
    for (std::uint32_t i = 1; i <= 2000; ++i) first.push_back({i, i});
    for (std::uint32_t i = 2001; i <= 2003; ++i) second.push_back({i, i});
    const auto outcome =
        look({select({2003, 2004}), fetch("FETCH 1:2000", lines(first)), fetch("FETCH 2001:2003", lines(second))}, {});
    EXPECT_TRUE(outcome.messages.ends_with("2002:2102:0 2003:2103:0 ")) << outcome.text;
}

TEST(Look, AQuickServerIsAskedForMoreAtOnce) {
    const auto window = [](std::uint32_t first, std::uint32_t last) {
        std::vector<Line> told;
        for (auto i = first; i <= last; ++i) told.push_back({i, i});
        return fetch("FETCH " + std::to_string(first) + ":" + std::to_string(last), lines(told));
    };
    const auto outcome = look({select({7000, 7001}), window(1, 2000), window(2001, 6000), window(6001, 7000)}, {});
    EXPECT_EQ(outcome.error, std::nullopt);
    EXPECT_TRUE(outcome.messages.ends_with("7000:7100:0 ")) << outcome.text;
}

TEST(Look, AListThatDoesNotFitIsTakenAnewAndThenGivenUp) {
    for (const auto& wrong : {lines({{1, 7}, {2, 9}}), lines({{1, 7}, {2, 7}, {3, 8}}), lines({{1, 7}, {2, 9}, {3, 8}}),
                              lines({{1, 0}, {2, 9}, {3, 10}}), lines({}), lines({{1, 7}, {3, 9}, {4, 10}})}) {
        const auto again = look(
            {select({3, 43}), fetch("FETCH 1:3", wrong), select({2, 43}), fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}))},
            {});
        EXPECT_EQ(again.messages, "7:107:0 42:142:0 ") << wrong;
        const auto never = look({select({3, 43}), fetch("FETCH 1:3", wrong), select({3, 43}), fetch("FETCH 1:3", wrong),
                                 select({3, 43}), fetch("FETCH 1:3", wrong)},
                                {});
        EXPECT_EQ(never.error, Errc::temporary) << wrong;
    }
}

TEST(Look, AMailboxThatIsReplacedMeanwhileIsAFault) {
    EXPECT_EQ(look({select({1, 43}), fetch("FETCH 1:1", ""), select({1, 43, 0, validity + 1})}, {}).error,
              Errc::temporary);
}

TEST(Look, ARefusedSelectIsToldAsItIs) {
    EXPECT_EQ(look({{"<tag> SELECT INBOX\r\n", "<tag> NO [NONEXISTENT] no such mailbox\r\n"}}, {}).error,
              Errc::permanent);
    EXPECT_EQ(look({{"<tag> SELECT INBOX\r\n", "<tag> NO [INUSE] locked\r\n"}}, known({7}, 8)).error, Errc::temporary);
}

// --- nothing has changed

TEST(Look, WhatIsUnchangedCostsOneCommand) {
    const auto outcome = look({select({3, 43, 9})}, known({7, 9, 42}, 43, 5), "QRESYNC ENABLE ESEARCH");
    EXPECT_EQ(outcome.messages, "7:7007!:70 9:7009!:90 42:7042!:420 ") << outcome.text;
    EXPECT_EQ(outcome.state, to_text({validity, 43, 9}));
}

TEST(Look, TheOrderIsThatOfUids) {
    EXPECT_EQ(look({select({3, 43})}, known({42, 7, 9}, 43)).messages, "7:7007!:70 9:7009!:90 42:7042!:420 ");
}

// --- some have come

TEST(Look, OnlyNewMessagesAreFetched) {
    const auto outcome =
        look({select({5, 60}), fetch("UID FETCH 43:59", lines({{4, 50}, {5, 59}}))}, known({7, 9, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 9:7009!:90 42:7042!:420 50:150:0 59:159:0 ") << outcome.text;
    EXPECT_EQ(outcome.state, to_text({validity, 60, 0}));
}

TEST(Look, WhatWasNotAskedForIsNoMessage) {
    // The last message, as "n:*" would give it; another client's flags and removals; a repetition.
    const auto answer =
        lines({{3, 42}, {4, 50}, {4, 50}}) + "* 1 FETCH (FLAGS (\\Seen))\r\n* 9 EXISTS\r\n" + lines({{5, 60}});
    const auto outcome = look({select({4, 60}), fetch("UID FETCH 43:59", answer)}, known({7, 9, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 9:7009!:90 42:7042!:420 50:150:0 ") << outcome.text;
}

TEST(Look, AWideRangeOfNewUidsIsFetchedFromTheEnd) {
    std::vector<Line> last;
    for (std::uint32_t i = 4; i <= 2003; ++i) last.push_back({i, i * 1000});
    const auto outcome = look({select({2003, 4'000'000}), fetch("FETCH 4:2003", lines(last)),
                               fetch("FETCH 1:3", lines({{1, 7}, {2, 42}, {3, 3000}}))},
                              known({7, 42}, 43));
    EXPECT_TRUE(outcome.messages.starts_with("7:7007!:70 42:7042!:420 3000:3100:0 4000:4100:0 ")) << outcome.text;
    EXPECT_TRUE(outcome.messages.ends_with("2003000:2003100:0 ")) << outcome.text;
}

// --- some have gone

TEST(Look, WhatVanishedIsFoundByASearch) {
    EXPECT_EQ(look({select({2, 43}), search("1:2", "42 7")}, known({7, 9, 42}, 43)).messages,
              "7:7007!:70 42:7042!:420 ");
    EXPECT_EQ(look({select({0, 43})}, known({7, 9, 42}, 43)).messages, "") << "where all are gone none is asked for";
    const auto both = look({select({3, 60}), fetch("UID FETCH 43:59", lines({{3, 50}})), search("1:2", "7 42")},
                           known({7, 9, 42}, 43));
    EXPECT_EQ(both.messages, "7:7007!:70 42:7042!:420 50:150:0 ") << both.text;
}

TEST(Look, ByAnExtendedOneWhereThereIsOne) {
    const auto outcome =
        look({select({2, 43, 9}),
              {"<tag> UID SEARCH RETURN (ALL) 1:2\r\n", "* ESEARCH (TAG \"<tag>\") UID ALL 7,42\r\n<tag> OK done\r\n"}},
             known({7, 9, 42}, 43, 5), "QRESYNC ENABLE ESEARCH");
    EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 ") << outcome.text;
}

TEST(Look, MessagesThatWereHiddenBeforeAreFetched) {
    const auto outcome = look({select({4, 43}), search("1:4", "7 8 9 42"), fetch("UID FETCH 8", lines({{2, 8}}))},
                              known({7, 9, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 8:108:0 9:7009!:90 42:7042!:420 ") << outcome.text;
}

const Turn enable{"<tag> ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\n<tag> OK done\r\n"};

Turn vanished(const std::string& set, const std::string& answer) {
    return {"<tag> UID FETCH " + set + " (UID) (CHANGEDSINCE 5 VANISHED)\r\n", answer + "<tag> OK done\r\n"};
}

TEST(Look, OrByVanished) {
    const auto outcome = look({enable, select({3, 60, 9}), fetch("UID FETCH 43:59", lines({{3, 50}})),
                               vanished("7:42", "* VANISHED (EARLIER) 1:6,9\r\n* 1 FETCH (UID 7 MODSEQ (8))\r\n")},
                              known({7, 9, 42}, 43, 5), "QRESYNC ENABLE");
    EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 50:150:0 ") << outcome.text;
    EXPECT_EQ(outcome.state, to_text({validity, 60, 9}));
}

TEST(Look, VanishedIsPreferredOnlyWhereASearchWouldTellManyGaps) {
    std::vector<std::uint32_t> uids;
    for (std::uint32_t i = 0; i < 400; ++i) uids.push_back(1 + 2 * i);
    const auto outcome = look({enable, select({399, 801, 9}), vanished("1:799", "* VANISHED (EARLIER) 3\r\n")},
                              known(uids, 801, 5), "QRESYNC ENABLE ESEARCH");
    EXPECT_TRUE(outcome.messages.starts_with("1:7001!:10 5:7005!:50 ")) << outcome.text;
}

TEST(Look, WhereVanishedDoesNotAddUpASearchIsAsked) {
    for (const auto& turn :
         {vanished("7:42", ""), vanished("7:42", "* VANISHED (EARLIER) 1:100\r\n"),
          vanished("7:42", "* VANISHED 9\r\n"), Turn{vanished("7:42", "").client, "<tag> BAD what is VANISHED?\r\n"}}) {
        const auto outcome =
            look({enable, select({2, 43, 9}), turn, search("1:2", "7 42")}, known({7, 9, 42}, 43, 5), "QRESYNC ENABLE");
        EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 ") << turn.server << outcome.text;
    }
    const auto refused = look({{enable.client, "<tag> BAD no\r\n"}, select({2, 43, 9}), search("1:2", "7 42")},
                              known({7, 9, 42}, 43, 5), "QRESYNC ENABLE");
    EXPECT_EQ(refused.messages, "7:7007!:70 42:7042!:420 ") << refused.text;
}

// --- nothing adds up, or nothing can be trusted

TEST(Look, WhereNothingAddsUpEverythingIsLookedAtAndKnownMessagesStayAsTheyAre) {
    const auto everything = fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}));
    for (const auto* numbers : {"7", "7 9 42", "1 2 3", ""}) {
        const auto outcome = look({select({2, 43}), search("1:2", numbers), everything}, known({7, 9, 42}, 43));
        EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 ") << numbers << outcome.text;
    }
    const auto refused =
        look({select({2, 43}), {"<tag> UID SEARCH 1:2\r\n", "<tag> BAD no\r\n"}, everything}, known({7, 9, 42}, 43));
    EXPECT_EQ(refused.messages, "7:7007!:70 42:7042!:420 ") << refused.text;
}

TEST(Look, ABrokenUidNextIsNotBelieved) {
    const auto everything = fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}));
    EXPECT_EQ(look({select({2, 30}), everything}, known({7, 42}, 43)).messages, "7:7007!:70 42:7042!:420 ");
    EXPECT_EQ(look({select({2, 30}), everything}, known({7, 42}, 30)).messages, "7:7007!:70 42:7042!:420 ")
        << "a message that it said was still to come";
}

TEST(Look, MessagesThatGoWhileItLooksAreLookedForAgain) {
    const auto outcome = look(
        {
            select({4, 60}),
            fetch("UID FETCH 43:59", "* 1 EXPUNGE\r\n", "OK done"),
            search("1:4", "7 9 42"),
            fetch("FETCH 1:4", lines({{1, 7}, {2, 9}, {3, 42}})),
            select({3, 60}),
            fetch("UID FETCH 43:59", ""),
        },
        known({7, 9, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 9:7009!:90 42:7042!:420 ") << outcome.text;
}

TEST(Look, ALostConnectionIsAFault) {
    for (const auto& turns :
         {Turns{{"<tag> SELECT INBOX\r\n", ""}}, Turns{select({2, 43}), {"<tag> UID SEARCH 1:2\r\n", ""}},
          Turns{select({4, 60}), {"<tag> UID FETCH 43:59 (UID RFC822.SIZE INTERNALDATE)\r\n", ""}},
          Turns{select({2, 43}), {"<tag> UID SEARCH 1:2\r\n", "* BYE enough\r\n"}}})
        EXPECT_EQ(look(turns, known({7, 9, 42}, 43)).error, Errc::temporary);
}

TEST(Look, BillionsThatASearchNamesAreNotAskedFor) {
    const auto outcome =
        look({select({4000, 5000}),
              {"<tag> UID SEARCH RETURN (ALL) 1:4000\r\n", "* ESEARCH UID ALL 1:4000\r\n<tag> OK done\r\n"},
              fetch("UID FETCH 1:2000", ""),
              fetch("FETCH 1:2000", ""),
              {"<tag> SELECT INBOX\r\n", ""}},
             known({4000}, 5000), "ESEARCH");
    EXPECT_EQ(outcome.error, Errc::temporary);
    const auto hostile =
        look({select({2, 43}),
              {"<tag> UID SEARCH RETURN (ALL) 1:2\r\n", "* ESEARCH UID ALL 1:4294967295\r\n<tag> OK done\r\n"},
              fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}))},
             known({7, 9, 42}, 43), "ESEARCH");
    EXPECT_EQ(hostile.messages, "7:7007!:70 42:7042!:420 ") << hostile.text;
}

Turn status(const std::string& answer) { return {"<tag> STATUS INBOX (UIDNEXT)\r\n", answer + "<tag> OK done\r\n"}; }

TEST(Look, WhereSelectDoesNotTellUidNextStatusDoes) {
    const auto told = status("* STATUS \"INBOX\" (MESSAGES 3 UIDNEXT 43)\r\n");
    const auto outcome = look({select({3}), told, select({3})}, known({7, 9, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 9:7009!:90 42:7042!:420 ") << outcome.text;
    EXPECT_EQ(outcome.state, to_text({validity, 43, 0}));
    // One has come before the second SELECT; that it is beyond UIDNEXT makes the next look one at everything.
    const auto late =
        look({select({3}), told, select({4}), search("1:4", "7 9 42 43"), fetch("UID FETCH 43", lines({{4, 43}}))},
             known({7, 9, 42}, 43));
    EXPECT_EQ(late.messages, "7:7007!:70 9:7009!:90 42:7042!:420 43:143:0 ") << late.text;
    EXPECT_EQ(look({select({4}), told, select({4}), fetch("FETCH 1:4", lines({{1, 7}, {2, 9}, {3, 42}, {4, 43}}))},
                   known({7, 9, 42, 43}, 43))
                  .messages,
              "7:7007!:70 9:7009!:90 42:7042!:420 43:7043!:430 ");
}

TEST(Look, WithoutUidNextASearchTellsWhatIsNew) {
    for (const auto* answer :
         {"", "* STATUS INBOX (UIDNEXT 0)\r\n", "* STATUS\r\n", "* STATUS INBOX (UIDNEXT x)\r\n",
          "* STATUS INBOX UIDNEXT 5\r\n", "* STATUS INBOX (UIDNEXT\r\n", "* STATUS INBOX ()\r\n"}) {
        const auto outcome =
            look({select({3}), status(answer), search("1:3", "7 42 50"), fetch("UID FETCH 50", lines({{3, 50}}))},
                 known({7, 9, 42}, 0));
        EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 50:150:0 ") << answer << outcome.text;
    }
    const Turn refused{status("").client, "<tag> BAD what?\r\n"};
    EXPECT_EQ(look({select({3}), refused, search("1:3", "7 9 42")}, known({7, 9, 42}, 43)).messages,
              "7:7007!:70 9:7009!:90 42:7042!:420 ");
    EXPECT_EQ(look({select({3}), {status("").client, ""}}, known({7, 9, 42}, 43)).error, Errc::temporary);
}

TEST(Look, AnotherGenerationKnowsNothing) {
    auto before = known({7, 42}, 43);
    before.state = to_text({validity - 1, 43, 0});
    EXPECT_EQ(look({select({2, 43}), fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}))}, before).messages,
              "7:107:0 42:142:0 ");
}

TEST(Look, WithoutAStateTheGenerationSaysWhetherTheyAreTheSameMessages) {
    for (const auto* generation : {"1699999999", "", "17000000000"}) {
        auto before = known({7, 42}, 43);
        before.state = {};
        before.generation = generation;
        EXPECT_EQ(look({select({2, 43}), fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}))}, before).messages,
                  "7:107:70 42:142:420 ");
    }
}

TEST(Look, WithoutAStateADateMayDenyThatItIsTheSameMessage) {
    for (const auto* state : {"", "imap1 next=5", "nonsense"}) {
        auto before = known({7, 9, 42}, 43);
        before.state = state;
        before.messages[2].arrival = 11;
        const auto outcome = look({select({3, 43}), fetch("FETCH 1:3", lines({{1, 7}, {2, 8}, {3, 42}}))}, before);
        EXPECT_EQ(outcome.messages, "7:7007!:70 8:108:0 42:142:420 ") << outcome.text;
    }
}

TEST(Look, WhatIsKnownMustFitItsState) {
    const auto everything = fetch("FETCH 1:3", lines({{1, 7}, {2, 9}, {3, 42}}));
    auto one_is_missing = known({7, 9, 42}, 43);
    one_is_missing.messages.pop_back();
    EXPECT_EQ(look({select({3, 43}), search("1:3", "7 9 42"), fetch("UID FETCH 42", lines({{3, 42}}))}, one_is_missing)
                  .messages,
              "7:7007!:70 9:7009!:90 42:142:0 ");
    auto twice = known({7, 9, 9}, 43);
    EXPECT_EQ(look({select({3, 43}), everything}, twice).messages, "7:7007!:70 9:7009!:90 42:142:0 ");
    auto no_uid = known({7, 9, 42}, 43);
    no_uid.messages[2].id = "42x";
    EXPECT_EQ(look({select({3, 43}), everything}, no_uid).messages, "7:7007!:70 9:7009!:90 42:142:0 ");
}

// --- dates

Turn fetch_undated(const std::string& set, const std::string& answer) {
    return {"<tag> " + set + " (UID RFC822.SIZE)\r\n", answer + "<tag> OK done\r\n"};
}

std::string undated(const std::vector<Line>& messages) {
    auto answer = lines(messages);
    const std::string date = " INTERNALDATE \"01-Jan-1970 00:00:10 +0000\"";
    for (auto at = answer.find(date); at != std::string::npos; at = answer.find(date)) answer.erase(at, date.size());
    return answer;
}

KnownMailbox known_undated(const std::vector<std::uint32_t>& uids, std::uint32_t uid_next) {
    auto mailbox = known(uids, uid_next);
    mailbox.state = to_text({validity, uid_next, 0, false});
    for (auto& each : mailbox.messages) each.arrival = 0;
    return mailbox;
}

TEST(Look, DatesAreAskedForOnlyWhereTheyAreWanted) {
    KnownMailbox nothing;
    nothing.wants_arrival = false;
    const auto first =
        look({select({2, 43}), fetch_undated("FETCH 1:2", undated({{1, 7}, {2, 42}}))}, std::move(nothing));
    EXPECT_EQ(first.messages, "7:107:0 42:142:0 ") << first.text;
    EXPECT_EQ(first.state, to_text({validity, 43, 0, false}));

    auto before = known_undated({7, 42}, 43);
    before.wants_arrival = false;
    const auto later = look({select({3, 44}), fetch_undated("UID FETCH 43:43", undated({{3, 43}}))}, std::move(before));
    EXPECT_EQ(later.messages, "7:7007!:70 42:7042!:420 43:143:0 ") << later.text;
    EXPECT_EQ(later.state, to_text({validity, 44, 0, false}));
}

TEST(Look, DatesThatAreMissingAreTakenOnceTheyAreWanted) {
    const auto outcome =
        look({select({2, 43}), fetch("FETCH 1:2", lines({{1, 7}, {2, 42}}))}, known_undated({7, 42}, 43));
    EXPECT_EQ(outcome.messages, "7:7007!:70 42:7042!:420 ") << outcome.text;
    EXPECT_EQ(outcome.arrivals, "10 10 ");
    EXPECT_EQ(outcome.state, to_text({validity, 43, 0}));
}

TEST(Look, DatesThatAreKnownStayKnown) {
    auto before = known({7, 42}, 43);
    before.wants_arrival = false;
    const auto unchanged = look({select({2, 43})}, before);
    EXPECT_EQ(unchanged.arrivals, "10 10 ");
    EXPECT_EQ(unchanged.state, to_text({validity, 43, 0}));
    const auto one_more = look({select({3, 44}), fetch_undated("UID FETCH 43:43", undated({{3, 43}}))}, before);
    EXPECT_EQ(one_more.arrivals, "10 10 0 ");
    EXPECT_EQ(one_more.state, to_text({validity, 44, 0, false}));
    before.state = {};
    const auto everything = look({select({2, 43}), fetch_undated("FETCH 1:2", undated({{1, 7}, {2, 42}}))}, before);
    EXPECT_EQ(everything.messages, "7:7007!:70 42:7042!:420 ");
    EXPECT_EQ(everything.arrivals, "10 10 ");
    EXPECT_EQ(everything.state, to_text({validity, 43, 0, false}));
}

// --- Gmail

TEST(Look, GmailIdsAreAskedForWhereTheFormatNeedsThem) {
    const auto format = UniqueIdFormat::parse("gmail");
    ASSERT_TRUE(format);
    const Turn answer{"<tag> FETCH 1:1 (UID RFC822.SIZE INTERNALDATE X-GM-MSGID)\r\n",
                      "* 1 FETCH (X-GM-MSGID 1278455344230334865 UID 7 RFC822.SIZE 107)\r\n<tag> OK done\r\n"};
    EXPECT_EQ(look({select({1, 8}), answer}, {}, "X-GM-EXT-1", &*format).messages, "7:107:0:GmailId11bdfc5cae0c8191 ");
    const auto without = look({}, {}, "", &*format);
    EXPECT_EQ(without.error, Errc::permanent);
    EXPECT_NE(without.text.find("unique_ids"), std::string::npos);
    // Known from a time when another format was used: its id is learned now.
    EXPECT_EQ(look({select({1, 8}), answer}, known({7}, 8), "X-GM-EXT-1", &*format).messages.find("7:7007!:70:GmailId"),
              0u);
    const Turn none{answer.client, "* 1 FETCH (UID 7 RFC822.SIZE 107)\r\n<tag> OK done\r\n"};
    EXPECT_EQ(
        look({select({1, 8}), none, select({1, 8}), none, select({1, 8}), none}, {}, "X-GM-EXT-1", &*format).error,
        Errc::temporary);
}

}  // namespace
}  // namespace popgate::imap
