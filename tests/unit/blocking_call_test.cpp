#include "gateway/net/blocking_call.hpp"

#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>
#include <boost/asio/post.hpp>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace popgate {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::on_fiber;

constexpr auto soon = 20ms;
constexpr auto never = 60s;
Deadline in(Clock::duration duration) { return Clock::now() + duration; }

TEST(BlockingCall, GivesTheResultOfAnotherThread) {
    on_fiber([](Fiber& fiber) {
        const auto result = blocking_call(fiber, in(never), [] { return std::this_thread::get_id(); });
        ASSERT_TRUE(result);
        EXPECT_NE(*result, std::this_thread::get_id());
        EXPECT_EQ(blocking_call(fiber, in(never), [text = std::string("owned")] { return text + " text"; }),
                  "owned text");
    });
}

TEST(BlockingCall, LetsOtherFibersRunMeanwhile) {
    on_fiber([](Fiber& fiber) {
        auto gate = std::make_shared<std::latch>(1);
        asio::post(fiber.context(), [gate] { gate->count_down(); });  // runs only while this fiber is suspended
        EXPECT_EQ(blocking_call(fiber, in(never), [gate] { return gate->wait(), 1; }), 1);
    });
}

TEST(BlockingCall, RethrowsWhatWasThrown) {
    on_fiber([](Fiber& fiber) {
        std::string thrown;
        try {
            (void)blocking_call(fiber, in(never), []() -> int { throw std::runtime_error("no such file"); });
        } catch (const std::runtime_error& error) {
            thrown = error.what();
        }
        EXPECT_EQ(thrown, "no such file");
        EXPECT_EQ(blocking_call(fiber, in(never), [] { return 2; }), 2) << "and the pool goes on";
    });
}

TEST(BlockingCall, TimesOutAndALateEndWakesNobody) {
    on_fiber([](Fiber& fiber) {
        auto gate = std::make_shared<std::latch>(1);
        auto first_is_done = std::make_shared<std::latch>(1);
        const auto deadline = in(soon);
        const auto late = blocking_call(fiber, deadline, [gate, first_is_done] {
            gate->wait();
            first_is_done->count_down();
            return 1;
        });
        EXPECT_FALSE(late);
        EXPECT_GE(Clock::now(), deadline);
        gate->count_down();
        // Its end comes while this one is waited for, and must not be taken for this one's.
        EXPECT_EQ(blocking_call(fiber, in(never), [first_is_done] { return first_is_done->wait(), 2; }), 2);
        const auto asleep_until = in(soon);
        EXPECT_FALSE(fiber.sleep_until(asleep_until));
        EXPECT_GE(Clock::now(), asleep_until);
    });
}

TEST(BlockingCall, AnInterruptEndsTheWaitButNotTheWork) {
    on_fiber([](Fiber& fiber) {
        auto gate = std::make_shared<std::latch>(1);
        auto done = std::make_shared<std::promise<int>>();
        auto end = done->get_future();
        asio::post(fiber.context(), [&fiber] { fiber.interrupt(); });
        EXPECT_FALSE(blocking_call(fiber, in(never), [gate, done] {
            gate->wait();
            done->set_value(3);
            return 3;
        }));
        gate->count_down();
        EXPECT_EQ(end.get(), 3);
    });
}

TEST(BlockingCall, TheLimitOfTheConversationHolds) {
    on_fiber([](Fiber& fiber) {
        auto gate = std::make_shared<std::latch>(1);
        fiber.set_limit(in(soon));
        EXPECT_FALSE(blocking_call(fiber, in(never), [gate] { return gate->wait(), 1; }));
        gate->count_down();
    });
}

TEST(BlockingCall, AFullQueueRefusesAtOnceAndServesAgainLater) {
    on_fiber(
        [](Fiber& fiber) {
            auto gate = std::make_shared<std::latch>(1);
            auto both_are_done = std::make_shared<std::latch>(2);
            for (int i = 0; i < 2; ++i)  // one runs, one waits
                EXPECT_FALSE(blocking_call(fiber, in(soon), [gate, both_are_done] {
                    gate->wait();
                    both_are_done->count_down();
                    return 1;
                }));
            auto ran = std::make_shared<std::atomic<bool>>(false);
            const auto asked = Clock::now();
            EXPECT_FALSE(blocking_call(fiber, in(never), [ran] { return ran->store(true), 1; }));
            EXPECT_LT(Clock::now(), asked + never / 2);
            gate->count_down();
            both_are_done->wait();
            // The pool counts a call out only after its work has ended.
            std::optional<int> served;
            while (!served) served = blocking_call(fiber, in(never), [] { return 4; });
            EXPECT_EQ(served, 4);
            EXPECT_FALSE(*ran);
        },
        1, 2);
}

TEST(BlockingCall, ManyFibersShareAPool) {
    asio::io_context context(1);
    BlockingPool pool(2, 1000);
    set_blocking_pool(Blocking::files, &pool);
    int sum = 0;
    for (int i = 1; i <= 100; ++i)
        Fiber::start(
            context, [&sum, i](Fiber& fiber) { sum += blocking_call(fiber, in(never), [i] { return i; }).value_or(0); },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
    context.run();
    EXPECT_EQ(sum, 5050);
    set_blocking_pool(Blocking::files, nullptr);
}

TEST(BlockingCall, SomebodyElsesWakeDoesNotEndIt) {
    on_fiber([](Fiber& fiber) {
        auto gate = std::make_shared<std::latch>(1);
        fiber.wake();
        asio::post(fiber.context(), [&fiber, gate] {
            fiber.wake();
            asio::post(fiber.context(), [gate] { gate->count_down(); });
        });
        EXPECT_EQ(blocking_call(fiber, in(never), [gate] { return gate->wait(), 5; }), 5);
    });
}

TEST(BlockingCall, EachKindHasItsOwnPool) {
    asio::io_context context(1);
    BlockingPool files(1, 1), names(1, 1);
    set_blocking_pool(Blocking::files, &files);
    set_blocking_pool(Blocking::names, &names);
    std::optional<int> read;
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            auto gate = std::make_shared<std::latch>(1);
            const auto stuck = [gate] { return gate->wait(), 1; };
            EXPECT_FALSE(blocking_call(fiber, in(soon), stuck, Blocking::names));
            EXPECT_FALSE(names.idle());
            EXPECT_TRUE(files.idle());
            read = blocking_call(fiber, in(never), [] { return 6; });
            gate->count_down();
        },
        [](const std::exception& error) { ADD_FAILURE() << error.what(); });
    context.run();
    EXPECT_EQ(read, 6);
    for (const auto kind : {Blocking::files, Blocking::names}) set_blocking_pool(kind, nullptr);
}

}  // namespace
}  // namespace popgate
