#include "backends/memory/memory_backend.hpp"
#include "gateway/commands/index_mailbox.hpp"
#include "gateway/index/index_builder.hpp"
#include "tests/support/memory_state_store.hpp"
#include "tests/unit/indexed_mailbox_fixture.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

// --- a listing that comes in parts

class PartsTest : public IndexedMailboxTest {
protected:
    PartsTest() {
        rules.patience = 20s;
        mailbox.fresh_at_once = 2;
    }
    StoredMailbox stored() {
        StoredMailbox loaded;
        test::on_fiber([&](Fiber& fiber) { loaded = store.load(fiber, "key").value(); });
        return loaded;
    }
};

TEST_F(PartsTest, NobodyIsShownAListingThatIsNotWholeAndTheNextOneGoesOnThere) {
    put(2);
    EXPECT_EQ(refusal().text, "the mailbox is being read for the first time: 2 of 5 messages so far");
    EXPECT_EQ(refusal().text, "the mailbox is being read for the first time: 4 of 5 messages so far");
    EXPECT_EQ(mailbox.known.state, "s1") << "a look that was broken off goes on";
    EXPECT_EQ(mailbox.known.patience, 20s);
    EXPECT_EQ(stored().head.reconciled, -1);
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3", "4", "5"}));
    EXPECT_EQ(progress.still_to_come, 0U);
    EXPECT_EQ(stored().head.reconciled, 0) << "put together over some time: the next look is at everything";
    EXPECT_EQ(shown_ids().size(), 5U);
    EXPECT_EQ(mailbox.known.state, "");
    EXPECT_GT(stored().head.reconciled, 0);
}

TEST_F(PartsTest, WithoutPatienceItIsHadWhole) {
    rules.patience = 0ms;
    EXPECT_EQ(shown_ids().size(), 3U);
}

TEST_F(PartsTest, WhatIsNotListedYetIsNotTakenForRemoved) {
    mailbox.fresh_at_once = SIZE_MAX;
    rules.policy.on_delete = OnDelete::keep;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        EXPECT_TRUE(index.remove({shown[0]}).status);
        index.delivered(shown[2], 20);
    });
    mailbox.fresh_at_once = 1;
    rules.unique_ids = "cyrus-uid";  // under which everything is looked at anew
    put(2);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(refusal().code, Errc::temporary);
    const auto between = stored();
    ASSERT_EQ(between.messages.size(), 4U);
    EXPECT_TRUE(between.messages[0].hidden);
    mailbox.fresh_at_once = SIZE_MAX;
    EXPECT_EQ(shown_ids(), (Ids{"2", "3", "4", "5"}));
    in_session([&](IndexedMailbox& index, const auto&) {
        EXPECT_EQ(index.take_retrieved(), (std::vector{false, true, false, false}));
    });
}

TEST_F(PartsTest, AMessageThatGoesMeanwhileIsForgottenInTheEnd) {
    EXPECT_EQ(refusal().code, Errc::temporary);
    mailbox.messages.erase(mailbox.messages.begin());
    EXPECT_EQ(shown_ids(), (Ids{"2", "3"}));
    EXPECT_EQ(stored().messages.size(), 2U);
}

TEST_F(PartsTest, TheLatestMessagesAreThoseOfTheListingAndNotOfItsLastPart) {
    rules.policy.view = {View::Kind::last_messages, 1};
    EXPECT_EQ(refusal().code, Errc::temporary);
    std::rotate(mailbox.messages.begin(), mailbox.messages.end() - 1,
                mailbox.messages.end());  // what came last is the oldest
    EXPECT_EQ(shown_ids(), (Ids{"2"}));
}

TEST_F(PartsTest, AnotherGenerationOfWhichNothingHasComeYetForgetsNothing) {
    mailbox.fresh_at_once = SIZE_MAX;
    EXPECT_EQ(shown_ids().size(), 3U);
    mailbox.generation = "g2";
    mailbox.fresh_at_once = 0;
    EXPECT_EQ(refusal().text, "the mailbox is being read for the first time: 0 of 3 messages so far");
    EXPECT_EQ(stored().messages.size(), 3U);
}

TEST_F(PartsTest, WhatCannotBeSavedSaysSo) {
    store.fails_to_save = true;
    EXPECT_EQ(refusal().text, "down");
}

// --- the build

/// A slow store in memory that can be down.
class SlowBackend final : public Backend {
public:
    SlowBackend() {
        store->set_password("ann", "secret");
        for (int i = 0; i < 10; ++i) store->add("ann", "text\n");
        store->set_messages_per_listing(3);
    }
    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        ++opened;
        if (fails_at.contains(opened)) return down;
        if (failures > 0 && opened > opened_before_failures) {
            --failures;
            return down;
        }
        return inner_->open(fiber, login);
    }
    std::string mailbox_key(const std::string& user) const override { return inner_->mailbox_key(user); }
    bool checks_password() const override { return true; }

    std::shared_ptr<MemoryStore> store = std::make_shared<MemoryStore>();
    mutable unsigned opened = 0;
    mutable unsigned failures = 0;
    unsigned opened_before_failures = 0;
    std::set<unsigned> fails_at;  // how many openings before and with it

private:
    std::unique_ptr<Backend> inner_ = make_memory_backend(store);
};

/// Outlives the builds.
std::shared_ptr<const Backend> lent(const Backend& backend) {
    return {&backend, [](const Backend*) {}};
}

class IndexBuildTest : public testing::Test {
protected:
    IndexBuild build(const std::string& password = "secret") const {
        IndexBuild made;
        made.user = "ann";
        made.key = "key";
        made.login = {"ann", Secret(password)};
        made.rules.unique_ids = "native";
        made.rules.reconcile_every = 24h;
        made.pauses = pauses;
        return made;
    }

    /// Waits for the build that is under way, not without an end.
    bool wait_for_end(Fiber& fiber) {
        for (const auto patience = Clock::now() + 20s; builds.progress("key");) {
            if (Clock::now() > patience) return false;
            fiber.sleep_until(Clock::now() + 1ms);
        }
        return true;
    }

    std::size_t messages_stored() { return store.stored["key"].messages.size(); }

    SlowBackend backend;
    test::MemoryStateStore store;
    IndexBuilds builds{store};
    std::vector<std::chrono::milliseconds> pauses{1ms, 1ms};
};

TEST_F(IndexBuildTest, SliceBySliceUntilItIsWhole) {
    std::vector<std::uint64_t> told;
    test::on_fiber([&](Fiber& fiber) {
        const auto built = build_index(fiber, store, backend, build(),
                                       [&](const IndexProgress& now) { told.push_back(now.messages); });
        ASSERT_TRUE(built) << built.error().text;
        EXPECT_EQ(built->total(), 10U);
    });
    EXPECT_EQ(told, (std::vector<std::uint64_t>{3, 6, 9, 10}));
    EXPECT_EQ(messages_stored(), 10U);
}

TEST_F(IndexBuildTest, WhatFailsForAWhileIsTriedAgainAndGoesOnWhereItWas) {
    backend.fails_at = {2, 3, 5, 6};
    test::on_fiber(
        [&](Fiber& fiber) { EXPECT_TRUE(build_index(fiber, store, backend, build(), [](const IndexProgress&) {})); });
    EXPECT_EQ(backend.opened, 8U);
}

TEST_F(IndexBuildTest, WhatKeepsFailingEndsAndKeepsWhatWasRead) {
    backend.opened_before_failures = 2;
    backend.failures = 100;
    test::on_fiber([&](Fiber& fiber) {
        const auto built = build_index(fiber, store, backend, build(), [](const IndexProgress&) {});
        ASSERT_FALSE(built);
        EXPECT_EQ(built.error().text, "down");
    });
    EXPECT_EQ(backend.opened, 2U + 1U + pauses.size());
    EXPECT_EQ(messages_stored(), 6U);
}

TEST_F(IndexBuildTest, WhatCannotBeSavedIsNotReadForEver) {
    TroubledStore troubled(store);
    troubled.fails_to_save = true;
    test::on_fiber([&](Fiber& fiber) {
        const auto built = build_index(fiber, troubled, backend, build(), [&](const IndexProgress&) {
            ADD_FAILURE() << "nothing was kept, so nothing gets on";
            fiber.interrupt();
        });
        ASSERT_FALSE(built);
        EXPECT_EQ(built.error().text, "down");
    });
    EXPECT_EQ(backend.opened, 1U + pauses.size());
}

/// Whoever is not patient enough hears of no message at all.
class PonderousBackend final : public Backend {
public:
    Result<std::unique_ptr<Mailbox>> open(Fiber&, const UpstreamLogin&) const override {
        auto mailbox = std::make_unique<ScriptedMailbox>();
        mailbox->generation.clear();  // the same one for each opening
        for (int i = 0; i < 10; ++i) mailbox->messages.push_back({std::to_string(i)});
        mailbox->before_answer = [each = mailbox.get()] { each->fresh_at_once = each->known.patience < 20s ? 0 : 5; };
        return mailbox;
    }
    std::string mailbox_key(const std::string&) const override { return "key"; }
    bool checks_password() const override { return true; }
};

TEST_F(IndexBuildTest, AStoreThatNeedsLongBeforeTheFirstMessageIsGivenThatTime) {
    test::on_fiber([&](Fiber& fiber) {
        const auto built = build_index(fiber, store, PonderousBackend(), build(), [](const IndexProgress&) {});
        ASSERT_TRUE(built) << built.error().text;
    });
    EXPECT_EQ(messages_stored(), 10U);
}

TEST_F(IndexBuildTest, TheViewIsTheClientsBusiness) {
    auto one = build();
    one.rules.policy.view = {View::Kind::last_messages, 1};
    test::on_fiber(
        [&](Fiber& fiber) { EXPECT_TRUE(build_index(fiber, store, backend, one, [](const IndexProgress&) {})); });
    EXPECT_EQ(messages_stored(), 10U);
    EXPECT_EQ(store.stored["key"].head.view_floor, 0U);
}

TEST_F(IndexBuildTest, ARefusedPasswordIsNotTriedAgain) {
    test::on_fiber([&](Fiber& fiber) {
        const auto built = build_index(fiber, store, backend, build("wrong"), [](const IndexProgress&) {});
        ASSERT_FALSE(built);
        EXPECT_EQ(built.error().code, Errc::auth);
    });
    EXPECT_EQ(backend.opened, 1U);
}

TEST_F(IndexBuildTest, OneAtATimeForAMailboxWithItsProgressForWhoAsks) {
    backend.fails_at = {1};  // so that the first waits, and another could begin
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_FALSE(builds.progress("key"));
        builds.start(fiber.context(), lent(backend), build(), {3, 7});
        builds.start(fiber.context(), lent(backend), build(), {5, 5});
        ASSERT_TRUE(builds.progress("key"));
        EXPECT_EQ(builds.progress("key")->messages, 3U);
        EXPECT_FALSE(builds.progress("another"));
        EXPECT_TRUE(wait_for_end(fiber));
    });
    EXPECT_EQ(backend.opened, 5U);
    EXPECT_EQ(messages_stored(), 10U);
}

TEST_F(IndexBuildTest, StoppingEndsItAtOnceAndKeepsItsProgress) {
    pauses = {1h};
    backend.opened_before_failures = 2;
    backend.failures = 100;
    test::on_fiber([&](Fiber& fiber) {
        builds.start(fiber.context(), lent(backend), build(), {});
        for (const auto patience = Clock::now() + 20s; backend.failures == 100 && Clock::now() < patience;)
            fiber.sleep_until(Clock::now() + 1ms);
        builds.stop();
        EXPECT_TRUE(wait_for_end(fiber));
        builds.start(fiber.context(), lent(backend), build("wrong"), {});
        EXPECT_FALSE(builds.progress("key")) << "none begins any more";
    });
    EXPECT_EQ(messages_stored(), 6U);
}

TEST_F(IndexBuildTest, OneThatHasNotRunYetIsStoppedToo) {
    pauses = {1h};
    backend.failures = 100;
    test::on_fiber([&](Fiber& fiber) {
        builds.start(fiber.context(), lent(backend), build(), {});
        builds.stop();
        EXPECT_TRUE(wait_for_end(fiber));
    });
}

// --- the command

TEST_F(IndexBuildTest, TheCommandTellsHowManyThereAre) {
    std::ostringstream out, err;
    commands::Console console{out, err};
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(commands::index_mailbox(fiber, store, backend, build(), console), commands::exit_done);
    });
    EXPECT_EQ(out.str() + err.str(), "ann: 10 messages\n");
}

TEST_F(IndexBuildTest, TheCommandTellsHowFarItCame) {
    std::ostringstream out, err;
    commands::Console console{out, err, true};
    backend.opened_before_failures = 2;
    backend.failures = 100;
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(commands::index_mailbox(fiber, store, backend, build(), console), commands::exit_failed);
    });
    EXPECT_EQ(out.str(), "{\"user\":\"ann\",\"mailbox\":\"key\",\"messages\":6,\"still_to_come\":4,\"whole\":false}\n");
    EXPECT_EQ(err.str(), "popgate: down\n");
}

TEST_F(IndexBuildTest, AnInterruptedCommandKeepsWhatWasRead) {
    pauses = {1h};
    std::ostringstream out, err;
    commands::Console console{out, err};
    backend.opened_before_failures = 1;
    backend.failures = 100;
    test::on_fiber([&](Fiber& fiber) {
        boost::asio::steady_timer timer(fiber.context(), 20ms);
        timer.async_wait([&](const boost::system::error_code&) { fiber.interrupt(); });
        EXPECT_EQ(commands::index_mailbox(fiber, store, backend, build(), console), commands::exit_failed);
    });
    EXPECT_EQ(out.str(), "ann: 3 of 10 messages so far; the next run goes on there\n");
    EXPECT_EQ(messages_stored(), 3U);
}

}  // namespace
}  // namespace popgate
