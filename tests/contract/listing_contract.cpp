// A listing that begins where another ended is the same as one from nothing.
#include "tests/contract/contract_checks.hpp"

#include <random>

namespace popgate::test {
namespace {

Listing list(Fiber& fiber, const MailboxFixture& fixture, KnownMailbox known) {
    auto opened = fixture.backend().open(fiber, fixture.login());
    if (!opened) throw std::runtime_error("open: " + opened.error().text + ": " + opened.error().detail);
    auto listed = (*opened)->list(std::move(known));
    if (!listed) throw std::runtime_error("list: " + listed.error().text + ": " + listed.error().detail);
    (*opened)->close();
    return std::move(*listed);
}

std::vector<std::string> ids_of(const Listing& listing) {
    std::vector<std::string> ids;
    for (const auto& each : listing.messages) ids.push_back(each.id);
    return ids;
}

/// As the gateway would remember it: with sizes that it has learned, and places of its own.
KnownMailbox remembered(const Listing& listing) {
    KnownMailbox known{listing.state, listing.messages, listing.generation, listing.generation};
    std::uint32_t tag = 0;
    for (auto& each : known.messages) {
        each.tag = ++tag;
        each.octets = 5'000'000'000 + tag;
        each.octets_are_exact = true;
    }
    return known;
}

/// What is there, and of what was known before, all that was known.
void expect_same(const Listing& later, const KnownMailbox& known, const Listing& from_nothing) {
    ASSERT_EQ(ids_of(later), ids_of(from_nothing));
    EXPECT_EQ(later.generation, from_nothing.generation);
    EXPECT_EQ(later.state, from_nothing.state);
    for (std::size_t i = 0; i < later.messages.size(); ++i) {
        const auto& message = later.messages[i];
        const auto old = std::find_if(known.messages.begin(), known.messages.end(),
                                      [&](const auto& each) { return each.id == message.id; });
        const auto& expected = old == known.messages.end() ? from_nothing.messages[i] : *old;
        EXPECT_EQ(message.arrival, expected.arrival);
        EXPECT_EQ(message.octets, expected.octets) << "message " << message.id;
        EXPECT_EQ(message.octets_are_exact, expected.octets_are_exact);
        EXPECT_EQ(message.tag, expected.tag);
    }
}

TEST_P(MailboxContract, AListingFromAKnownStateIsTheSameAsFromNothing) {
    POPGATE_WITH_FIXTURE(fixture);
    on_fiber([&](Fiber& fiber) {
        auto before = list(fiber, fixture, {});
        if (before.state.empty()) GTEST_SKIP() << "each look is at everything";
        std::minstd_rand random(7);
        std::size_t count = 0, delivered = 0;
        for (int round = 0; round < 15; ++round) {
            for (auto changes = random() % 6; changes > 0; --changes) {
                if (count > 0 && random() % 2 == 0) {
                    fixture.remove(random() % count--);
                } else {
                    const auto subject = fixture.folds_copies() ? delivered++ : static_cast<std::size_t>(round);
                    fixture.deliver(message(std::to_string(subject), std::string(random() % 50, 'x') + "\n"));
                    ++count;
                }
                // Another client looks: what has come is numbered, and what has gone is forgotten.
                if (random() % 3 == 0) list(fiber, fixture, {});
            }
            const auto known = remembered(before);
            const auto later = list(fiber, fixture, known);
            const auto from_nothing = list(fiber, fixture, {});
            expect_same(later, known, from_nothing);
            ASSERT_EQ(later.messages.size(), count) << "round " << round;
            // Now and then an old state, and not the last one.
            if (random() % 3 != 0) before = from_nothing;
        }
    });
}

TEST_P(MailboxContract, OfManyMessagesEachChangeIsFound) {
    POPGATE_WITH_FIXTURE(fixture);
    on_fiber([&](Fiber& fiber) {
        if (list(fiber, fixture, {}).state.empty()) GTEST_SKIP() << "each look is at everything";
        for (int i = 0; i < 300; ++i) fixture.deliver(message(std::to_string(i)));
        list(fiber, fixture, {});
        for (std::size_t i = 0; i < 149; ++i) fixture.remove(i);  // so that there are gaps
        auto before = list(fiber, fixture, {});
        ASSERT_EQ(before.messages.size(), 151U);
        int round = 0;
        for (const bool comes : {false, true, false, true, true}) {
            const auto known = remembered(before);
            if (comes) fixture.deliver(message("new" + std::to_string(++round)));
            fixture.remove(100);
            const auto later = list(fiber, fixture, known);
            const auto from_nothing = list(fiber, fixture, {});
            expect_same(later, known, from_nothing);
            before = from_nothing;
        }
    });
}

TEST_P(MailboxContract, AStateThatIsNoneHarmsNothing) {
    POPGATE_WITH_FIXTURE(fixture);
    for (int i = 0; i < 3; ++i) fixture.deliver(message(std::to_string(i)));
    on_fiber([&](Fiber& fiber) {
        const auto from_nothing = list(fiber, fixture, {});
        if (from_nothing.state.empty()) GTEST_SKIP() << "each look is at everything";
        for (const auto& state : {std::string("x"), from_nothing.state + "1", from_nothing.state.substr(1),
                                  std::string(100'000, '9'), std::string("\0\r\n", 3)}) {
            auto known = remembered(from_nothing);
            known.state = state;
            EXPECT_EQ(ids_of(list(fiber, fixture, known)), ids_of(from_nothing)) << state.substr(0, 100);
            known.messages.erase(known.messages.begin());
            EXPECT_EQ(ids_of(list(fiber, fixture, known)), ids_of(from_nothing)) << state.substr(0, 100);
        }
    });
}

}  // namespace
}  // namespace popgate::test
