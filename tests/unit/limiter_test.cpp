#include "backends/limiter.hpp"

#include "tests/support/on_fiber.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;

TEST(Limiter, LetsNoMoreThroughThanItsLimits) {
    Limiter limiter({.concurrent_per_account = 2, .concurrent_per_application = 3});
    std::atomic<int> of_a = 0, of_all = 0, most_of_a = 0, most = 0, done = 0;
    const auto run = [&](const std::string& account) {
        boost::asio::io_context context(1);
        for (int i = 0; i < 8; ++i)
            Fiber::start(
                context,
                [&](Fiber& fiber) {
                    for (int round = 0; round < 50; ++round) {
                        auto slot = limiter.acquire(fiber, account, 1, Clock::now() + 30s);
                        ASSERT_TRUE(slot);
                        if (account == "a") most_of_a = std::max<int>(most_of_a, ++of_a);
                        most = std::max<int>(most, ++of_all);
                        fiber.give_way();
                        --of_all;
                        if (account == "a") --of_a;
                    }
                    ++done;
                },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        context.run();
    };
    std::thread a([&] { run("a"); }), b([&] { run("b"); });
    a.join();
    b.join();
    EXPECT_EQ(done, 16);
    EXPECT_LE(most_of_a, 2);
    EXPECT_LE(most, 3);
}

TEST(Limiter, AnAccountAtItsLimitHoldsUpNoOther) {
    Limiter limiter({.concurrent_per_account = 1, .concurrent_per_application = 10});
    on_fiber([&](Fiber& fiber) {
        auto held = limiter.acquire(fiber, "a", 1, Clock::now() + 5s);
        EXPECT_TRUE(limiter.acquire(fiber, "b", 1, Clock::now() + 5s));
        const auto refused = limiter.acquire(fiber, "a", 1, Clock::now() + 50ms);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::temporary);
        *held = {};
        EXPECT_TRUE(limiter.acquire(fiber, "a", 1, Clock::now() + 5s));
    });
}

TEST(Limiter, WhatIsOfferedGoesToWhoWaits) {
    Limiter limiter({.concurrent_per_account = 1, .concurrent_per_application = 10});
    on_fiber([&](Fiber& fiber) {
        auto kept = *limiter.acquire(fiber, "a", 1, Clock::now() + 5s);
        int wanted = 0;
        const auto give_back = [&] {
            ++wanted;
            kept = {};
        };
        ASSERT_TRUE(kept.offer(fiber.context(), give_back));
        EXPECT_TRUE(limiter.acquire(fiber, "b", 1, Clock::now() + 5s));
        fiber.give_way();
        EXPECT_EQ(wanted, 0) << "another account's";
        auto slot = limiter.acquire(fiber, "a", 1, Clock::now() + 5s);
        ASSERT_TRUE(slot);
        EXPECT_EQ(wanted, 1);

        ASSERT_TRUE(slot->offer(fiber.context(), give_back));
        slot->withdraw();
        EXPECT_FALSE(limiter.acquire(fiber, "a", 1, Clock::now() + 50ms));
        EXPECT_EQ(wanted, 1);

        bool has_ended = false;
        Fiber::start(
            fiber.context(),
            [&](Fiber& other) { has_ended = limiter.acquire(other, "a", 1, Clock::now() + 5s).has_value(); },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        fiber.give_way();
        EXPECT_FALSE(slot->offer(fiber.context(), give_back)) << "it is waited for already";
        *slot = {};
        while (!has_ended) fiber.give_way();
        EXPECT_EQ(wanted, 1);
    });
}

TEST(Limiter, RoomToSpareIsOnlyWhatNobodyWillMiss) {
    on_fiber([&](Fiber& fiber) {
        Limiter of_account({.concurrent_per_account = 3});
        auto held = of_account.acquire(fiber, "a", 1, Clock::now() + 5s);
        auto spare = of_account.acquire_spare("a", 1);
        EXPECT_TRUE(spare);
        EXPECT_FALSE(of_account.acquire_spare("a", 1)) << "the last slot";
        EXPECT_TRUE(of_account.acquire(fiber, "a", 1, Clock::now())) << "is for who waits";
        EXPECT_TRUE(of_account.acquire_spare("b", 1));
        spare.reset();
        EXPECT_TRUE(of_account.acquire_spare("a", 1));
        of_account.back_off("a", Clock::now() + 10s);
        EXPECT_FALSE(of_account.acquire_spare("a", 1));

        Limiter of_application({.concurrent_per_account = 0, .concurrent_per_application = 4});
        auto first = of_application.acquire_spare("a", 1);
        auto second = of_application.acquire_spare("b", 1);
        EXPECT_TRUE(first && second);
        EXPECT_FALSE(of_application.acquire_spare("c", 1)) << "more than half of all";
        first->begin_body();
        EXPECT_TRUE(of_application.acquire_spare("c", 1));

        // A tenth of them may be used at once.
        Limiter of_units({.units_per_minute = 1000});
        EXPECT_TRUE(of_units.acquire_spare("a", 40));
        EXPECT_FALSE(of_units.acquire_spare("a", 40)) << "more than half of what may be used at once";
        EXPECT_TRUE(of_units.acquire(fiber, "a", 40, Clock::now()));
    });
}

TEST(Limiter, SpendsNoMoreUnitsInAMinuteThanThereAre) {
    // 60,000 a minute are 1,000 a second: what a second allows is seen in less than one.
    Limiter limiter({.concurrent_per_account = 0, .concurrent_per_application = 0, .units_per_minute = 60'000});
    on_fiber([&](Fiber& fiber) {
        const auto begin = Clock::now();
        for (int i = 0; i < 66; ++i) ASSERT_TRUE(limiter.acquire(fiber, "a", 100, Clock::now() + 5s));
        const auto took = Clock::now() - begin;
        EXPECT_GE(took, 600ms);  // 6,000 come at once, 600 at nine tenths of the rate
        EXPECT_LT(took, 5s);
        ASSERT_TRUE(limiter.acquire(fiber, "b", 100, Clock::now()));  // of another account
        // What would take too long is refused at once, and costs nothing.
        const auto before = Clock::now();
        EXPECT_FALSE(limiter.acquire(fiber, "a", 60'000, before + 1s));
        EXPECT_LT(Clock::now() - before, 1s);
        EXPECT_TRUE(limiter.acquire(fiber, "a", 100, Clock::now() + 1s));
    });
}

TEST(Limiter, ObeysAPause) {
    Limiter limiter({});
    on_fiber([&](Fiber& fiber) {
        limiter.back_off("a", Clock::now() + 200ms);
        const auto begin = Clock::now();
        EXPECT_TRUE(limiter.acquire(fiber, "b", 1, begin + 5s));
        EXPECT_TRUE(limiter.acquire(fiber, "a", 1, begin + 5s));
        EXPECT_GE(Clock::now() - begin, 200ms);
        limiter.back_off("a", Clock::now() + 1h);
        EXPECT_FALSE(limiter.acquire(fiber, "a", 1, Clock::now() + 5s));
    });
}

TEST(Limiter, WhoHasASlotWaitsOutAPause) {
    Limiter limiter({.concurrent_per_account = 1});
    on_fiber([&](Fiber& fiber) {
        const auto slot = limiter.acquire(fiber, "a", 0, Clock::now() + 5s);
        ASSERT_TRUE(slot);
        EXPECT_TRUE(limiter.wait_out(fiber, "a", Clock::now() + 5s)) << "nothing is asked";
        const auto until = Clock::now() + 50ms;
        limiter.back_off("a", until);
        EXPECT_TRUE(limiter.wait_out(fiber, "b", Clock::now()));
        EXPECT_TRUE(limiter.wait_out(fiber, "a", Clock::now() + 5s));
        EXPECT_GE(Clock::now(), until);
        limiter.back_off("a", Clock::now() + 1h);
        const auto too_long = limiter.wait_out(fiber, "a", Clock::now() + 5s);
        ASSERT_FALSE(too_long);
        EXPECT_EQ(too_long.error().code, Errc::temporary);
    });
}

}  // namespace
}  // namespace popgate
