#include "gateway/commands/import_uids.hpp"

#include "backends/memory/faulty_mailbox.hpp"
#include "backends/memory/memory_backend.hpp"
#include "tests/support/memory_state_store.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_pop3.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <memory>
#include <sstream>
#include <string>

namespace popgate::commands {
namespace {

namespace json = boost::json;
using Ids = std::map<std::string, std::string, std::less<>>;

std::string mail(const std::string& word) {
    return "Message-ID: <" + word + "@x>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\nSubject: " + word +
           "\r\n\r\nbody of " + word + "\r\n";
}

class ImportUids : public testing::Test {
protected:
    ImportUids() {
        mail_store->set_password("eva", "secret");
        for (const char* word : {"one", "two", "three"}) {
            old_server.messages.push_back({std::string("old-") + word, mail(word)});
            ids[word] = mail_store->add("eva", mail(word));
        }
        ids["new"] = mail_store->add("eva", mail("new"));
    }

    int run(bool dry_run = false, const std::string& old_password = "secret", const std::string& password = "secret") {
        ImportRequest request;
        request.mailbox = {"eva", "key"};
        request.from = "pop3://old";
        request.old_server.host = "127.0.0.1";
        request.old_server.port = old_server.port();
        request.old_server.implicit_tls = false;
        request.old_user = "eva";
        request.old_password = Secret(old_password);
        request.new_login = {"eva", Secret(password)};
        request.dry_run = dry_run;
        out.str("");
        err.str("");
        Console console{out, err, true};
        int exit_code = -1;
        if (!started) old_server.start();
        started = true;
        test::on_fiber([&](Fiber& fiber) { exit_code = import_unique_ids(fiber, store, *backend, request, console); });
        return exit_code;
    }
    const Ids& imported() { return store.stored["key"].imported; }
    Ids all() const { return {{ids.at("one"), "old-one"}, {ids.at("two"), "old-two"}, {ids.at("three"), "old-three"}}; }

    std::shared_ptr<MemoryStore> mail_store = std::make_shared<MemoryStore>();
    std::shared_ptr<Faults> faults = std::make_shared<Faults>();
    std::unique_ptr<Backend> backend = make_faulty_backend(make_memory_backend(mail_store), faults);
    test::ScriptedPop3 old_server;
    test::MemoryStateStore store;
    std::map<std::string, std::string> ids;  // of the new mailbox, by the messages' words
    std::ostringstream out, err;
    bool started = false;
};

TEST_F(ImportUids, EveryOldMessageKeepsItsId) {
    EXPECT_EQ(run(), exit_done) << err.str();
    EXPECT_EQ(imported(), all());
    const auto report = json::parse(out.str());
    EXPECT_EQ(report.at("written"), true);
    EXPECT_EQ(report.at("complete"), true);
    EXPECT_EQ(report.at("matched_by").at("headers").to_number<int>(), 3);
    EXPECT_EQ(report.at("unmatched_new").at(0).at("subject"), "new");
}

TEST_F(ImportUids, ADryRunWritesNothing) {
    EXPECT_EQ(run(true), exit_done);
    EXPECT_TRUE(imported().empty());
    const auto report = json::parse(out.str());
    EXPECT_EQ(report.at("written"), false);
    EXPECT_EQ(report.at("imported").to_number<int>(), 3);
}

TEST_F(ImportUids, WhatIsNotFoundIsReported) {
    old_server.messages.push_back({"old-lost", mail("lost")});
    EXPECT_EQ(run(), exit_incomplete);
    EXPECT_EQ(imported(), all());
    const auto lost = json::parse(out.str()).at("unmatched_old").at(0);
    EXPECT_EQ(lost.at("unique_id"), "old-lost");
    EXPECT_EQ(lost.at("subject"), "lost");
    EXPECT_EQ(lost.at("number").to_number<int>(), 4);
}

TEST_F(ImportUids, AgainLosesNothing) {
    EXPECT_EQ(run(), exit_done);
    old_server.replies["UIDL"] = "+OK\r\n2 old-two\r\n.\r\n";
    EXPECT_EQ(run(), exit_done);
    EXPECT_EQ(imported(), all());
    EXPECT_EQ(json::parse(out.str()).at("kept").to_number<int>(), 2);
    // A server that has nothing any more takes nothing away either.
    old_server.replies["UIDL"] = "+OK\r\n.\r\n";
    EXPECT_EQ(run(), exit_done);
    EXPECT_EQ(imported(), all());
}

TEST_F(ImportUids, WrongPasswordsWriteNothing) {
    EXPECT_EQ(run(false, "wrong-canary"), exit_failed);
    EXPECT_NE(err.str().find("the old server: "), std::string::npos);
    EXPECT_EQ(run(false, "secret", "wrong-canary"), exit_failed);
    EXPECT_NE(err.str().find("the new mailbox: "), std::string::npos);
    EXPECT_EQ(err.str().find("canary"), std::string::npos);
    EXPECT_TRUE(imported().empty());
}

TEST_F(ImportUids, AServerThatBreaksOffHalfWayWritesNothing) {
    for (const char* reply : {"", "+OK\r\nMessage-ID: <two@x>\r\n"}) {
        old_server.replies["TOP 2 0"] = reply;
        old_server.replies["TOP 3 0"] = "";
        if (*reply) old_server.replies["TOP 2 0"] += "\r\n.\r\n";
        EXPECT_EQ(run(), exit_failed) << reply;
        EXPECT_TRUE(imported().empty());
        EXPECT_EQ(out.str(), "");
    }
}

TEST_F(ImportUids, RepliesToTopThatCannotBeToldApartAreAskedForWithRetr) {
    for (const char* reply :
         {"+OK\r\nX: 1\r\n.\r\nX: 2\r\n\r\n.\r\n", "+OK\r\nX: 1\r\n.\r\n+OK\r\nX: 2\r\n\r\n.\r\n"}) {
        store.stored.clear();
        old_server.replies["TOP 2 0"] = reply;
        EXPECT_EQ(run(), exit_done) << err.str();
        EXPECT_EQ(imported(), all());
    }
}

TEST_F(ImportUids, AMessageThatNoReplyCanHoldIsNamed) {
    old_server.replies["TOP 2 0"] = old_server.replies["RETR 2"] = "+OK\r\n.\r\n.\r\n";
    EXPECT_EQ(run(), exit_failed);
    EXPECT_NE(err.str().find("message 2: "), std::string::npos) << err.str();
    EXPECT_TRUE(imported().empty());
}

TEST_F(ImportUids, AFaultOfTheNewMailboxWritesNothing) {
    // open() twice, then list()
    for (unsigned call = 0; call < 3; ++call) {
        faults->call = call;
        EXPECT_EQ(run(), exit_failed) << call;
        EXPECT_TRUE(imported().empty());
    }
}

TEST_F(ImportUids, AMessageThatCannotBeReadIsNotMatched) {
    faults->call = 3;
    EXPECT_EQ(run(), exit_incomplete);
    EXPECT_EQ(imported(), (Ids{{ids["two"], "old-two"}, {ids["three"], "old-three"}}));
}

TEST_F(ImportUids, AStoreThatFailsIsAFailure) {
    store.failure = Error{Errc::temporary, "the store does not answer", {}};
    EXPECT_EQ(run(), exit_failed);
    EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace popgate::commands
