#include "gateway/commands/mailbox_commands.hpp"

#include "tests/support/memory_state_store.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace popgate::commands {
namespace {

namespace json = boost::json;

StoredMessage message(std::uint32_t number, const std::string& id) {
    StoredMessage stored;
    stored.number = number;
    stored.info.id = id;
    stored.info.octets = 100 * number;
    stored.first_seen = 1'600'000'000;
    return stored;
}

/// One mailbox with a message of each kind.
class MailboxCommands : public testing::Test {
protected:
    MailboxCommands() {
        StoredMailbox& mailbox = store.stored["key"];
        mailbox.head.version = 4;
        mailbox.head.generation = mailbox.imported_generation = "7";
        mailbox.head.reconciled = 1'600'000'000;
        mailbox.head.next_number = 6;
        mailbox.head.view_floor = 2;
        mailbox.head.sizes_corrected = 3;
        mailbox.imported = {{"22", "old-22"}};
        for (std::uint32_t number = 1; number <= 5; ++number)
            mailbox.messages.push_back(message(number, std::to_string(20 + number)));
        mailbox.messages[1].info.octets_are_exact = true;
        mailbox.messages[1].retrieved = 1'600'000'060;
        mailbox.messages[2].hidden = true;
        mailbox.messages[2].info.unique_id = "own-23";
        for (const int i : {3, 4}) {
            mailbox.messages[i].quarantined = true;
            mailbox.messages[i].failures = 3;
        }
        mailbox.messages[4].info.id = "4";
    }

    using Command = std::function<int(Fiber&, Console&)>;
    int run(const Command& command, bool as_json = false) {
        out.str("");
        err.str("");
        Console console{out, err, as_json};
        int exit_code = -1;
        test::on_fiber([&](Fiber& fiber) { exit_code = command(fiber, console); });
        return exit_code;
    }
    int show(bool messages, bool as_json, const std::string& key = "key") {
        return run([&](Fiber& f, Console& c) { return show_mailbox(f, store, {"eva", key}, messages, c); }, as_json);
    }
    int release(const Release& what) {
        return run([&](Fiber& f, Console& c) { return release_quarantine(f, store, {"eva", "key"}, what, c); });
    }
    std::vector<std::uint32_t> quarantined() const {
        std::vector<std::uint32_t> numbers;
        for (const auto& each : store.stored.at("key").messages)
            if (each.quarantined) numbers.push_back(each.number);
        return numbers;
    }
    bool says(const std::string& line) const {
        return ("\n" + out.str()).find("\n" + line + "\n") != std::string::npos;
    }

    std::ptrdiff_t lines() const {
        const std::string text = out.str();
        return std::ranges::count(text, '\n');
    }

    test::MemoryStateStore store;
    std::ostringstream out, err;
};

TEST_F(MailboxCommands, ShowCounts) {
    EXPECT_EQ(show(false, false), exit_done);
    for (const char* line :
         {"user             eva", "mailbox          key", "generation       7", "messages         5",
          "last full look   2020-09-13 12:26:40Z", "octets           1500", "exact sizes      1", "sizes corrected  3",
          "retrieved        1", "hidden           1", "quarantined      2", "imported ids     1"})
        EXPECT_TRUE(says(line)) << line << "\nis not in\n" << out.str();
}

TEST_F(MailboxCommands, ShowEachMessage) {
    EXPECT_EQ(show(true, false), exit_done);
    EXPECT_TRUE(
        says("number  unique-id  remote id  octets  exact  arrival  first seen            retrieved             "
             "failures  state"))
        << out.str();
    EXPECT_TRUE(
        says("     1  derived    21            100  no     -        2020-09-13 12:26:40Z  -                     "
             "       0  out of view"))
        << out.str();
    EXPECT_TRUE(
        says("     2  old-22     22            200  yes    -        2020-09-13 12:26:40Z  2020-09-13 12:27:40Z  "
             "       0  shown"))
        << out.str();
    EXPECT_TRUE(
        says("     3  own-23     23            300  no     -        2020-09-13 12:26:40Z  -                     "
             "       0  hidden"))
        << out.str();
}

TEST_F(MailboxCommands, ShowAsJson) {
    EXPECT_EQ(show(true, true), exit_done);
    const auto document = json::parse(out.str());
    EXPECT_EQ(document.at("user"), "eva");
    EXPECT_EQ(document.at("mailbox"), "key");
    EXPECT_EQ(document.at("known"), true);
    EXPECT_EQ(document.at("octets").to_number<int>(), 1500);
    EXPECT_EQ(document.at("reconciled"), "2020-09-13T12:26:40Z");
    const auto& list = document.at("message_list").as_array();
    ASSERT_EQ(list.size(), 5u);
    EXPECT_TRUE(list[0].at("unique_id").is_null());
    EXPECT_EQ(list[1].at("unique_id"), "old-22");
    EXPECT_EQ(list[2].at("state"), "hidden");
    EXPECT_TRUE(list[2].at("retrieved").is_null());
}

TEST_F(MailboxCommands, ImportedIdsOfAnotherGenerationAreNobodys) {
    store.stored["key"].imported_generation = "6";
    EXPECT_EQ(show(true, false), exit_done);
    EXPECT_TRUE(says("imported ids     1, of another generation (6)")) << out.str();
    EXPECT_EQ(out.str().find("old-22"), std::string::npos);
}

TEST_F(MailboxCommands, AMailboxThatIsNotKnown) {
    EXPECT_EQ(show(true, false, "other"), exit_done);
    EXPECT_NE(out.str().find("nothing is known of it yet"), std::string::npos);
    EXPECT_EQ(show(false, true, "other"), exit_done);
    EXPECT_EQ(json::parse(out.str()).at("known"), false);
}

TEST_F(MailboxCommands, WhatPeersWroteIsEscaped) {
    store.stored["key"].messages[0].info.id = "a\x1b[2J\nb";
    EXPECT_EQ(show(true, false), exit_done);
    EXPECT_NE(out.str().find("a\\x1b[2J\\nb"), std::string::npos) << out.str();
    EXPECT_EQ(show(true, true), exit_done);
    EXPECT_EQ(out.str().find('\x1b'), std::string::npos);
    EXPECT_EQ(lines(), 1);
}

TEST_F(MailboxCommands, ShowAll) {
    store.stored["another"].head.version = 1;
    const auto all = [&](Fiber& f, Console& c) { return show_all_mailboxes(f, store, c); };
    EXPECT_EQ(run(all), exit_done);
    EXPECT_TRUE(says("mailbox  messages  octets  hidden  quarantined  imported  last full look")) << out.str();
    EXPECT_TRUE(says("key             5    1500       1            2         1  2020-09-13 12:26:40Z")) << out.str();
    EXPECT_EQ(run(all, true), exit_done);
    std::istringstream lines(out.str());
    std::string line;
    std::vector<std::string> keys;
    while (std::getline(lines, line)) keys.emplace_back(json::parse(line).at("mailbox").as_string());
    EXPECT_EQ(keys, (std::vector<std::string>{"another", "key"}));
}

TEST_F(MailboxCommands, ForgetSaysWhatIsLostAndKeepsImports) {
    test::on_fiber([&](Fiber& fiber) {
        const auto cost = cost_of_forgetting(fiber, store, {"eva", "key"});
        ASSERT_TRUE(cost && *cost);
        for (const char* words : {"5 messages", "1 hidden", "2 quarantined", "1 were retrieved", "stay (1)"})
            EXPECT_NE((*cost)->find(words), std::string::npos) << **cost;
        const auto nothing = cost_of_forgetting(fiber, store, {"eva", "other"});
        EXPECT_TRUE(nothing && !*nothing);
    });
    const auto forget = [&](Fiber& f, Console& c) { return forget_mailbox(f, store, {"eva", "key"}, c); };
    EXPECT_EQ(run(forget), exit_done);
    EXPECT_EQ(out.str(), "key: forgotten\n");
    EXPECT_TRUE(store.stored["key"].messages.empty());
    EXPECT_EQ(store.stored["key"].imported.size(), 1u);
    EXPECT_EQ(run(forget), exit_done);
    EXPECT_EQ(out.str(), "key: nothing was known of it\n");
    EXPECT_EQ(run(forget, true), exit_done);
    EXPECT_EQ(json::parse(out.str()).at("forgotten"), false);
}

TEST_F(MailboxCommands, QuarantineIsListed) {
    for (const bool all : {true, false}) {
        const auto list = [&](Fiber& f, Console& c) {
            return list_quarantine(f, store, all ? std::nullopt : std::optional(NamedMailbox{"eva", "key"}), c);
        };
        EXPECT_EQ(run(list), exit_done);
        EXPECT_TRUE(says("key           4  derived    24            400  -               3")) << out.str();
        EXPECT_EQ(lines(), 3);
        EXPECT_EQ(run(list, true), exit_done);
        EXPECT_EQ(json::parse(out.str().substr(0, out.str().find('\n'))).at("mailbox"), "key");
    }
}

TEST_F(MailboxCommands, ReleaseByIdByNumberAndAll) {
    const auto before = store.stored;
    EXPECT_EQ(release({{"24"}, {}, false}), exit_done);
    EXPECT_EQ(out.str(), "1 released\n");
    EXPECT_EQ(quarantined(), std::vector<std::uint32_t>{5});
    EXPECT_EQ(store.stored["key"].messages[3].failures, 0);
    store.stored = before;
    EXPECT_EQ(release({{}, {4}, false}), exit_done);
    EXPECT_EQ(quarantined(), std::vector<std::uint32_t>{5}) << "number 4, and not the one whose remote id is 4";
    store.stored = before;
    EXPECT_EQ(release({{"4"}, {5}, false}), exit_done);
    EXPECT_EQ(out.str(), "1 released\n") << "named twice";
    EXPECT_EQ(quarantined(), std::vector<std::uint32_t>{4});
    store.stored = before;
    EXPECT_EQ(release({{}, {}, true}), exit_done);
    EXPECT_TRUE(quarantined().empty());
    EXPECT_EQ(release({{}, {}, true}), exit_done);
    EXPECT_EQ(out.str(), "0 released\n");
}

TEST_F(MailboxCommands, ReleaseOfSomethingElseReleasesNothing) {
    for (const Release& what : {Release{{"24", "21"}, {}, false}, Release{{"24"}, {1}, false}}) {
        EXPECT_EQ(release(what), exit_failed);
        EXPECT_NE(err.str().find("is not in quarantine"), std::string::npos);
        EXPECT_EQ(quarantined().size(), 2u);
    }
    store.stored["key"].messages[4].info.unique_id = "24";
    EXPECT_EQ(release({{"24"}, {}, false}), exit_failed);
    EXPECT_NE(err.str().find("--number"), std::string::npos);
}

TEST_F(MailboxCommands, AStoreThatFails) {
    store.failure = Error{Errc::temporary, "the store does not answer", {}};
    EXPECT_EQ(show(false, false), exit_failed);
    EXPECT_EQ(err.str(), "popgate: the store does not answer\n");
    EXPECT_EQ(release({{"24"}, {}, false}), exit_failed);
    EXPECT_EQ(run([&](Fiber& f, Console& c) { return show_all_mailboxes(f, store, c); }), exit_failed);
    EXPECT_EQ(run([&](Fiber& f, Console& c) { return forget_mailbox(f, store, {"eva", "key"}, c); }), exit_failed);
    EXPECT_EQ(run([&](Fiber& f, Console& c) { return list_quarantine(f, store, std::nullopt, c); }), exit_failed);
    EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace popgate::commands
