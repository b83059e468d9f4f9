#include "backends/http/client.hpp"
#include "backends/registry.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <optional>

namespace popgate::http {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;

/// Takes its time over each piece.
class Sink final : public BodySink {
public:
    explicit Sink(Fiber& fiber, std::chrono::milliseconds pause = 0ms) : fiber_(fiber), pause_(pause) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        const auto until = Clock::now() + pause_;
        while (Clock::now() < until) fiber_.sleep_until(until);
        return true;
    }
    std::string text;

private:
    Fiber& fiber_;
    std::chrono::milliseconds pause_;
};

std::shared_ptr<Upstream> make_upstream(const UpstreamLimits& limits = {}) {
    auto upstream = *Upstream::make(BackendOptions{}, limits);
    upstream->patience = 300ms;
    return upstream;
}

std::unique_ptr<Client> make_client(Fiber& fiber, std::shared_ptr<const Upstream> upstream, const std::string& user) {
    auto credential = make_credential(*CredentialForm::parse("basic"), "", {user, Secret("pass")});
    return std::make_unique<Client>(fiber, std::move(upstream), user, std::move(*credential));
}

Request get(const ScriptedHttp& server) {
    Request request;
    request.url = *parse_url(server.origin() + "/x");
    return request;
}

/// Both run on one thread, the second begins when the first waits.
void on_two_fibers(const Fiber::Body& first, const Fiber::Body& second) {
    boost::asio::io_context context(1);
    for (const auto& body : {first, second})
        Fiber::start(context, body, [](const std::exception& error) { ADD_FAILURE() << error.what(); });
    context.run();
}

TEST(HttpClientUnderPressure, WhoeverWaitsForASlotWaitsForThePauseToo) {
    Limiter limiter({.concurrent_per_account = 1});
    Deadline until{};
    on_two_fibers(
        [&](Fiber& fiber) {
            auto held = limiter.acquire(fiber, "a", 1, Clock::now() + 5s);
            fiber.sleep_until(Clock::now() + 50ms);
            until = Clock::now() + 300ms;
            limiter.back_off("a", until);  // the answer was 429
        },
        [&](Fiber& fiber) {
            EXPECT_TRUE(limiter.acquire(fiber, "a", 1, Clock::now() + 5s));
            EXPECT_GE(Clock::now(), until);
        });
}

TEST(HttpClientUnderPressure, WhoeverWaitsForUnitsWaitsForThePauseToo) {
    Limiter limiter({.units_per_minute = 60'000});
    Deadline until{};
    on_two_fibers(
        [&](Fiber& fiber) {
            EXPECT_TRUE(limiter.acquire(fiber, "a", 6'000, Clock::now() + 5s));
            fiber.sleep_until(Clock::now() + 50ms);
            until = Clock::now() + 1500ms;
            limiter.back_off("a", until);
        },
        [&](Fiber& fiber) {
            EXPECT_TRUE(limiter.acquire(fiber, "a", 200, Clock::now() + 5s));
            EXPECT_GE(Clock::now(), until);
        });
}

TEST(HttpClientUnderPressure, ASlowClientOfOneAccountHoldsUpNoOther) {
    ScriptedHttp server([](const auto&, auto) { return ScriptedHttp::say("200 OK", "ok"); });
    const auto upstream = make_upstream({.concurrent_per_application = 1});
    on_two_fibers(
        [&](Fiber& fiber) {
            Sink sink(fiber, 900ms);
            EXPECT_TRUE(make_client(fiber, upstream, "slow")->stream(get(server), sink));
        },
        [&](Fiber& fiber) {
            fiber.sleep_until(Clock::now() + 200ms);
            const auto answer = make_client(fiber, upstream, "other")->send(get(server));
            EXPECT_TRUE(answer) << answer.error().detail;
        });
}

TEST(HttpClientUnderPressure, APartIsNoMessage) {
    ScriptedHttp server([](const auto&, auto) {
        return ScriptedHttp::say("206 Partial Content", "Subject: half\r\n", "Content-Range: bytes 0-14/30\r\n");
    });
    on_fiber([&](Fiber& fiber) {
        Sink sink(fiber);
        const auto answer = make_client(fiber, make_upstream(), "user")->stream(get(server), sink);
        EXPECT_TRUE(!answer || !answer->ok()) << sink.text;
        EXPECT_EQ(sink.text, "");
    });
}

TEST(HttpClientUnderPressure, AnErrorThatComesWith200IsNoMessage) {
    ScriptedHttp server([](const auto&, auto) {
        return ScriptedHttp::say("200 OK", R"({"error":"oops"})", "Content-Type: application/problem+json\r\n");
    });
    on_fiber([&](Fiber& fiber) {
        Sink sink(fiber);
        auto request = get(server);
        EXPECT_TRUE(make_client(fiber, make_upstream(), "user")->stream(request, sink));
        sink.text.clear();
        request.wants_message = true;
        EXPECT_FALSE(make_client(fiber, make_upstream(), "user")->stream(request, sink));
        EXPECT_EQ(sink.text, "");
    });
}

TEST(HttpClientUnderPressure, NothingIsNoCompressedMessage) {
    ScriptedHttp server(
        [](const auto&, auto) { return ScriptedHttp::say("200 OK", "", "Content-Encoding: gzip\r\n"); });
    on_fiber([&](Fiber& fiber) {
        Sink sink(fiber);
        EXPECT_FALSE(make_client(fiber, make_upstream(), "user")->stream(get(server), sink));
    });
}

TEST(HttpClientUnderPressure, AProxysPasswordIsNotShown) {
    BackendOptions options;
    options.http_proxy = "https://me:secret@proxy.example.com:3128";
    const auto made = Upstream::make(options, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().text.find("secret"), std::string::npos) << made.error().text;
}

}  // namespace
}  // namespace popgate::http
