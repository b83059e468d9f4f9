#include "gateway/pop3/body_encoder.hpp"
#include "tests/contract/contract_checks.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <system_error>
#include <vector>

namespace popgate::test {

TemporaryDirectory::TemporaryDirectory() {
    auto pattern = (std::filesystem::temp_directory_path() / "popgate-test-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::system_error(errno, std::generic_category(), pattern);
    path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

namespace {

std::uint64_t octets_by_encoder(const std::string& text) {
    pop3::BodyEncoder encoder;
    std::string ignored;
    encoder.encode(text, ignored);
    encoder.finish(ignored);
    return encoder.octets();
}

/// Lines of many lengths: their ends fall on every side of every block's edge.
std::string big_message(std::size_t size) {
    std::string text = message("big");
    for (std::size_t i = 0; text.size() < size; ++i)
        text += std::string(i * 37 % 211, static_cast<char>('a' + i % 26)) + "\n";
    return text;
}

std::vector<std::string> peculiar_messages() {
    using namespace std::string_literals;
    return {
        message("plain"),
        "Subject: crlf\r\n\r\nline\r\nline\r\n"s,
        "Subject: mixed\n\none\r\ntwo\nthree\r\n\n\r\nfour\n"s,
        "Subject: no last line end\n\ntext"s,
        "Subject: no last line end, crlf\r\n\r\ntext"s,
        "Subject: header only\n"s,
        "Subject: header and empty line\n\n"s,
        "Subject: empty lines\n\n\n\n\n"s,
        "Subject: dots\n\n.\n..\n.x\nx.\n\r\n.\r\n"s,
        "Subject: separators\n\nFrom a to b\n\nFrom x@example.com Thu Jan  1 00:00:00 1970\n\n>From quoted\n"s,
        "Subject: carriage returns\n\na\rb\r\r\nc\r"s,
        "Subject: 8 bit\n\n\xe4\xf6\xfc \xff\xfe\n"s,
        "no header at all\n"s,
        "\nempty line first\n"s,
        "Subject: notes\nStatus: RO\nContent-Length: 3\n\ntext\n"s,
        "Subject: long line\n\n"s + std::string(200'000, 'x') + "\n",
        big_message(300'000),
    };
}

TEST_P(MailboxContract, EmptyMailboxIsAnEmptyList) {
    POPGATE_WITH_FIXTURE(fixture);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        EXPECT_TRUE(session.messages.empty());
        const auto report = session.mailbox->remove({});
        EXPECT_TRUE(report.outcomes.empty());
        EXPECT_TRUE(is_good(report.status));
        EXPECT_TRUE(is_good(session.mailbox->mark_seen({})));
        EXPECT_TRUE(is_good(session.mailbox->keep_alive()));
        session.mailbox->close();
    });
}

TEST_P(MailboxContract, FetchGivesWhatWasStoredAndListItsSize) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    std::size_t refused = 0;
    for (const auto& raw : peculiar_messages()) try {
            stored.push_back(fixture.deliver(raw));
        } catch (const MailboxFixture::Refused&) {
            ++refused;
        }
    EXPECT_LE(refused, fixture.refuses_some() ? 6U : 0U);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), stored.size());
        for (std::size_t i = 0; i < stored.size(); ++i) {
            EXPECT_TRUE(gives(session, i, stored[i]));
            if (!session.messages[i].octets_are_exact) continue;
            EXPECT_EQ(session.messages[i].octets, as_sent(stored[i]).size()) << "message " << i;
            EXPECT_EQ(session.messages[i].octets, octets_by_encoder(stored[i])) << "message " << i;
        }
        session.mailbox->close();
    });
}

TEST_P(MailboxContract, OldestFirst) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 12; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), stored.size());
        for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_TRUE(gives(session, i, stored[i]));
        EXPECT_TRUE(std::is_sorted(session.messages.begin(), session.messages.end(),
                                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; }));
    });
}

TEST_P(MailboxContract, UniqueIdsAreValidUniqueAndStable) {
    POPGATE_WITH_FIXTURE(fixture);
    for (int i = 0; i < 5; ++i) fixture.deliver(message(std::to_string(i)));
    const auto twin = message("delivered twice");
    fixture.deliver(twin);
    if (!fixture.folds_copies()) fixture.deliver(twin);
    const std::size_t count = fixture.folds_copies() ? 6 : 7;
    std::vector<std::string> before;
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        before = session.ids();
        ASSERT_EQ(before.size(), count);
        for (const auto& id : before) {
            EXPECT_GE(id.size(), 1U);
            EXPECT_LE(id.size(), 70U);
            EXPECT_TRUE(std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x21 && c <= 0x7E; })) << id;
        }
        EXPECT_EQ(std::set<std::string>(before.begin(), before.end()).size(), before.size());
    });
    fixture.deliver(message("later"));
    fixture.remove(1);
    before.erase(before.begin() + 1);
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        auto after = session.ids();
        ASSERT_EQ(after.size(), before.size() + 1);
        after.pop_back();
        EXPECT_EQ(after, before);
    });
}

TEST_P(MailboxContract, SinkThatClosesEarlyEndsTheFetchAlone) {
    POPGATE_WITH_FIXTURE(fixture);
    const auto big = fixture.deliver(big_message(400'000));
    const auto small = fixture.deliver(message("small"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 2U);
        for (const std::size_t limit : {1, 100'000}) {
            Collector collector(limit);
            const auto status = session.mailbox->fetch(session.messages[0], collector);
            ASSERT_FALSE(status);
            EXPECT_EQ(status.error().code, Errc::sink_closed) << status.error().text;
            EXPECT_GE(collector.text.size(), limit);
            EXPECT_TRUE(gives(session, 1, small));
        }
        EXPECT_TRUE(gives(session, 0, big));
    });
}

TEST_P(MailboxContract, FetchTopGivesTheBeginning) {
    POPGATE_WITH_FIXTURE(fixture);
    const auto big = as_sent(fixture.deliver(big_message(400'000)));
    const auto small = fixture.deliver(message("small"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 2U);
        for (const std::size_t limit : {1, 20'000}) {
            Collector collector(limit);
            const auto status = session.mailbox->fetch_top(session.messages[0], collector);
            ASSERT_FALSE(status);
            EXPECT_EQ(status.error().code, Errc::sink_closed) << status.error().text;
            EXPECT_GE(collector.text.size(), limit);
            EXPECT_LE(collector.text.size(), limit + 64 * 1024) << "more than is wanted was read";
            // A piece may end between a LF and nothing, so only whole lines are compared.
            const auto got = as_sent(collector.text.substr(0, collector.text.rfind('\n') + 1));
            EXPECT_EQ(got, big.substr(0, got.size()));
            EXPECT_TRUE(gives(session, 1, small));
        }
        Collector all;
        EXPECT_TRUE(is_good(session.mailbox->fetch_top(session.messages[0], all)));
        EXPECT_EQ(as_sent(all.text), big);
    });
}

TEST_P(MailboxContract, MessageThatVanishesIsGoneAndHarmsNoOther) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 5; ++i)
        stored.push_back(fixture.deliver(message(std::to_string(i), std::string(100, 'x') + "\n")));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 5U);
        EXPECT_TRUE(gives(session, 0, stored[0]));
        fixture.remove(3);
        fixture.remove(1);
        for (const std::size_t i : {1, 3}) EXPECT_TRUE(is_gone_or_whole(session, i, stored[i], fixture));
        Collector top;
        const auto status = session.mailbox->fetch_top(session.messages[1], top);
        if (status)
            EXPECT_TRUE(fixture.gives_what_was_removed() && as_sent(top.text) == as_sent(stored[1]));
        else
            EXPECT_EQ(status.error().code, Errc::gone);
        for (const std::size_t i : {0, 2, 4}) EXPECT_TRUE(gives(session, i, stored[i]));
    });
}

TEST_P(MailboxContract, RemoveTakesExactlyTheseAndTellsOfEachInOrder) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 6; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 6U);
        fixture.remove(2);
        // Not in the order of the mailbox.
        const std::vector wanted{session.messages[4], session.messages[2], session.messages[0]};
        EXPECT_TRUE(
            reports(session.mailbox->remove(wanted), {Removal::removed, Removal::gone, Removal::removed}, fixture));
        EXPECT_TRUE(reports(session.mailbox->remove(wanted), {Removal::gone, Removal::gone, Removal::gone}, fixture));

        for (const std::size_t i : {1, 3, 5}) EXPECT_TRUE(gives(session, i, stored[i]));
        for (const std::size_t i : {0, 2, 4}) EXPECT_TRUE(is_gone(session, i));
        session.mailbox->close();
    });
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 3U);
        for (const std::size_t i : {0, 1, 2}) EXPECT_TRUE(gives(session, i, stored[2 * i + 1]));
    });
}

TEST_P(MailboxContract, OneOfTwinsIsRemoved) {
    POPGATE_WITH_FIXTURE(fixture);
    if (fixture.folds_copies()) return;  // there are no twins
    const auto twin = fixture.deliver(message("twin"));
    const auto other = fixture.deliver(message("other"));
    fixture.deliver(message("twin"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 3U);
        for (int i = 0; i < 2; ++i) EXPECT_TRUE(is_good(session.mailbox->remove({session.messages[0]}).status));
        EXPECT_TRUE(is_gone(session, 0));
        EXPECT_TRUE(gives(session, 1, other));
        EXPECT_TRUE(gives(session, 2, twin));
    });
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(Session(fiber, fixture).messages.size(), 2U); });
}

TEST_P(MailboxContract, AllCanBeRemoved) {
    POPGATE_WITH_FIXTURE(fixture);
    for (int i = 0; i < 3; ++i) fixture.deliver(message(std::to_string(i)));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        EXPECT_TRUE(reports(session.mailbox->remove(session.messages), std::vector(3, Removal::removed), fixture));
    });
    on_fiber([&](Fiber& fiber) { EXPECT_TRUE(Session(fiber, fixture).messages.empty()); });
    const auto later = fixture.deliver(message("later"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 1U);
        EXPECT_TRUE(gives(session, 0, later));
    });
}

TEST_P(MailboxContract, WhatArrivesLaterNeitherShowsNorGoes) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 3; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    std::string later;
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 3U);
        later = fixture.deliver(message("later"));
        for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(gives(session, i, stored[i]));
        EXPECT_TRUE(reports(session.mailbox->remove(session.messages), std::vector(3, Removal::removed), fixture));
        session.mailbox->close();
    });
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ASSERT_EQ(session.messages.size(), 1U);
        EXPECT_TRUE(gives(session, 0, later));
    });
}

TEST_P(MailboxContract, TwoSessionsDoNotConfuseEachOther) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 4; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    on_fiber([&](Fiber& fiber) {
        const Session one(fiber, fixture);
        const Session other(fiber, fixture);
        EXPECT_EQ(one.ids(), other.ids());
        EXPECT_TRUE(reports(one.mailbox->remove({one.messages[0], one.messages[2]}), std::vector(2, Removal::removed),
                            fixture));
        EXPECT_TRUE(is_gone_or_whole(other, 0, stored[0], fixture));
        EXPECT_TRUE(gives(other, 1, stored[1]));
        EXPECT_TRUE(reports(other.mailbox->remove({other.messages[2], other.messages[3]}),
                            {Removal::gone, Removal::removed}, fixture));
        EXPECT_TRUE(gives(one, 1, stored[1]));
        EXPECT_TRUE(is_gone_or_whole(one, 3, stored[3], fixture));
        // Each of them knows what it has removed itself.
        for (const std::size_t i : {0, 2}) EXPECT_TRUE(is_gone(one, i));
        for (const std::size_t i : {2, 3}) EXPECT_TRUE(is_gone(other, i));
    });
}

TEST_P(MailboxContract, KeepAliveKeepsIt) {
    POPGATE_WITH_FIXTURE(fixture);
    const auto stored = fixture.deliver(message("one"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_good(session.mailbox->keep_alive()));
        fixture.deliver(message("later"));
        EXPECT_TRUE(is_good(session.mailbox->keep_alive()));
        EXPECT_TRUE(gives(session, 0, stored));
        session.mailbox->close();
    });
}

TEST_P(MailboxContract, MarkSeenMarksAndChangesNothingElse) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 4; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    std::vector<std::string> ids;
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        ids = session.ids();
        fixture.remove(3);
        // Twice, and with one that is gone.
        for (int i = 0; i < 2; ++i)
            EXPECT_TRUE(
                is_good(session.mailbox->mark_seen({session.messages[0], session.messages[2], session.messages[3]})));
        for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(gives(session, i, stored[i]));
        session.mailbox->close();
    });
    const std::array expected{true, false, true};
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(fixture.is_seen(i).value_or(expected[i]), expected[i]) << "message " << i;
    ids.pop_back();
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        EXPECT_EQ(session.ids(), ids);
        for (std::size_t i = 0; i < session.messages.size(); ++i) EXPECT_TRUE(gives(session, i, stored[i]));
    });
}

TEST_P(MailboxContract, FetchAloneDoesNotMark) {
    POPGATE_WITH_FIXTURE(fixture);
    const auto stored = fixture.deliver(message("one"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        EXPECT_TRUE(gives(session, 0, stored));
        session.mailbox->close();
    });
    EXPECT_FALSE(fixture.is_seen(0).value_or(false));
}

/// As a client that reads in order has it: so many messages behind this one.
void expect_behind(const Session& session, std::size_t place, std::size_t count) {
    std::vector<const MessageInfo*> next;
    for (auto i = place + 1; i < session.messages.size() && next.size() < count; ++i)
        next.push_back(&session.messages[i]);
    session.mailbox->expect(next);
}

TEST_P(MailboxContract, WhatIsExpectedIsGivenAsItIsAndNotMarked) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 12; ++i)
        stored.push_back(fixture.deliver(message(std::to_string(i), std::string(i * 100, 'x') + "\n")));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        for (std::size_t i = 0; i < stored.size(); ++i) {
            expect_behind(session, i, 8);
            EXPECT_TRUE(gives(session, i, stored[i]));
        }
        // Elsewhere, with and without a word.
        for (const std::size_t i : {2, 8, 3, 9, 4}) {
            expect_behind(session, i, i % 2 == 0 ? 3 : 0);
            EXPECT_TRUE(gives(session, i, stored[i]));
            EXPECT_TRUE(gives(session, 0, stored[0]));
        }
        expect_behind(session, 0, 8);
        EXPECT_TRUE(gives(session, 0, stored[0]));
        session.mailbox->close();
    });
    for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_FALSE(fixture.is_seen(i).value_or(false)) << i;
}

TEST_P(MailboxContract, AMessageThatIsExpectedMayGo) {
    POPGATE_WITH_FIXTURE(fixture);
    std::vector<std::string> stored;
    for (int i = 0; i < 5; ++i) stored.push_back(fixture.deliver(message(std::to_string(i))));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        expect_behind(session, 0, 2);
        EXPECT_TRUE(gives(session, 0, stored[0]));
        fixture.remove(3);
        fixture.remove(2);
        expect_behind(session, 1, 3);
        EXPECT_TRUE(gives(session, 1, stored[1]));
        EXPECT_TRUE(gives(session, 2, stored[2]) || is_gone(session, 2)) << "it may have been got before it went";
        expect_behind(session, 3, 1);
        EXPECT_TRUE(is_gone_or_whole(session, 3, stored[3], fixture));
        EXPECT_TRUE(gives(session, 4, stored[4]));
        session.mailbox->expect({});
        EXPECT_TRUE(reports(session.mailbox->remove({session.messages[0], session.messages[4]}),
                            std::vector(2, Removal::removed), fixture));
    });
}

}  // namespace
}  // namespace popgate::test
