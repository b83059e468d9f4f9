#include "tests/contract/state_store_contract.hpp"

#include "tests/support/on_fiber.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <limits>
#include <map>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace popgate {

namespace {
auto tie(const MessageInfo& i) { return std::tie(i.id, i.octets, i.octets_are_exact, i.arrival, i.unique_id); }
auto tie(const StoredMessage& m) {
    return std::tie(m.number, m.info, m.first_seen, m.retrieved, m.failures, m.hidden, m.quarantined);
}
auto tie(const StoredHead& h) {
    return std::tie(h.version, h.state, h.generation, h.unique_ids, h.reconciled, h.next_number, h.view_floor,
                    h.sizes_corrected);
}
}  // namespace

bool operator==(const MessageInfo& a, const MessageInfo& b) { return tie(a) == tie(b); }
bool operator==(const StoredMessage& a, const StoredMessage& b) { return tie(a) == tie(b); }
bool operator==(const StoredHead& a, const StoredHead& b) { return tie(a) == tie(b); }

void PrintTo(const StoredMessage& m, std::ostream* out) {
    *out << m.number << " " << m.info.id << " " << m.info.octets << (m.info.octets_are_exact ? "!" : "?") << " "
         << m.info.arrival << " " << m.info.unique_id.str() << " " << m.first_seen << " " << m.retrieved << " "
         << int{m.failures} << (m.hidden ? " hidden" : "") << (m.quarantined ? " quarantined" : "");
}

void PrintTo(const StoredHead& h, std::ostream* out) {
    *out << h.version << " " << h.state << " " << h.generation << " " << h.unique_ids << " " << h.reconciled << " "
         << h.next_number << " " << h.view_floor << " " << h.sizes_corrected;
}

}  // namespace popgate

namespace popgate::test {

StoredMessage some_message(std::uint32_t number) {
    StoredMessage message;
    message.number = number;
    message.info.id = std::to_string(number * 3 + 1000);
    message.info.octets = 1000 + number * 7;
    message.info.arrival = 1'700'000'000 + number;
    message.first_seen = 1'760'000'000 + number / 100;
    if (number % 3 == 0) {
        message.info.id = "AAMkAGI2_" + std::to_string(number) + "\xff=";
        message.info.unique_id = "GmailId" + std::to_string(number);
        message.info.octets_are_exact = true;
        message.info.octets = (std::uint64_t{1} << 40) + number;
        message.info.arrival = 0;
        message.retrieved = message.first_seen + 17;
        message.failures = static_cast<std::uint8_t>(number % 5);
        message.hidden = number % 2 == 0;
        message.quarantined = number % 9 == 0;
    }
    return message;
}

MailboxChange adding(const StoredHead& head, std::uint32_t first, std::uint32_t last) {
    MailboxChange change;
    change.head = head;
    change.head->next_number = last + 1;
    for (auto number = first; number <= last; ++number) change.added.push_back(some_message(number));
    return change;
}

namespace {

using Ids = std::map<std::string, std::string, std::less<>>;

StoredMailbox load(StateStore& store, Fiber& fiber, const std::string& mailbox = "m") {
    auto loaded = store.load(fiber, mailbox);
    EXPECT_TRUE(loaded) << loaded.error().text << ": " << loaded.error().detail;
    return loaded ? std::move(*loaded) : StoredMailbox{};
}

/// The new version; nothing where it was refused.
std::optional<std::uint64_t> save(StateStore& store, Fiber& fiber, MailboxChange change,
                                  const std::string& mailbox = "m") {
    const auto saved = store.save(fiber, mailbox, std::move(change));
    EXPECT_TRUE(saved) << saved.error().text << ": " << saved.error().detail;
    return saved ? *saved : std::nullopt;
}

MailboxChange hiding(std::uint32_t number) {
    MailboxChange change;
    auto& one = change.changed.emplace_back();
    one.number = number;
    one.id = some_message(number).info.id;
    one.hidden = true;
    return change;
}

std::vector<std::uint32_t> numbers(const StoredMailbox& mailbox) {
    std::vector<std::uint32_t> numbers;
    for (const auto& message : mailbox.messages) numbers.push_back(message.number);
    return numbers;
}

TEST_P(StateStoreContract, AMailboxThatIsNotKnownIsEmpty) {
    on_fiber([&](Fiber& fiber) {
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.head, StoredHead{});
        EXPECT_TRUE(loaded.messages.empty() && loaded.imported.empty());
        EXPECT_EQ(loaded.first_generation + loaded.imported_generation, "");
        EXPECT_TRUE(store->mailboxes(fiber)->empty());
        EXPECT_FALSE(*store->forget(fiber, "m"));
    });
    EXPECT_EQ(store->impairment(), "");
    EXPECT_TRUE(store->lasts());
}

TEST_P(StateStoreContract, WhatIsSavedIsLoaded) {
    on_fiber([&](Fiber& fiber) {
        StoredHead head;
        head.state = std::string("17 \0 4711", 9);
        head.generation = "g1";
        head.unique_ids = "%u.%v";
        head.reconciled = -5;
        head.view_floor = 3;
        const auto version = save(*store, fiber, adding(head, 1, 2000));
        ASSERT_TRUE(version && *version > 0);
        head.version = *version;
        head.next_number = 2001;
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.head, head);
        EXPECT_EQ(loaded.messages, adding({}, 1, 2000).added);
        EXPECT_TRUE(load(*store, fiber, "M").messages.empty()) << "another mailbox's";
    });
}

TEST_P(StateStoreContract, ExtremeValuesComeBack) {
    on_fiber([&](Fiber& fiber) {
        constexpr auto most = std::numeric_limits<std::uint64_t>::max();
        constexpr auto latest = std::numeric_limits<std::int64_t>::max();
        MailboxChange change;
        change.head.emplace();
        change.head->next_number = std::numeric_limits<std::uint32_t>::max();
        change.head->reconciled = std::numeric_limits<std::int64_t>::min();
        std::uint32_t number = 1;
        for (const auto& id : {std::string("1"), std::string("999999999999999999"), std::string("1000000000000000000"),
                               std::string("007"), std::string("0"), std::string(1, '\0'), std::string(5000, 'x'),
                               std::string("4294967295"), std::string("2")})
            for (const auto time :
                 {std::int64_t{0}, latest, std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}})
                change.added.push_back(
                    {{id, most, time, std::string(70, '~'), 0, true}, time, -1 - time, number++, 255, true, true});
        change.added.push_back({.info = {"a"}, .number = number += 511});
        change.added.push_back({.info = {"b"}, .number = 4294967294});
        const auto expected = change.added;
        EXPECT_TRUE(save(*store, fiber, std::move(change), std::string("\0\xff/ key\n", 8)));
        EXPECT_EQ(load(*store, fiber, std::string("\0\xff/ key\n", 8)).messages, expected);
    });
}

TEST_P(StateStoreContract, AHeadOfAnotherVersionChangesNothing) {
    on_fiber([&](Fiber& fiber) {
        const auto first = save(*store, fiber, adding({}, 1, 3));
        ASSERT_TRUE(first);
        EXPECT_EQ(save(*store, fiber, adding({}, 4, 5)), std::nullopt) << "an older one";
        auto head = load(*store, fiber).head;
        EXPECT_EQ(head.version, *first);
        ++head.version;
        auto change = adding(head, 4, 5);
        change.removed = {1};
        change.forget_all_before = true;
        change.changed = hiding(2).changed;
        EXPECT_EQ(save(*store, fiber, change), std::nullopt) << "one that never was";
        EXPECT_EQ(load(*store, fiber).messages, adding({}, 1, 3).added);
        change.head->version = *first;
        change.forget_all_before = false;
        const auto second = save(*store, fiber, change);
        EXPECT_TRUE(second && *second > *first);
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(numbers(loaded), (std::vector<std::uint32_t>{2, 3, 4, 5}));
        EXPECT_TRUE(loaded.messages[0].hidden);
        EXPECT_EQ(save(*store, fiber, adding(loaded.head, 6, 6), "n"), std::nullopt) << "nothing is stored there";
    });
}

TEST_P(StateStoreContract, ChangesApplyToWhatIsStoredNow) {
    on_fiber([&](Fiber& fiber) {
        const auto first = save(*store, fiber, adding({}, 1, 1000));
        MailboxChange change;
        change.changed.push_back({1, "1003", 77, 12, 3, true, true, "an id", 1234});
        change.changed.push_back({2, "not its id", 77, 12, 3, true, true});
        change.changed.push_back({999, some_message(999).info.id, {}, {}, {}, {}, {}});
        change.changed.push_back({4000, "1", 77, 12, 3, true, true});
        change.sizes_corrected = 2;
        EXPECT_EQ(save(*store, fiber, change), first) << "without a head, the version stays";
        auto expected = adding({}, 1, 1000).added;
        expected[0].info.octets = 77;
        expected[0].info.octets_are_exact = true;
        expected[0].info.unique_id = "an id";
        expected[0].info.arrival = 1234;
        expected[0].retrieved = 12;
        expected[0].failures = 3;
        expected[0].hidden = expected[0].quarantined = true;
        auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.messages, expected);
        EXPECT_EQ(loaded.head.sizes_corrected, 2U);

        MailboxChange back;
        back.head = StoredHead{};  // with a count that is out of date
        back.head->version = *first;
        back.head->next_number = 1001;
        back.sizes_corrected = 1;
        back.changed.push_back({1, "1003", {}, {}, {}, false, {}});
        EXPECT_TRUE(save(*store, fiber, back) > first);
        expected[0].hidden = false;
        loaded = load(*store, fiber);
        EXPECT_EQ(loaded.messages, expected);
        EXPECT_EQ(loaded.head.sizes_corrected, 3U);
    });
}

TEST_P(StateStoreContract, AChangeToAMailboxThatWasForgottenIsNotLostInSilence) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(save(*store, fiber, hiding(1)), std::nullopt);
        EXPECT_TRUE(store->mailboxes(fiber)->empty());
    });
}

TEST_P(StateStoreContract, RemovedMessagesGo) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 1500)));
        MailboxChange change;
        change.head = load(*store, fiber).head;
        std::vector<std::uint32_t> left{1};
        for (std::uint32_t number = 1500; number > 1; --number) change.removed.push_back(number);
        change.removed.push_back(5000);
        EXPECT_TRUE(save(*store, fiber, change));
        EXPECT_EQ(numbers(load(*store, fiber)), left);
        change = adding(load(*store, fiber).head, 1501, 1502);
        change.removed = {1};
        EXPECT_TRUE(save(*store, fiber, change));
        EXPECT_EQ(numbers(load(*store, fiber)), (std::vector<std::uint32_t>{1501, 1502}));
        change = adding(load(*store, fiber).head, 1503, 1503);
        change.forget_all_before = true;
        change.changed = hiding(1503).changed;
        EXPECT_TRUE(save(*store, fiber, change));
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(numbers(loaded), std::vector<std::uint32_t>{1503});
        EXPECT_TRUE(loaded.messages[0].hidden) << "what is added can be changed in the same step";
    });
}

TEST_P(StateStoreContract, AChangeThatMakesNoSenseIsRefusedWhole) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 10)));
        const auto head = load(*store, fiber).head;
        std::vector<MailboxChange> broken{adding(head, 10, 12),
                                          adding(head, 11, 11),
                                          adding(head, 11, 12),
                                          adding(head, 11, 12),
                                          adding(head, 11, 12),
                                          {},
                                          {}};
        broken[1].head->next_number = 11;
        std::swap(broken[2].added[0], broken[2].added[1]);
        broken[3].added[1].info.id.clear();
        broken[4].head->next_number = 9;
        broken[5].added.push_back(some_message(11));
        broken[6].removed = {1};
        for (auto& change : broken) {
            change.changed = hiding(1).changed;
            EXPECT_FALSE(store->save(fiber, "m", change)) << &change - broken.data();
        }
        EXPECT_EQ(load(*store, fiber).messages, adding({}, 1, 10).added);
        EXPECT_EQ(load(*store, fiber).head, head);
    });
}

TEST_P(StateStoreContract, WhatIsForgottenIsGoneButNotWhatKeepsUniqueIds) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->keep_first_generation(fiber, "m", "g1"));
        EXPECT_TRUE(store->keep_imported(fiber, "m", "g2", {{"1", "old-1"}}));
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 600)));
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 2), "n"));
        EXPECT_TRUE(*store->forget(fiber, "m"));
        EXPECT_FALSE(*store->forget(fiber, "m"));
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.head, StoredHead{});
        EXPECT_TRUE(loaded.messages.empty());
        EXPECT_EQ(loaded.first_generation, "g1");
        EXPECT_EQ(loaded.imported_generation, "g2");
        EXPECT_EQ(loaded.imported, (Ids{{"1", "old-1"}}));
        EXPECT_EQ(numbers(load(*store, fiber, "n")), (std::vector<std::uint32_t>{1, 2}));
    });
}

TEST_P(StateStoreContract, WhoHeldAMailboxOfBeforeItWasForgottenDoesNotTakeTheNewForTheOld) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 2)));
        const auto old = load(*store, fiber).head;
        EXPECT_TRUE(*store->forget(fiber, "m"));
        EXPECT_EQ(save(*store, fiber, adding(old, 3, 3)), std::nullopt);
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 2)));
        EXPECT_EQ(save(*store, fiber, adding(old, 3, 3)), std::nullopt);
    });
}

TEST_P(StateStoreContract, ImportedIdsReplaceThoseOfBefore) {
    on_fiber([&](Fiber& fiber) {
        Ids many;
        for (int i = 0; i < 5000; ++i) many[std::to_string(i)] = "old-" + std::to_string(i * 7);
        EXPECT_TRUE(store->keep_imported(fiber, "m", "g1", many));
        EXPECT_EQ(load(*store, fiber).imported, many);
        EXPECT_TRUE(store->keep_imported(fiber, "m", "g2", {{"a", "b"}, {"c", "d"}}));
        auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.imported, (Ids{{"a", "b"}, {"c", "d"}}));
        EXPECT_EQ(loaded.imported_generation, "g2");
        EXPECT_TRUE(store->keep_imported(fiber, "m", "", {}));
        loaded = load(*store, fiber);
        EXPECT_TRUE(loaded.imported.empty());
        EXPECT_EQ(loaded.imported_generation, "");
        EXPECT_TRUE(load(*store, fiber, "n").imported.empty());
    });
}

TEST_P(StateStoreContract, TheFirstGenerationIsTheFirst) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->keep_first_generation(fiber, "m", "g1"));
        EXPECT_TRUE(store->keep_first_generation(fiber, "m", "g2"));
        EXPECT_TRUE(store->keep_imported(fiber, "m", "g3", {}));
        EXPECT_EQ(load(*store, fiber).first_generation, "g1");
    });
}

TEST_P(StateStoreContract, RetiredIdsOnlyGrow) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->retired(fiber, "m")->empty());
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"a", 1}, {std::string("b\0\xff", 3), 7}}, 1'800'000'000));
        EXPECT_TRUE(
            store->keep_retired(fiber, "m", {{"a", 2}, {std::string("b\0\xff", 3), 6}, {"c", 1}}, 1'800'000'001));
        const RetiredIds expected{{"a", 2}, {std::string("b\0\xff", 3), 7}, {"c", 1}};
        EXPECT_EQ(*store->retired(fiber, "m"), expected);
        EXPECT_TRUE(store->retired(fiber, "n")->empty()) << "another mailbox's";
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 1)));
        EXPECT_TRUE(*store->forget(fiber, "m"));
        EXPECT_EQ(*store->retired(fiber, "m"), expected);
    });
}

TEST_P(StateStoreContract, RetiredIdsGoAfter400Days) {
    on_fiber([&](Fiber& fiber) {
        constexpr std::int64_t day = 86'400, first = 1'800'000'000;
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"a", 1}, {"b", 1}}, first));
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"b", 2}}, first + 300 * day));
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"c", 1}}, first + 401 * day));
        EXPECT_EQ(*store->retired(fiber, "m"), (RetiredIds{{"a", 1}, {"b", 2}, {"c", 1}}));
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"d", 1}}, first + 402 * day));
        EXPECT_EQ(*store->retired(fiber, "m"), (RetiredIds{{"b", 2}, {"c", 1}, {"d", 1}}));
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"e", 1}}, first + 9'000 * day)) << "a clock that is ahead";
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"f", 1}}, first + 403 * day));
        EXPECT_EQ(*store->retired(fiber, "m"), (RetiredIds{{"b", 2}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}}));
    });
}

TEST_P(StateStoreContract, MailboxesAreTheKeysOfWhateverIsStored) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->keep_retired(fiber, "imap:c", {{"a", 1}}, 1));
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 1), "imap:b"));
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 1), "imap:B"));
        EXPECT_TRUE(save(*store, fiber, adding({}, 1, 1), "\xff"));
        EXPECT_TRUE(store->keep_first_generation(fiber, "imap:a", "g"));
        EXPECT_TRUE(store->keep_first_generation(fiber, "imap:b", "g"));
        EXPECT_EQ(*store->mailboxes(fiber), (std::vector<std::string>{"imap:B", "imap:a", "imap:b", "imap:c", "\xff"}));
    });
}

TEST_P(StateStoreContract, NodesSeeWhatEachOtherWrites) {
    if (!fixture->has_nodes()) GTEST_SKIP() << "lives in one process";
    const auto other = fixture->open();
    on_fiber([&](Fiber& fiber) {
        const auto first = save(*store, fiber, adding({}, 1, 3));
        auto head = load(*other, fiber).head;
        EXPECT_EQ(head.version, first);
        const auto second = save(*other, fiber, adding(head, 4, 5));
        EXPECT_TRUE(second > first);
        EXPECT_EQ(save(*store, fiber, adding(head, 4, 6)), std::nullopt);
        EXPECT_EQ(save(*store, fiber, hiding(4)), second);
        EXPECT_EQ(save(*other, fiber, hiding(5)), second);
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(numbers(loaded), (std::vector<std::uint32_t>{1, 2, 3, 4, 5}));
        EXPECT_TRUE(loaded.messages[3].hidden && loaded.messages[4].hidden);
        EXPECT_TRUE(other->keep_imported(fiber, "m", "g", {{"1", "x"}}));
        EXPECT_EQ(load(*store, fiber).imported.size(), 1U);
        EXPECT_TRUE(*other->forget(fiber, "m"));
        EXPECT_EQ(load(*store, fiber).head.version, 0U);
    });
    const auto third = fixture->open();
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(load(*third, fiber).imported.size(), 1U); });
}

TEST_P(StateStoreContract, AHundredThousandMessages) {
    on_fiber([&](Fiber& fiber) {
        const auto version = save(*store, fiber, adding({}, 1, 100'000));
        const auto loaded = load(*store, fiber);
        EXPECT_TRUE(loaded.messages == adding({}, 1, 100'000).added);
        EXPECT_EQ(save(*store, fiber, hiding(50'000)), version);
        EXPECT_TRUE(load(*store, fiber).messages[49'999].hidden);
    });
}

/// Fibers of several threads, each on a node of its own where there are nodes.
TEST_P(StateStoreContract, ConcurrentWritersLoseNothing) {
    constexpr int threads = 4, fibers = 4, rounds = 12;
    constexpr std::uint32_t messages = 600;
    on_fiber([&](Fiber& fiber) { ASSERT_TRUE(save(*store, fiber, adding({}, 1, messages))); });

    BlockingPool pool(6, SIZE_MAX);
    set_blocking_pool(Blocking::state, &pool);
    std::vector<std::unique_ptr<StateStore>> nodes;
    for (int i = 0; i < threads && fixture->has_nodes(); ++i) nodes.push_back(fixture->open());
    std::atomic<int> head_changes = 0;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            auto& node = nodes.empty() ? *store : *nodes[static_cast<std::size_t>(t)];
            boost::asio::io_context context(1);
            const auto body = [&, t](int f) {
                return [&, t, f](Fiber& fiber) {
                    for (int round = 0; round < rounds; ++round) {
                        const auto mine = static_cast<std::uint32_t>((t * fibers + f) * rounds + round + 1);
                        MailboxChange change = hiding(mine);
                        change.sizes_corrected = 1;
                        EXPECT_TRUE(save(node, fiber, change));
                        std::optional<std::uint64_t> saved;
                        while (!saved && !testing::Test::HasFailure()) {
                            const auto head = load(node, fiber).head;
                            saved = save(node, fiber, adding(head, head.next_number, head.next_number));
                        }
                        ++head_changes;
                    }
                };
            };
            for (int f = 0; f < fibers; ++f)
                Fiber::start(context, body(f), [](const std::exception& error) { ADD_FAILURE() << error.what(); });
            context.run();
        });
    for (auto& thread : running) thread.join();
    set_blocking_pool(Blocking::state, nullptr);

    constexpr int writers = threads * fibers;
    EXPECT_EQ(head_changes, writers * rounds);
    on_fiber([&](Fiber& fiber) {
        const auto loaded = load(*store, fiber);
        EXPECT_EQ(loaded.head.sizes_corrected, std::uint64_t{writers * rounds});
        EXPECT_EQ(loaded.messages.size(), messages + writers * rounds);
        for (std::uint32_t i = 0; i < writers * rounds; ++i) EXPECT_TRUE(loaded.messages.at(i).hidden) << i;
    });
}

// --- accounts' records

TEST_P(StateStoreContract, ARecordIsReplacedByWhoHasSeenItLast) {
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(store->record(fiber, "tokens", "ann")->revision, 0U);
        EXPECT_FALSE(*store->keep_record(fiber, "tokens", "ann", "x", 7)) << "there is none";
        EXPECT_TRUE(*store->keep_record(fiber, "tokens", "ann", std::string("a\0\xff", 3), 0));
        const auto first = store->record(fiber, "tokens", "ann");
        EXPECT_EQ(first->octets, std::string("a\0\xff", 3));
        EXPECT_NE(first->revision, 0U);
        EXPECT_FALSE(*store->keep_record(fiber, "tokens", "ann", "b", 0)) << "there is one";
        EXPECT_TRUE(*store->keep_record(fiber, "tokens", "ann", "b", first->revision));
        EXPECT_FALSE(*store->keep_record(fiber, "tokens", "ann", "c", first->revision));
        EXPECT_EQ(store->record(fiber, "tokens", "ann")->octets, "b");
        const std::string large(300'000, 'l');
        EXPECT_TRUE(
            *store->keep_record(fiber, "tokens", "ann", large, store->record(fiber, "tokens", "ann")->revision));
        EXPECT_TRUE(store->record(fiber, "tokens", "ann")->octets == large);
    });
}

TEST_P(StateStoreContract, WhoHasSeenARecordThatWasErasedDoesNotReplaceTheNextOne) {
    on_fiber([&](Fiber& fiber) {
        ASSERT_TRUE(*store->keep_record(fiber, "account", "ann", "old", 0));
        const auto seen = store->record(fiber, "account", "ann")->revision;
        EXPECT_TRUE(*store->erase_record(fiber, "account", "ann"));
        EXPECT_FALSE(*store->erase_record(fiber, "account", "ann"));
        EXPECT_EQ(store->record(fiber, "account", "ann")->revision, 0U);
        EXPECT_FALSE(*store->keep_record(fiber, "account", "ann", "late", seen));
        EXPECT_TRUE(*store->keep_record(fiber, "account", "ann", "new", 0));
        EXPECT_FALSE(*store->keep_record(fiber, "account", "ann", "late", seen));
        EXPECT_EQ(store->record(fiber, "account", "ann")->octets, "new");
    });
}

TEST_P(StateStoreContract, RecordsGoByKindAndName) {
    on_fiber([&](Fiber& fiber) {
        const std::vector<std::string> names = {"Ann", "ann", "ann@example.com", std::string("n\0l", 3), "\xff%_"};
        for (const auto& name : names) EXPECT_TRUE(*store->keep_record(fiber, "account", name, "of " + name, 0));
        EXPECT_TRUE(*store->keep_record(fiber, "tokens", "ann", "other", 0));
        EXPECT_EQ(*store->record_names(fiber, "account"), names);
        EXPECT_EQ(*store->record_names(fiber, "tokens"), std::vector<std::string>{"ann"});
        EXPECT_TRUE(store->record_names(fiber, "nothing")->empty());
        for (const auto& name : names) EXPECT_EQ(store->record(fiber, "account", name)->octets, "of " + name);
        EXPECT_TRUE(*store->erase_record(fiber, "account", "ann"));
        EXPECT_EQ(store->record(fiber, "account", "Ann")->octets, "of Ann");
        EXPECT_EQ(store->record(fiber, "tokens", "ann")->octets, "other");
        // They are of accounts, not of mailboxes.
        EXPECT_TRUE(store->mailboxes(fiber)->empty());
        EXPECT_FALSE(*store->forget(fiber, "ann"));
        EXPECT_EQ(store->record(fiber, "tokens", "ann")->octets, "other");
    });
}

TEST_P(StateStoreContract, ARecordIsThereWhenItIsOpenedAgain) {
    if (!fixture->has_nodes()) GTEST_SKIP() << "it ends with its process";
    on_fiber([&](Fiber& fiber) {
        ASSERT_TRUE(*store->keep_record(fiber, "account", "ann", "octets", 0));
        const auto other = fixture->open();
        EXPECT_EQ(other->record(fiber, "account", "ann")->octets, "octets");
        EXPECT_TRUE(
            *other->keep_record(fiber, "account", "ann", "more", other->record(fiber, "account", "ann")->revision));
        EXPECT_EQ(store->record(fiber, "account", "ann")->octets, "more");
    });
}

TEST_P(StateStoreContract, RecordsThatManyChangeLoseNothing) {
    constexpr int threads = 4, rounds = 25;
    BlockingPool pool(6, SIZE_MAX);
    set_blocking_pool(Blocking::state, &pool);
    std::vector<std::unique_ptr<StateStore>> nodes;
    for (int i = 0; i < threads && fixture->has_nodes(); ++i) nodes.push_back(fixture->open());
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            auto& node = nodes.empty() ? *store : *nodes[static_cast<std::size_t>(t)];
            boost::asio::io_context context(1);
            Fiber::start(
                context,
                [&](Fiber& fiber) {
                    for (int round = 0; round < rounds;) {
                        const auto before = node.record(fiber, "tokens", "ann");
                        ASSERT_TRUE(before) << before.error().detail;
                        const auto kept =
                            node.keep_record(fiber, "tokens", "ann", before->octets + 'x', before->revision);
                        ASSERT_TRUE(kept) << kept.error().detail;
                        round += *kept ? 1 : 0;
                    }
                },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
            context.run();
        });
    for (auto& thread : running) thread.join();
    set_blocking_pool(Blocking::state, nullptr);
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(store->record(fiber, "tokens", "ann")->octets.size(), std::size_t{threads * rounds});
    });
}

// --- claims

/// Freed without waiting, or by the end of a node that cannot say so, it is free a little later.
std::unique_ptr<Claim> claim_in_time(StateStore& store, Fiber& fiber) {
    for (const auto end = Clock::now() + std::chrono::seconds(20); Clock::now() < end;) {
        auto claim = store.try_claim(fiber, "refresh/ann");
        EXPECT_TRUE(claim) << claim.error().detail;
        if (!claim || *claim) return claim ? std::move(*claim) : nullptr;
        fiber.sleep_until(Clock::now() + std::chrono::milliseconds(20));
    }
    return nullptr;
}

TEST_P(StateStoreContract, AClaimIsOnesAlone) {
    on_fiber([&](Fiber& fiber) {
        auto claim = store->try_claim(fiber, "refresh/ann");
        ASSERT_TRUE(claim && *claim);
        EXPECT_EQ(*store->try_claim(fiber, "refresh/ann"), nullptr);
        EXPECT_NE(*store->try_claim(fiber, "refresh/bob"), nullptr);
        const auto other = fixture->has_nodes() ? fixture->open() : nullptr;
        if (other) {
            EXPECT_EQ(*other->try_claim(fiber, "refresh/ann"), nullptr);
        }
        claim->reset();
        auto& claims = other ? *other : *store;
        const auto next = claim_in_time(claims, fiber);
        EXPECT_NE(next, nullptr);
        EXPECT_EQ(*store->try_claim(fiber, "refresh/ann"), nullptr);
    });
}

TEST_P(StateStoreContract, AClaimEndsWithItsProcess) {
    if (!fixture->has_nodes()) GTEST_SKIP() << "no other process has it";
    int from_child[2];
    ASSERT_EQ(::pipe(from_child), 0);
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        on_fiber([&](Fiber& fiber) {
            const auto node = fixture->open();
            const auto claim = node->try_claim(fiber, "refresh/ann");
            const char told = claim && *claim ? 'y' : 'n';
            if (::write(from_child[1], &told, 1) == 1) ::pause();
        });
        ::_exit(1);
    }
    char told = 0;
    EXPECT_EQ(::read(from_child[0], &told, 1), 1);
    EXPECT_EQ(told, 'y');
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(*store->try_claim(fiber, "refresh/ann"), nullptr); });
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(from_child[0]);
    ::close(from_child[1]);
    on_fiber([&](Fiber& fiber) { EXPECT_NE(claim_in_time(*store, fiber), nullptr); });
}

// --- maildrops

TEST_P(StateStoreContract, AMaildropIsOneSessionsAlone) {
    on_fiber([&](Fiber& fiber) {
        auto first = store->hold_maildrop(fiber, "imap:ann");
        ASSERT_TRUE(first) << first.error().detail;
        ASSERT_TRUE(first->hold);
        EXPECT_FALSE(store->hold_maildrop(fiber, "imap:ann")->hold) << "on the same node";
        EXPECT_TRUE(store->hold_maildrop(fiber, "imap:bob")->hold) << "others do not matter";
        EXPECT_GT(first->hold->held_until(), Clock::now());
        EXPECT_TRUE(first->hold->confirm(fiber));
        first->hold->release(fiber);
        first->hold.reset();
        EXPECT_TRUE(store->hold_maildrop(fiber, "imap:ann")->hold) << "at once";
    });
}

TEST_P(StateStoreContract, ARefusalFreesNothing) {
    on_fiber([&](Fiber& fiber) {
        const auto held = store->hold_maildrop(fiber, "m");
        for (int i = 0; i < 3; ++i) EXPECT_FALSE(store->hold_maildrop(fiber, "m")->hold);
        EXPECT_TRUE(held->hold->confirm(fiber));
    });
}

}  // namespace
}  // namespace popgate::test
