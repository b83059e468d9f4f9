#include "tests/unit/indexed_mailbox_fixture.hpp"

namespace popgate {
namespace {

using Ids = std::vector<std::string>;

TEST_F(IndexedMailboxTest, TheNextLookBeginsWhereTheLastOneEnded) {
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"}));
    EXPECT_EQ(mailbox.known.state, "");
    EXPECT_EQ(mailbox.known.first_generation, "");
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"}));
    EXPECT_EQ(mailbox.known.state, "s1");
    ASSERT_EQ(mailbox.known.messages.size(), 3U);
    EXPECT_EQ(mailbox.known.messages[2].id, "3");
    EXPECT_EQ(mailbox.known.messages[2].tag, 3U);
    EXPECT_EQ(mailbox.known.generation, "g1");
}

TEST_F(IndexedMailboxTest, DatesAreWantedWhereAPolicyNeedsThem) {
    (void)shown_ids();
    EXPECT_FALSE(mailbox.known.wants_arrival);
    rules.policy.expire_after = std::chrono::hours(24 * 365);
    (void)shown_ids();
    EXPECT_TRUE(mailbox.known.wants_arrival);
    rules.policy = {};
    rules.policy.view = {View::Kind::last_days, 3};
    (void)shown_ids();
    EXPECT_TRUE(mailbox.known.wants_arrival);
}

TEST_F(IndexedMailboxTest, DatesThatCameLaterAreKept) {
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"}));
    rules.policy.view = {View::Kind::last_days, 3};
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"})) << "seen for the first time just now";
    mailbox.arrival = 1'700'000'000;
    EXPECT_EQ(shown_ids(), Ids{});
    mailbox.arrival = 0;
    EXPECT_EQ(shown_ids(), Ids{});
}

TEST_F(IndexedMailboxTest, NothingNewIsNotWritten) {
    (void)shown_ids();
    store.saves = 0;
    (void)shown_ids();
    EXPECT_EQ(store.saves, 0U);
    EXPECT_EQ(store.loads, 2U);
}

TEST_F(IndexedMailboxTest, EverythingIsLookedAtNowAndThen) {
    rules.reconcile_every = std::chrono::milliseconds(0);
    (void)shown_ids();
    (void)shown_ids();
    EXPECT_EQ(mailbox.known.state, "");
    EXPECT_EQ(mailbox.known.messages.size(), 3U);
}

TEST_F(IndexedMailboxTest, AnotherFormatLooksAtEverythingAnew) {
    (void)shown_ids();
    rules.unique_ids = "gmail";
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"}));
    EXPECT_TRUE(mailbox.known.messages.empty());
    (void)shown_ids();
    EXPECT_EQ(mailbox.known.messages.size(), 3U);
}

TEST_F(IndexedMailboxTest, AnotherFormatForgetsNothingElse) {
    rules.policy.on_delete = OnDelete::keep;
    in_session([](IndexedMailbox& index, const auto& shown) { EXPECT_TRUE(index.remove({shown[1]}).status); });
    rules.unique_ids = "gmail";
    EXPECT_EQ(shown_ids(), (Ids{"1", "3"}));
    EXPECT_EQ(shown_ids(), (Ids{"1", "3"}));
}

TEST_F(IndexedMailboxTest, AnotherGenerationStartsAnew) {
    rules.policy.on_delete = OnDelete::keep;
    in_session([](IndexedMailbox& index, const auto& shown) { EXPECT_EQ(index.remove({shown[0]}).removed, 1U); });
    mailbox.generation = "g2";
    mailbox.state = "s2";
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"}));
    (void)shown_ids();
    EXPECT_EQ(mailbox.known.state, "s2");
}

TEST_F(IndexedMailboxTest, AnEmptyMailboxInAnothersPlaceIsNotBelieved) {
    rules.policy.on_delete = OnDelete::keep;
    in_session([](IndexedMailbox& index, const auto& shown) { EXPECT_EQ(index.remove({shown[0]}).removed, 1U); });
    const auto before = std::exchange(mailbox.messages, {});
    mailbox.generation = "g2";
    mailbox.state = "s2";
    EXPECT_EQ(refusal().code, Errc::temporary);
    mailbox.generation = "g1";
    mailbox.state = "s1";
    mailbox.messages = before;
    EXPECT_EQ(shown_ids(), (Ids{"2", "3"})) << "what was hidden is known again with the mailbox";
    mailbox.generation = "g3";
    mailbox.messages = {{"9"}};
    EXPECT_EQ(shown_ids(), (Ids{"9"}));
}

TEST_F(IndexedMailboxTest, TheFirstGenerationIsKeptForFormatsThatNeedIt) {
    (void)shown_ids();
    (void)shown_ids();
    EXPECT_EQ(mailbox.known.first_generation, "") << "native ids tell generations apart";
    rules.unique_ids = "cyrus-uid";
    (void)shown_ids();
    mailbox.generation = "g2";
    for (int i = 0; i < 2; ++i) {
        (void)shown_ids();
        EXPECT_EQ(mailbox.known.first_generation, "g1");
    }
    store.is_stand_in = true;
    store.fails_to_keep = true;
    (void)shown_ids();
    test::on_fiber([&](Fiber& fiber) { ASSERT_TRUE(memory->forget(fiber, "key")); });
    rules.unique_ids = "native";
    EXPECT_EQ(shown_ids().size(), 3U) << "a store that keeps nothing costs nobody a login";
}

TEST_F(IndexedMailboxTest, ASizeIsLearnedWhenTheMessageHasPassed) {
    mailbox.messages[1].listed_octets = 5;
    const auto octets = mailbox.messages[1].text.size();
    in_session([&](IndexedMailbox& index, const auto& shown) {
        EXPECT_EQ(shown[1].octets, 5U);
        index.delivered(shown[0], octets);
        EXPECT_EQ(index.sizes_corrected(), 0U);
        index.delivered(shown[1], octets);
        EXPECT_EQ(index.sizes_corrected(), 1U);
    });
    in_session([&](IndexedMailbox& index, const auto& shown) {
        EXPECT_EQ(shown[1].octets, octets);
        EXPECT_TRUE(shown[1].octets_are_exact);
        EXPECT_FALSE(shown[2].octets_are_exact);
        EXPECT_EQ(index.take_retrieved(), (std::vector{true, true, false}));
    });
    test::on_fiber([&](Fiber& fiber) { EXPECT_EQ(store.load(fiber, "key").value().head.sizes_corrected, 1U); });
}

TEST_F(IndexedMailboxTest, TheStoresSizesAreBelievedWhereTheRouteSaysSo) {
    rules.sizes = Sizes::backend;
    mailbox.messages[1].listed_octets = 5;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        index.delivered(shown[1], 20);
        EXPECT_EQ(index.sizes_corrected(), 1U);
    });
    in_session([&](IndexedMailbox&, const auto& shown) { EXPECT_EQ(shown[1].octets, 5U); });
}

TEST_F(IndexedMailboxTest, ExactSizesAreMeasuredOnce) {
    rules.sizes = Sizes::exact;
    for (auto& each : mailbox.messages) each.listed_octets = 5;
    mailbox.messages[2].text = "no last line end";
    in_session([&](IndexedMailbox&, const auto& shown) {
        EXPECT_EQ(shown[0].octets, mailbox.messages[0].text.size());
        EXPECT_EQ(shown[2].octets, mailbox.messages[2].text.size() + 2);
    });
    EXPECT_EQ(mailbox.fetches, 3U);
    put(1);
    in_session([&](IndexedMailbox&, const auto& shown) { EXPECT_TRUE(shown[3].octets_are_exact); });
    EXPECT_EQ(mailbox.fetches, 4U);
}

TEST_F(IndexedMailboxTest, OneMessageThatCannotBeMeasuredDoesNotKeepTheOthersAway) {
    rules.sizes = Sizes::exact;
    mailbox.broken = {"1"};
    in_session([&](IndexedMailbox&, const auto& shown) {
        EXPECT_FALSE(shown[0].octets_are_exact);
        EXPECT_TRUE(shown[1].octets_are_exact);
    });
    mailbox.is_down = true;
    put(1);
    EXPECT_EQ(refusal().text, "down");
}

TEST_F(IndexedMailboxTest, PoliciesThatTakeAway) {
    for (const auto& [action, where] :
         {std::pair{OnDelete::destroy, "removed"}, {OnDelete::trash, "trash"}, {OnDelete::archive, "archive"}}) {
        rules.policy.on_delete = action;
        const auto first = shown_ids().front();
        in_session([&](IndexedMailbox& index, const auto& shown) {
            const auto outcome = index.remove({shown[0]});
            EXPECT_TRUE(outcome.status);
            EXPECT_EQ(outcome.removed, 1U);
        });
        EXPECT_EQ(mailbox.taken[where], (Ids{first}));
    }
    EXPECT_TRUE(shown_ids().empty());
    EXPECT_TRUE(mailbox.known.messages.empty()) << "what was removed is still remembered";
}

TEST_F(IndexedMailboxTest, PoliciesThatKeepHideForGood) {
    for (const auto action : {OnDelete::mark_read, OnDelete::keep}) {
        rules.policy.on_delete = action;
        in_session([&](IndexedMailbox& index, const auto& shown) { EXPECT_EQ(index.remove({shown[0]}).removed, 1U); });
    }
    EXPECT_EQ(shown_ids(), (Ids{"3"}));
    EXPECT_EQ(mailbox.messages.size(), 3U);
    EXPECT_EQ(mailbox.seen, (std::set<std::string>{"1"}));
    rules.reconcile_every = std::chrono::milliseconds(0);
    EXPECT_EQ(shown_ids(), (Ids{"3"}));
}

TEST_F(IndexedMailboxTest, WhatCannotBeRecordedIsNotToldAsDeleted) {
    rules.policy.on_delete = OnDelete::keep;
    (void)shown_ids();
    in_session([&](IndexedMailbox& index, const auto& shown) {
        store.fails_to_save = true;
        const auto outcome = index.remove({shown[0], shown[1]});
        EXPECT_EQ(outcome.failed, 2U);
        EXPECT_EQ(outcome.status.error().code, Errc::temporary);
        store.fails_to_save = false;
    });
    // The numbers under which it would be recorded were never saved.
    put(1);
    store.fails_to_save = true;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        store.fails_to_save = false;
        EXPECT_FALSE(index.remove({shown[3]}).status);
    });
    EXPECT_EQ(shown_ids().size(), 4U);
}

TEST_F(IndexedMailboxTest, WhoHasLostTheMaildropRemovesNothing) {
    in_session([](IndexedMailbox& index, const auto& shown) {
        const auto lost = [] { return Status(Error{Errc::temporary, "lost", {}}); };
        const auto outcome = index.remove({shown[0], shown[1]}, {.confirm = lost, .until = {}});
        EXPECT_EQ(outcome.failed, 2U);
        EXPECT_EQ(outcome.status.error().text, "lost");
    });
    EXPECT_EQ(shown_ids().size(), 3U);
}

TEST_F(IndexedMailboxTest, WhatIsDeletedIsHiddenUnderTheNumberThatItHasNow) {
    rules.policy.on_delete = OnDelete::keep;
    (void)shown_ids();
    mailbox.messages.erase(mailbox.messages.begin());
    in_session([&](IndexedMailbox& index, const auto& shown) {
        ASSERT_EQ(shown.size(), 2U);
        meanwhile([&](Fiber& fiber) {
            ASSERT_TRUE(store.forget(fiber, "key").value());
            ASSERT_TRUE(try_open(fiber));  // which numbers them anew
        });
        EXPECT_EQ(index.remove({shown[0]}).removed, 1U);
        EXPECT_EQ(index.remove({shown[1]}).removed, 1U);
    });
    EXPECT_EQ(shown_ids(), Ids{});
}

TEST_F(IndexedMailboxTest, WhatIsDeletedWhileTheMailboxIsForgottenIsNotToldAsDeleted) {
    rules.policy.on_delete = OnDelete::keep;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        meanwhile([&](Fiber& fiber) { ASSERT_TRUE(store.forget(fiber, "key").value()); });
        EXPECT_EQ(index.remove({shown[0]}).failed, 1U);
    });
    in_session([&](IndexedMailbox& index, const auto& shown) {
        mailbox.generation = "g2";
        meanwhile([&](Fiber& fiber) { ASSERT_TRUE(try_open(fiber)); });
        EXPECT_EQ(index.remove({shown[0]}).failed, 1U) << "its id means another message now";
    });
    EXPECT_EQ(shown_ids().size(), 3U);
}

TEST_F(IndexedMailboxTest, AClockThatWasAheadDoesNotPutTheFullLookOff) {
    (void)shown_ids();
    test::on_fiber([&](Fiber& fiber) {
        MailboxChange change;
        change.head = store.load(fiber, "key").value().head;
        change.head->reconciled += 1'000'000'000;
        ASSERT_TRUE(store.save(fiber, "key", change).value());
    });
    (void)shown_ids();
    EXPECT_TRUE(mailbox.known.state.empty());
    (void)shown_ids();
    EXPECT_FALSE(mailbox.known.state.empty());
}

TEST_F(IndexedMailboxTest, AStandInForTheStoreServesNoMailboxThatHides) {
    store.is_stand_in = true;
    EXPECT_EQ(shown_ids().size(), 3U);
    rules.policy.on_delete = OnDelete::mark_read;
    const auto error = refusal();
    EXPECT_EQ(error.code, Errc::temporary);
    EXPECT_EQ(error.detail, "too new");
}

TEST_F(IndexedMailboxTest, AStoreThatCannotBeReadIsAFaultAndOneThatCannotBeWrittenIsNot) {
    store.fails_to_save = true;
    EXPECT_EQ(shown_ids().size(), 3U);
    store.fails = true;
    EXPECT_EQ(refusal().code, Errc::temporary);
}

TEST_F(IndexedMailboxTest, AFaultHalfWayIsToldAndTheRestIsStillThere) {
    put(1700);
    mailbox.removals_before_fault = 900;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        const auto outcome = index.remove(shown);
        EXPECT_EQ(outcome.removed, 900U);
        EXPECT_EQ(outcome.failed, 803U);
        EXPECT_EQ(outcome.unknown, 0U);
        EXPECT_FALSE(outcome.status);
    });
    EXPECT_EQ(mailbox.batches, (std::vector<std::size_t>{700, 700})) << "after a fault nothing more is tried";
    EXPECT_EQ(shown_ids().size(), 803U);
    EXPECT_EQ(mailbox.known.messages.size(), 803U);
}

TEST_F(IndexedMailboxTest, AMailboxThatIsEmptyForAWhileForgetsNothing) {
    rules.policy.on_delete = OnDelete::keep;
    in_session([](IndexedMailbox& index, const auto& shown) { EXPECT_EQ(index.remove({shown[0]}).removed, 1U); });
    const auto before = std::exchange(mailbox.messages, {});
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(shown_ids().empty());
    mailbox.messages = before;
    EXPECT_EQ(shown_ids(), (Ids{"2", "3"}));
    mailbox.messages.erase(mailbox.messages.begin());
    EXPECT_EQ(shown_ids(), (Ids{"2", "3"}));
    mailbox.messages = before;
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3"})) << "of a message that went alone nothing is kept";
}

TEST_F(IndexedMailboxTest, ALookThatWasNotSavedIsNotSavedWithARemoval) {
    (void)shown_ids();
    put(1);
    mailbox.state = "s2";
    store.fails_to_save = true;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        store.fails_to_save = false;
        EXPECT_EQ(index.remove({shown[0]}).removed, 1U);
    });
    (void)shown_ids();
    EXPECT_EQ(mailbox.known.state, "s1") << "the state tells of a message that is not stored";
}

TEST_F(IndexedMailboxTest, ExpiredMessagesGoWithTheNextRemoval) {
    in_session([&](IndexedMailbox& index, const auto& shown) { index.delivered(shown[1], shown[1].octets); });
    rules.policy.expire_after = std::chrono::hours(1);
    in_session([&](IndexedMailbox& index, const auto&) { EXPECT_TRUE(index.remove({}).status); });
    EXPECT_EQ(mailbox.messages.size(), 3U);
    rules.policy.expire_after = std::chrono::milliseconds(1);
    in_session([&](IndexedMailbox& index, const auto& shown) {
        EXPECT_EQ(shown.size(), 3U);
        const auto outcome = index.remove({shown[1], shown[0]});
        EXPECT_EQ(outcome.removed, 2U) << "a message that is marked and expired counts as marked";
        EXPECT_EQ(index.expired(), 0U);
    });
    in_session([&](IndexedMailbox& index, const auto& shown) { index.delivered(shown[0], shown[0].octets); });
    in_session([&](IndexedMailbox& index, const auto&) {
        const auto outcome = index.remove({});
        EXPECT_EQ(outcome.removed, 0U);
        EXPECT_EQ(index.expired(), 1U);
    });
    EXPECT_TRUE(mailbox.messages.empty());
}

TEST_F(IndexedMailboxTest, AClockThatWasBehindExpiresNothingBeforeItsTime) {
    mailbox.arrival =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count() -
        60;
    (void)shown_ids();
    test::on_fiber([&](Fiber& fiber) {
        MailboxChange change;
        change.changed.emplace_back();
        change.changed[0].number = 1;
        change.changed[0].id = "1";
        change.changed[0].retrieved = 5;  // in 1970
        ASSERT_TRUE(store.save(fiber, "key", change).value());
    });
    rules.policy.expire_after = std::chrono::hours(1);
    in_session([&](IndexedMailbox& index, const auto&) { EXPECT_TRUE(index.remove({}).status); });
    EXPECT_EQ(mailbox.messages.size(), 3U);
    rules.policy.expire_after = std::chrono::seconds(30);
    in_session([&](IndexedMailbox& index, const auto&) { EXPECT_TRUE(index.remove({}).status); });
    EXPECT_EQ(mailbox.messages.size(), 2U);
}

TEST_F(IndexedMailboxTest, AMessageThatKeepsFailingIsQuarantined) {
    mailbox.broken = {"1"};
    for (int session = 1; session <= 3; ++session) {
        in_session([&](IndexedMailbox& index, const auto& shown) {
            ASSERT_EQ(shown.size(), 3U) << session;
            index.failed(shown[0], "broken");
            index.failed(shown[0], "broken");  // once a session
            EXPECT_EQ(index.quarantined(), session == 3 ? 1U : 0U);
        });
    }
    EXPECT_EQ(shown_ids(), (Ids{"2", "3"}));
}

TEST_F(IndexedMailboxTest, ADeliveryInBetweenStartsTheCountAnew) {
    rules.quarantine_after = 2;
    const auto fail = [&] {
        in_session([](IndexedMailbox& index, const auto& shown) { index.failed(shown[0], "x"); });
    };
    fail();
    in_session([](IndexedMailbox& index, const auto& shown) { index.delivered(shown[0], 1); });
    fail();
    EXPECT_EQ(shown_ids().size(), 3U);
    fail();
    EXPECT_EQ(shown_ids().size(), 2U);
}

TEST_F(IndexedMailboxTest, NoMessageIsBlamedForAStoreThatIsDown) {
    rules.quarantine_after = 1;
    in_session([&](IndexedMailbox& index, const auto& shown) {
        mailbox.is_down = true;
        for (const auto& each : shown) index.failed(each, "down");
        mailbox.is_down = false;
    });
    EXPECT_EQ(shown_ids().size(), 3U);
    mailbox.messages.resize(1);
    in_session([&](IndexedMailbox& index, const auto& shown) { index.failed(shown[0], "alone: blocks no other"); });
    EXPECT_EQ(shown_ids().size(), 1U);
}

TEST_F(IndexedMailboxTest, QuarantineCanBeSwitchedOff) {
    rules.quarantine_after = 0;
    for (int i = 0; i < 5; ++i)
        in_session([](IndexedMailbox& index, const auto& shown) { index.failed(shown[0], "broken"); });
    EXPECT_EQ(shown_ids().size(), 3U);
}

TEST_F(IndexedMailboxTest, ImportedIdsHoldInTheirGenerationAlone) {
    test::on_fiber([&](Fiber& fiber) { ASSERT_TRUE(store.keep_imported(fiber, "key", "g1", {{"2", "old"}})); });
    EXPECT_EQ(unique_ids(), (Ids{"u1", "old", "u3"}));
    EXPECT_EQ(unique_ids(), (Ids{"u1", "old", "u3"}));
    test::on_fiber([&](Fiber& fiber) { ASSERT_TRUE(store.forget(fiber, "key").value()); });
    EXPECT_EQ(unique_ids(), (Ids{"u1", "old", "u3"}));
    mailbox.generation = "g2";
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u2", "u3"}));
}

TEST_F(IndexedMailboxTest, ASessionThatWasOvertakenLooksAgainAtWhatIsStored) {
    (void)shown_ids();
    put(2);
    store.before_save = [&] {
        meanwhile([&](Fiber& fiber) {
            ScriptedMailbox other;
            other.messages = mailbox.messages;
            auto index = IndexedMailbox::open(fiber, *memory, other, "key", rules, progress);
            ASSERT_TRUE(index);
            auto shown = (*index)->take_messages();
            (*index)->delivered(shown[4], 77);
            (*index)->save_delivered();
        });
    };
    in_session([&](IndexedMailbox&, const auto& shown) {
        ASSERT_EQ(shown.size(), 5U);
        EXPECT_EQ(shown[4].octets, 77U) << "what the other session has learned";
    });
    test::on_fiber([&](Fiber& fiber) { EXPECT_EQ(store.load(fiber, "key").value().messages.size(), 5U); });
}

TEST_F(IndexedMailboxTest, WhatALaterLookHasFoundAndDeletedDoesNotComeBackByAnEarlierOne) {
    rules.policy.on_delete = OnDelete::keep;
    (void)shown_ids();
    put(1);  // "4": both sessions find it, so both have something to save
    store.before_save = [&] {
        put(1);  // "5": after this session's listing
        ScriptedMailbox other;
        other.messages = mailbox.messages;
        other.state = "s2";
        boost::asio::io_context context(1);
        Fiber::start(
            context,
            [&](Fiber& fiber) {
                auto index = IndexedMailbox::open(fiber, *memory, other, "key", rules, progress);
                ASSERT_TRUE(index);
                const auto shown = (*index)->take_messages();
                ASSERT_EQ(shown.size(), 5U);
                EXPECT_EQ((*index)->remove({shown[4]}).removed, 1U);
            },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        context.run();
    };
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3", "4"}));
    EXPECT_EQ(shown_ids(), (Ids{"1", "2", "3", "4"})) << "5 was deleted";
    EXPECT_EQ(mailbox.known.state, "") << "nobody knows which of the two states is the later one";
}

}  // namespace
}  // namespace popgate
