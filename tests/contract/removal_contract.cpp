#include "tests/contract/contract_checks.hpp"

namespace popgate::test {
namespace {

constexpr SpecialFolder both_folders[] = {SpecialFolder::trash, SpecialFolder::archive};

std::vector<std::string> sent_texts(const std::vector<std::string>& texts) {
    std::vector<std::string> sent;
    for (const auto& text : texts) sent.push_back(as_sent(text));
    std::sort(sent.begin(), sent.end());
    return sent;
}

/// Exactly these messages are in the folder, each whole and once.
testing::AssertionResult holds(const MailboxFixture& fixture, SpecialFolder folder,
                               const std::vector<std::string>& expected) {
    const auto found = sent_texts(fixture.folder(folder)), wanted = sent_texts(expected);
    if (found == wanted) return testing::AssertionSuccess();
    return testing::AssertionFailure() << testing::PrintToString(found) << " instead of "
                                       << testing::PrintToString(wanted);
}

std::vector<std::string> deliver(MailboxFixture& fixture, int count) {
    std::vector<std::string> stored;
    for (int i = 0; i < count; ++i)
        stored.push_back(fixture.deliver(message(std::to_string(i), "text of " + std::to_string(i) + "\n")));
    return stored;
}

#define POPGATE_WITH_FOLDERS(name) \
    POPGATE_WITH_FIXTURE(name);    \
    if (!name.has_folders()) GTEST_SKIP() << "its messages are not moved to folders"

TEST_P(MailboxContract, MoveTakesExactlyTheseAndTellsOfEachInOrder) {
    for (const auto target : both_folders) {
        POPGATE_WITH_FOLDERS(fixture);
        const auto stored = deliver(fixture, 6);
        on_fiber([&](Fiber& fiber) {
            const Session session(fiber, fixture);
            ASSERT_EQ(session.messages.size(), 6U);
            fixture.remove(2);
            // Not in the order of the mailbox.
            const std::vector wanted{session.messages[4], session.messages[2], session.messages[0]};
            EXPECT_TRUE(reports(session.mailbox->move(wanted, target),
                                {Removal::removed, Removal::gone, Removal::removed}, fixture));
            EXPECT_TRUE(holds(fixture, target, {stored[0], stored[4]}));
            EXPECT_TRUE(reports(session.mailbox->move(wanted, target), std::vector(3, Removal::gone), fixture));
            EXPECT_TRUE(reports(session.mailbox->remove(wanted), std::vector(3, Removal::gone), fixture));

            for (const std::size_t i : {1, 3, 5}) EXPECT_TRUE(gives(session, i, stored[i]));
            for (const std::size_t i : {0, 2, 4}) EXPECT_TRUE(fixture.gives_what_was_moved() || is_gone(session, i));
            session.mailbox->close();
        });
        EXPECT_TRUE(holds(fixture, target, {stored[0], stored[4]}));
        const auto other = target == SpecialFolder::trash ? SpecialFolder::archive : SpecialFolder::trash;
        EXPECT_TRUE(holds(fixture, other, {}));
        on_fiber([&](Fiber& fiber) {
            const Session session(fiber, fixture);
            ASSERT_EQ(session.messages.size(), 3U);
            for (const std::size_t i : {0, 1, 2}) EXPECT_TRUE(gives(session, i, stored[2 * i + 1]));
        });
    }
}

TEST_P(MailboxContract, WhatWasMovedJoinsWhatWasMovedBefore) {
    POPGATE_WITH_FOLDERS(fixture);
    std::vector<std::string> moved;
    for (int i = 0; i < 3; ++i) {
        // One without a last line end, which must not run into the next.
        moved.push_back(fixture.deliver("Subject: " + std::to_string(i) + "\n\nFrom here on\n\n.\nno end"));
        moved.push_back(fixture.deliver(message("two of " + std::to_string(i), "\n\n")));
        on_fiber([&](Fiber& fiber) {
            const Session session(fiber, fixture);
            ASSERT_EQ(session.messages.size(), 2U);
            EXPECT_TRUE(reports(session.mailbox->move(session.messages, SpecialFolder::trash),
                                std::vector(2, Removal::removed), fixture));
            session.mailbox->close();
        });
        EXPECT_TRUE(holds(fixture, SpecialFolder::trash, moved));
    }
}

TEST_P(MailboxContract, TwinsAreMovedOneByOne) {
    POPGATE_WITH_FOLDERS(fixture);
    if (fixture.folds_copies()) return;  // there are no twins
    const auto twin = fixture.deliver(message("twin"));
    const auto other = fixture.deliver(message("other"));
    fixture.deliver(message("twin"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 3U);
        for (int i = 0; i < 2; ++i)
            EXPECT_TRUE(is_good(session.mailbox->move({session.messages[0]}, SpecialFolder::trash).status));
        EXPECT_TRUE(holds(fixture, SpecialFolder::trash, {twin}));
        EXPECT_TRUE(gives(session, 1, other));
        EXPECT_TRUE(gives(session, 2, twin));
    });
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 2U);
        EXPECT_TRUE(reports(session.mailbox->move(session.messages, SpecialFolder::trash),
                            std::vector(2, Removal::removed), fixture));
    });
    EXPECT_TRUE(holds(fixture, SpecialFolder::trash, {twin, twin, other}));
}

TEST_P(MailboxContract, WhatArrivesLaterIsNotMoved) {
    POPGATE_WITH_FOLDERS(fixture);
    const auto stored = deliver(fixture, 3);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        const auto later = fixture.deliver(message("later"));
        EXPECT_TRUE(reports(session.mailbox->move(session.messages, SpecialFolder::archive),
                            std::vector(3, Removal::removed), fixture));
        session.mailbox->close();
        const Session next(fiber, fixture);
        ASSERT_EQ(next.messages.size(), 1U);
        EXPECT_TRUE(gives(next, 0, later));
    });
    EXPECT_TRUE(holds(fixture, SpecialFolder::archive, stored));
}

TEST_P(MailboxContract, ManyAreMovedAndMarksGoAlong) {
    POPGATE_WITH_FOLDERS(fixture);
    const auto stored = deliver(fixture, 120);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        EXPECT_TRUE(is_good(session.mailbox->mark_seen({session.messages[0], session.messages[60]})));
        EXPECT_TRUE(reports(session.mailbox->move(session.messages, SpecialFolder::trash),
                            std::vector(stored.size(), Removal::removed), fixture));
        EXPECT_TRUE(reports(session.mailbox->move({}, SpecialFolder::trash), {}, fixture));
        session.mailbox->close();
    });
    EXPECT_TRUE(holds(fixture, SpecialFolder::trash, stored));
}

TEST_P(MailboxContract, WithoutAFolderNothingIsMoved) {
    POPGATE_WITH_FOLDERS(fixture);
    const auto* const backend = fixture.backend_without_folders();
    if (!backend) GTEST_SKIP() << "there is always a folder";
    const auto stored = deliver(fixture, 2);
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = backend->open(fiber, fixture.login());
        ASSERT_TRUE(mailbox);
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing);
        for (const auto target : both_folders) {
            const auto report = (*mailbox)->move(listing->messages, target);
            EXPECT_EQ(report.outcomes, std::vector(2, Removal::failed));
            ASSERT_TRUE(report.status.has_error());
            EXPECT_EQ(report.status.error().code, Errc::permanent) << report.status.error().text;
        }
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 2U);
        for (const std::size_t i : {0, 1}) EXPECT_TRUE(gives(session, i, stored[i]));
    });
}

TEST_P(MailboxContract, UnreadIsWhatBearsNoMark) {
    POPGATE_WITH_FIXTURE(fixture);
    deliver(fixture, 5);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 5U);
        const auto unread = session.mailbox->unread(session.messages);
        ASSERT_TRUE(unread) << unread.error().detail;
        EXPECT_EQ(*unread, std::vector(5, true));
        EXPECT_TRUE(is_good(session.mailbox->mark_seen({session.messages[1], session.messages[4]})));
        EXPECT_EQ(*session.mailbox->unread({}), std::vector<bool>());
        session.mailbox->close();
    });
    const bool marks = fixture.is_seen(0).has_value();
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        // In the order given, and without what is not asked for.
        const auto unread = session.mailbox->unread({session.messages[4], session.messages[0], session.messages[1]});
        ASSERT_TRUE(unread) << unread.error().detail;
        EXPECT_EQ(*unread, (std::vector{!marks, true, !marks}));
        session.mailbox->close();
    });
}

}  // namespace
}  // namespace popgate::test
