// What a move says to the server, command by command.
#include "backends/imap/folder_move.hpp"

#include "gateway/accounts/secret.hpp"
#include "tests/fuzz/scripted_transport.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace popgate::imap {
namespace {

using test::ScriptedTransport;
using test::Turn;
using Turns = std::vector<Turn>;

/// A logged-in connection that knows one conversation by heart.
struct Server {
    Server(const std::string& capability, Turns turns) : transport(whole(capability, std::move(turns))) {
        EXPECT_FALSE(session.read_greeting().has_error());
        EXPECT_FALSE(session.login("alice", Secret("secret")).has_error());
    }
    ~Server() {
        EXPECT_EQ(transport.surprise(), "");
        EXPECT_TRUE(transport.at_end());
    }
    ScriptedTransport transport;
    EtpanSession session{transport};

private:
    static Turns whole(const std::string& capability, Turns turns) {
        turns.insert(turns.begin(), {{"", "* OK [CAPABILITY IMAP4rev1] ready\r\n"},
                                     {"<tag> LOGIN alice secret\r\n",
                                      "<tag> OK [CAPABILITY IMAP4rev1 " + capability + "] Logged in\r\n"}});
        return turns;
    }
};

Turn turn(const std::string& command, const std::string& end = "OK done", const std::string& news = "") {
    return {"<tag> " + command + "\r\n", news + "<tag> " + end + "\r\n"};
}

/// The outcome of one run on one connection.
bool moves(FolderMove& move, const std::string& capability, Turns turns) {
    Server server(capability, std::move(turns));
    return !move.run(server.session).has_error();
}

const Turn mark = turn("UID STORE 7,9 +FLAGS.SILENT (\\Deleted)");

TEST(FolderMove, ByMoveWhereThereIsOne) {
    FolderMove move("Trash", {9, 7});
    EXPECT_TRUE(moves(move, "MOVE UIDPLUS",
                      {turn("UID MOVE 7,9 Trash", "OK done",
                            "* OK [COPYUID 5 7,9 1:2] x\r\n"
                            "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n")}));
}

TEST(FolderMove, ElseByCopyAndExpunge) {
    FolderMove move("Trash", {9, 7});
    EXPECT_TRUE(moves(move, "UIDPLUS", {turn("UID COPY 7,9 Trash"), mark, turn("UID EXPUNGE 7,9")}));
    FolderMove other("Trash", {9, 7});
    EXPECT_TRUE(moves(other, "",
                      {turn("UID COPY 7,9 Trash"), mark, turn("UID SEARCH DELETED", "OK done", "* SEARCH 7 8 9\r\n"),
                       turn("UID STORE 8 -FLAGS.SILENT (\\Deleted)"),
                       turn("UID SEARCH DELETED", "OK done", "* SEARCH 7 9\r\n"), turn("EXPUNGE")}));
    EXPECT_EQ(other.unmarked(), std::vector<std::uint32_t>{8});
}

TEST(FolderMove, WhatWasNotCopiedIsNotExpunged) {
    for (const auto* answer : {"NO [OVERQUOTA] full", "NO no", "BAD what?", "NO [SERVERBUG] oops"}) {
        FolderMove move("Trash", {7, 9});
        EXPECT_FALSE(moves(move, "UIDPLUS", {turn("UID COPY 7,9 Trash", answer)})) << answer;
    }
    FolderMove lost("Trash", {7, 9});
    EXPECT_FALSE(moves(lost, "UIDPLUS", {{"<tag> UID COPY 7,9 Trash\r\n", ""}}));
}

TEST(FolderMove, WhatWasCopiedIsNotCopiedAgain) {
    FolderMove move("Trash", {7, 9});
    EXPECT_FALSE(moves(move, "UIDPLUS", {turn("UID COPY 7,9 Trash"), {mark.client, ""}}));
    EXPECT_TRUE(moves(move, "UIDPLUS", {mark, turn("UID EXPUNGE 7,9")}));
    FolderMove other("Trash", {7, 9});
    EXPECT_FALSE(moves(other, "UIDPLUS", {turn("UID COPY 7,9 Trash"), mark, turn("UID EXPUNGE 7,9", "NO [INUSE] x")}));
    EXPECT_TRUE(moves(other, "MOVE UIDPLUS", {mark, turn("UID EXPUNGE 7,9")}))
        << "whatever the other connection offers";
}

TEST(FolderMove, AFolderThatIsMissingIsCreatedOnce) {
    for (const auto* answer : {"NO [TRYCREATE] no such mailbox", "NO [NONEXISTENT] no such mailbox"}) {
        FolderMove move("A folder", {7, 9});
        EXPECT_TRUE(moves(move, "MOVE",
                          {turn("UID MOVE 7,9 \"A folder\"", answer), turn("CREATE \"A folder\""),
                           turn("SUBSCRIBE \"A folder\"", "NO why?"), turn("UID MOVE 7,9 \"A folder\"")}));
        FolderMove never("Trash", {7, 9});
        EXPECT_FALSE(moves(never, "MOVE",
                           {turn("UID MOVE 7,9 Trash", answer), turn("CREATE Trash", "NO [CANNOT] no"),
                            turn("SUBSCRIBE Trash", "NO no"), turn("UID MOVE 7,9 Trash", answer)}));
        EXPECT_FALSE(moves(never, "MOVE", {turn("UID MOVE 7,9 Trash", answer)})) << "nor on another connection";
    }
}

// Dovecot refuses to copy any when one of them is gone.
TEST(FolderMove, WhatHasGoneIsLeftOut) {
    FolderMove move("Trash", {7, 9});
    const auto refused = turn("UID COPY 7,9 Trash", "NO [EXPUNGEISSUED] some are gone");
    EXPECT_TRUE(moves(
        move, "UIDPLUS",
        {refused, turn("NOOP", "OK done", "* 1 EXPUNGE\r\n"), turn("UID SEARCH UID 7,9", "OK done", "* SEARCH 9\r\n"),
         turn("UID COPY 9 Trash"), turn("UID STORE 9 +FLAGS.SILENT (\\Deleted)"), turn("UID EXPUNGE 9")}));
    FolderMove none("Trash", {7, 9});
    EXPECT_TRUE(moves(none, "UIDPLUS", {refused, turn("NOOP"), turn("UID SEARCH UID 7,9", "OK done", "* SEARCH\r\n")}));
    FolderMove never("Trash", {7, 9});
    Turns again;
    for (int i = 0; i < 4; ++i)
        again.insert(again.end(), {refused, turn("NOOP"), turn("UID SEARCH UID 7,9", "OK done", "* SEARCH 7 9\r\n")});
    EXPECT_FALSE(moves(never, "UIDPLUS", again)) << "what could not be copied must not be expunged";
}

TEST(FolderMove, ManyGoInBatches) {
    std::vector<std::uint32_t> uids(700);
    for (std::size_t i = 0; i < uids.size(); ++i) uids[i] = 4'000'000'000 + 2 * static_cast<std::uint32_t>(i);
    const auto first = make_uid_sets({uids.begin(), uids.begin() + 350}),
               second = make_uid_sets({uids.begin() + 350, uids.end()});
    ASSERT_EQ(first.size(), 1u);
    FolderMove move("Trash", uids);
    EXPECT_FALSE(moves(move, "MOVE",
                       {turn("UID MOVE " + first[0] + " Trash"), turn("UID MOVE " + second[0] + " Trash", "NO no")}));
    EXPECT_TRUE(moves(move, "MOVE", {turn("UID MOVE " + second[0] + " Trash")})) << "it goes on where it ended";
    FolderMove nothing("Trash", {});
    EXPECT_TRUE(moves(nothing, "MOVE", {}));
}

}  // namespace
}  // namespace popgate::imap
