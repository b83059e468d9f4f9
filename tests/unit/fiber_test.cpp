#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"

#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#ifdef POPGATE_SANITIZED
#include <sanitizer/asan_interface.h>
#endif

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace popgate {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using test::on_fiber;

/// Two ends of a connection over loopback.
struct Pair {
    explicit Pair(asio::io_context& context) : here(context), there(context) {
        tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        there.connect(acceptor.local_endpoint());
        acceptor.accept(here);
        here.non_blocking(true);
    }
    void send(std::string_view octets) { asio::write(there, asio::buffer(octets)); }
    tcp::socket here;
    tcp::socket there;
};

constexpr auto soon = 20ms;  // a deadline that shall pass
constexpr auto never = 60s;  // one that shall not; a test that waits for it has failed
Deadline in(Clock::duration duration) { return Clock::now() + duration; }

TEST(FiberWait, EndsWhenThereAreOctets) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        asio::post(fiber.context(), [&] { pair.send("x"); });
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_read, in(never)));
        EXPECT_EQ(pair.here.available(), 1u);
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_write, in(never)));
    });
}

TEST(FiberWait, EndsWhenThePeerGoes) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        asio::post(fiber.context(), [&] { pair.there.close(); });
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_read, in(never))) << "the next read tells";
        char octet;
        boost::system::error_code error;
        pair.here.read_some(asio::buffer(&octet, 1), error);
        EXPECT_EQ(error, asio::error::eof);
    });
}

TEST(FiberWait, TimesOutAtItsDeadlineAndNotBefore) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        const auto deadline = in(soon);
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, deadline), asio::error::timed_out);
        EXPECT_GE(Clock::now(), deadline);
    });
}

TEST(FiberWait, ADeadlineThatHasPassedDoesNotSuspend) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        pair.send("x");
        bool others_ran = false;
        asio::post(fiber.context(), [&] { others_ran = true; });
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(-1s)), asio::error::timed_out);
        EXPECT_FALSE(others_ran);
        fiber.give_way();
    });
}

TEST(FiberWait, TheLimitOfTheConversationHoldsForEveryWait) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        fiber.set_limit(in(soon));
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(never)), asio::error::timed_out);
        EXPECT_GE(Clock::now(), fiber.limit());
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(never)), asio::error::timed_out);
        EXPECT_FALSE(fiber.sleep_until(in(never)));
        fiber.set_limit(in(never));
        pair.send("x");
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_read, in(never)));
    });
}

TEST(FiberWait, AfterATimeoutTheSocketIsAsGoodAsBefore) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(soon)), asio::error::timed_out);
        pair.send("x");
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_read, in(never)));
        char octet = 0;
        EXPECT_EQ(pair.here.read_some(asio::buffer(&octet, 1)), 1u);
        EXPECT_EQ(octet, 'x');
    });
}

// One timer serves all waits and is not always moved; none may end by another's deadline.
TEST(FiberWait, EachHasItsOwnDeadline) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        EXPECT_FALSE(
            fiber.wait(pair.here, tcp::socket::wait_write, in(soon)));  // leaves the timer set to an early time
        const auto late = in(4 * soon);
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, late), asio::error::timed_out);
        EXPECT_GE(Clock::now(), late);
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_write, in(never)));  // and to a late one
        const auto early = in(soon);
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, early), asio::error::timed_out);
        EXPECT_GE(Clock::now(), early);
        EXPECT_LT(Clock::now(), early + never / 2);
    });
}

TEST(FiberConnect, ConnectsOrSaysWhyNot) {
    on_fiber([](Fiber& fiber) {
        tcp::acceptor acceptor(fiber.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        const auto endpoint = acceptor.local_endpoint();
        tcp::socket good(fiber.context());
        EXPECT_FALSE(fiber.connect(good, endpoint, in(never)));
        EXPECT_EQ(good.remote_endpoint(), endpoint);
        acceptor.close();
        good.close();
        tcp::socket refused(fiber.context());
        EXPECT_EQ(fiber.connect(refused, endpoint, in(never)), asio::error::connection_refused);
        tcp::socket late(fiber.context());
        EXPECT_EQ(fiber.connect(late, endpoint, in(-1s)), asio::error::timed_out);
    });
}

TEST(FiberInterrupt, EndsTheWaitUnderWayAndEveryLaterOne) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        asio::post(fiber.context(), [&] { fiber.interrupt(); });
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(never)), asio::error::operation_aborted);
        EXPECT_TRUE(fiber.interrupted());
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_write, in(never)), asio::error::operation_aborted);
        EXPECT_FALSE(fiber.sleep_until(in(never)));
        fiber.resume_waits();
        EXPECT_FALSE(fiber.interrupted());
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_write, in(never)));
    });
}

TEST(FiberInterrupt, EndsASleep) {
    on_fiber([](Fiber& fiber) {
        asio::post(fiber.context(), [&] { fiber.interrupt(); });
        EXPECT_FALSE(fiber.sleep_until(in(never)));
        fiber.resume_waits();
        const auto deadline = in(soon);
        EXPECT_FALSE(fiber.sleep_until(deadline));
        EXPECT_GE(Clock::now(), deadline) << "a sleep after it is a whole one";
    });
}

TEST(FiberInterrupt, EndsAConnect) {
    on_fiber([](Fiber& fiber) {
        tcp::acceptor acceptor(fiber.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        tcp::socket socket(fiber.context());
        fiber.interrupt();
        EXPECT_EQ(fiber.connect(socket, acceptor.local_endpoint(), in(never)), asio::error::operation_aborted);
    });
}

TEST(FiberInterrupt, BehindAShieldLeavesEveryWaitTheGraceAlone) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        const auto interrupted_at = Clock::now();
        {
            const Fiber::Shield shield(fiber, soon);
            asio::post(fiber.context(), [&] { fiber.interrupt(); });
            EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_read, in(never)), asio::error::timed_out);
            EXPECT_GE(Clock::now(), interrupted_at + soon);
            EXPECT_LT(Clock::now(), interrupted_at + never / 2);
            EXPECT_FALSE(fiber.interrupted());
        }
        EXPECT_TRUE(fiber.interrupted());
        EXPECT_EQ(fiber.wait(pair.here, tcp::socket::wait_write, in(never)), asio::error::operation_aborted);
    });
}

TEST(FiberInterrupt, BehindAShieldDoesNotEndAWaitThatIsShort) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        const Fiber::Shield shield(fiber, never);
        asio::post(fiber.context(), [&] {
            fiber.interrupt();
            pair.send("x");
        });
        EXPECT_FALSE(fiber.wait(pair.here, tcp::socket::wait_read, in(never)));
    });
}

TEST(FiberInterrupt, BehindAShieldASleepHasTheGraceAlone) {
    on_fiber([](Fiber& fiber) {
        const auto begun = Clock::now();
        const Fiber::Shield shield(fiber, soon);
        asio::post(fiber.context(), [&] { fiber.interrupt(); });
        EXPECT_FALSE(fiber.sleep_until(in(3s)));
        EXPECT_GE(Clock::now(), begun + soon);
        EXPECT_LT(Clock::now(), begun + 2s);
    });
}

TEST(FiberLimit, AScopeMakesItNearerAndGivesItBack) {
    on_fiber([](Fiber& fiber) {
        const auto before = in(never);
        fiber.set_limit(before);
        const auto nearer = in(soon);
        {
            const Fiber::LimitScope scope(fiber, nearer);
            EXPECT_EQ(fiber.limit(), nearer);
            const Fiber::LimitScope later(fiber, before + never);
            EXPECT_EQ(fiber.limit(), nearer) << "never a later one";
            EXPECT_FALSE(fiber.sleep_until(in(never)));
            EXPECT_GE(Clock::now(), nearer);
        }
        EXPECT_EQ(fiber.limit(), before);
    });
}

TEST(FiberFence, NothingIsSentBehindIt) {
    on_fiber([](Fiber& fiber) {
        Pair pair(fiber.context());
        Stream stream(fiber, std::move(pair.here));
        Deadline until = in(never);
        {
            const Fiber::Fence fence(fiber, [&] { return until; });
            EXPECT_EQ(fiber.fence(), until);
            EXPECT_FALSE(stream.write("before", never));
            until = Clock::now();
            EXPECT_EQ(stream.write("behind", never), asio::error::timed_out);
        }
        EXPECT_EQ(fiber.fence(), Deadline::max());
        stream.abort();
        std::string sent;
        boost::system::error_code error;
        asio::read(pair.there, asio::dynamic_buffer(sent), error);
        EXPECT_EQ(sent, "before");
    });
}

TEST(FiberSleep, LastsUntilItsDeadline) {
    on_fiber([](Fiber& fiber) {
        const auto deadline = in(soon);
        EXPECT_FALSE(fiber.sleep_until(deadline));
        EXPECT_GE(Clock::now(), deadline);
    });
}

TEST(FiberSleep, EndsWhenWoken) {
    on_fiber([](Fiber& fiber) {
        asio::post(fiber.context(), [&] { fiber.wake(); });
        EXPECT_TRUE(fiber.sleep_until(in(never)));
    });
}

TEST(FiberSleep, AWakeBeforeItIsRememberedOnce) {
    on_fiber([](Fiber& fiber) {
        fiber.wake();
        fiber.wake();
        EXPECT_TRUE(fiber.sleep_until(in(never)));
        EXPECT_FALSE(fiber.sleep_until(in(soon)));
    });
}

TEST(Fiber, GivingWayLetsOthersRun) {
    on_fiber([](Fiber& fiber) {
        std::string order;
        asio::post(fiber.context(), [&] { order += "other "; });
        order += "before ";
        fiber.give_way();
        order += "after";
        EXPECT_EQ(order, "before other after");
    });
}

TEST(Fiber, AnExceptionEndsItsOwnFiberAlone) {
    asio::io_context context(1);
    std::vector<std::string> failures;
    const auto failed = [&](const std::exception& error) { failures.emplace_back(error.what()); };
    std::optional<Pair> pair(context);
    bool freed = false;
    bool survived = false;
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            EXPECT_FALSE(fiber.wait(pair->here, tcp::socket::wait_read, in(never)));
            survived = true;
        },
        failed);
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            const std::shared_ptr<void> owned(nullptr, [&](void*) { freed = true; });
            fiber.give_way();
            throw std::runtime_error("of this one");
        },
        failed);
    asio::post(context, [&] { asio::post(context, [&] { asio::post(context, [&] { pair->send("x"); }); }); });
    context.run();
    EXPECT_EQ(failures, std::vector<std::string>{"of this one"});
    EXPECT_TRUE(freed);
    EXPECT_TRUE(survived);
}

TEST(Fiber, ExceptionsThatAreCaughtInTwoFibersDoNotMix) {
    asio::io_context context(1);
    std::vector<std::string> caught;
    for (const auto* name : {"one", "two"})
        Fiber::start(
            context,
            [&caught, name](Fiber& fiber) {
                for (int i = 0; i < 3; ++i) {
                    std::string what;
                    try {
                        throw std::runtime_error(name);
                    } catch (const std::exception& error) {
                        what = error.what();
                    }
                    fiber.give_way();
                    caught.push_back(what);
                }
            },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
    context.run();
    EXPECT_EQ(caught, (std::vector<std::string>{"one", "two", "one", "two", "one", "two"}));
}

__attribute__((noinline)) std::size_t use_stack(std::size_t depth) {
    volatile char room[4096] = {static_cast<char>(depth)};
    return depth == 0 ? static_cast<unsigned char>(room[0]) : 1 + use_stack(depth - 1);
}

TEST(Fiber, TrimmingTheStackKeepsWhatIsInUse) {
    on_fiber([](Fiber& fiber) {
        const std::string local = "a text that is longer than a string keeps in itself, and one that is not";
        volatile char here[2000];
        for (std::size_t i = 0; i < sizeof here; ++i) here[i] = static_cast<char>(i);
        for (int round = 0; round < 3; ++round) {
            EXPECT_EQ(use_stack(20), 20u);
            fiber.trim_stack();
            fiber.give_way();
            fiber.trim_stack();
        }
        EXPECT_EQ(local, std::string("a text that is longer than a string keeps in itself, ") + "and one that is not");
        for (std::size_t i = 0; i < sizeof here; ++i) ASSERT_EQ(here[i], static_cast<char>(i));
    });
}

TEST(Fiber, ManyAtOnce) {
    asio::io_context context(1);
    int ended = 0;
    for (int i = 0; i < 200; ++i)
        Fiber::start(
            context,
            [&](Fiber& fiber) {
                for (int round = 0; round < 5; ++round) fiber.give_way();
                fiber.sleep_until(in(1ms));
                ++ended;
            },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
    context.run();
    EXPECT_EQ(ended, 200);
}

#ifdef POPGATE_SANITIZED
TEST(Fiber, LeavesNoMarksOnAddressesThatOthersWillUse) {
    char* local = nullptr;
    on_fiber([&](Fiber&) {
        // As frames leave them that were deep down and did not return.
        local = static_cast<char*>(__builtin_frame_address(0)) - 400'000;
        ASAN_POISON_MEMORY_REGION(local, 4096);
    });
    EXPECT_EQ(__asan_region_is_poisoned(local, 4096), nullptr);
}
#endif

}  // namespace
}  // namespace popgate
