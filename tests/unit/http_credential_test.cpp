#include "backends/http/client.hpp"
#include "backends/http/credential.hpp"
#include "backends/registry.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>

namespace popgate::http {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;

/// Gives "token-1", and after each renewal the next one.
class Tokens final : public TokenSource {
public:
    Result<Secret> token(Fiber&) override {
        ++asked;
        if (failure) return *failure;
        return Secret(text.empty() ? "token-" + std::to_string(number) : text);
    }
    Result<bool> renew(Fiber&, const Secret& refused) override {
        ++renewed;
        last_refused = refused.reveal();
        if (failure) return *failure;
        number += has_others ? 1 : 0;
        return has_others;
    }

    int asked = 0, renewed = 0, number = 1;
    bool has_others = true;
    std::string text{}, last_refused{};
    std::optional<Error> failure{};
};

std::unique_ptr<Credential> with_tokens(std::shared_ptr<TokenSource> tokens, const std::string& form = "bearer",
                                        std::function<Deadline()> clock = Clock::now) {
    return *make_credential(*CredentialForm::parse(form), "", {"ann", std::move(tokens)}, std::move(clock));
}

std::unique_ptr<Credential> with_password(const std::string& password, const std::string& user = "ann",
                                          const std::string& form = "basic") {
    return *make_credential(*CredentialForm::parse(form), "", {user, Secret(password)});
}

std::shared_ptr<Upstream> make_upstream(const UpstreamLimits& limits = {}) {
    auto upstream = *Upstream::make(BackendOptions{}, limits);
    upstream->patience = 300ms;
    return upstream;
}

Request get(const ScriptedHttp& server) {
    Request request;
    request.url = *parse_url(server.origin() + "/x");
    return request;
}

TEST(TokenCredential, AsksForATokenOnceForManyRequests) {
    on_fiber([](Fiber& fiber) {
        auto now = Clock::now();
        const auto tokens = std::make_shared<Tokens>();
        const auto credential = with_tokens(tokens, "bearer", [&] { return now; });
        for (int i = 0; i < 3; ++i) {
            const auto header = credential->header(fiber);
            ASSERT_TRUE(header);
            EXPECT_EQ(header->first, "Authorization");
            EXPECT_EQ(header->second.reveal(), "Bearer token-1");
            now += 10s - 1ms;
        }
        EXPECT_EQ(tokens->asked, 1);
        tokens->number = 2;  // refreshed meanwhile, as it ends soon
        now += 1s;
        EXPECT_EQ(credential->header(fiber)->second.reveal(), "Bearer token-2");
        EXPECT_EQ(tokens->asked, 2);
    });
}

TEST(TokenCredential, GoesInAHeaderOfItsOwnAndNeverAsBasic) {
    on_fiber([](Fiber& fiber) {
        const auto tokens = std::make_shared<Tokens>();
        EXPECT_EQ(with_tokens(tokens, "basic")->header(fiber)->second.reveal(), "Bearer token-1");
        const auto header = with_tokens(tokens, "header X-Token")->header(fiber);
        EXPECT_EQ(header->first, "X-Token");
        EXPECT_EQ(header->second.reveal(), "token-1");
    });
}

TEST(TokenCredential, ARenewedTokenIsTakenAtOnce) {
    on_fiber([](Fiber& fiber) {
        const auto tokens = std::make_shared<Tokens>();
        const auto credential = with_tokens(tokens);
        EXPECT_TRUE(credential->header(fiber));
        const auto renewed = credential->renew(fiber);
        ASSERT_TRUE(renewed);
        EXPECT_TRUE(*renewed);
        EXPECT_EQ(tokens->last_refused, "token-1");
        EXPECT_EQ(credential->header(fiber)->second.reveal(), "Bearer token-2");
    });
}

TEST(TokenCredential, WhatTheSourceSaysIsPassedOn) {
    on_fiber([](Fiber& fiber) {
        const auto tokens = std::make_shared<Tokens>();
        tokens->failure = Error{Errc::sign_in, "sign in at https://example.com", {}};
        const auto header = with_tokens(tokens)->header(fiber);
        ASSERT_FALSE(header);
        EXPECT_EQ(header.error().code, Errc::sign_in);
        EXPECT_EQ(header.error().text, "sign in at https://example.com");
        EXPECT_EQ(with_tokens(tokens)->renew(fiber).error().code, Errc::sign_in);
    });
}

TEST(TokenCredential, WhatNoHeaderCanCarryIsRefused) {
    on_fiber([](Fiber& fiber) {
        for (const auto* text : {"a\r\nX-Evil: 1", "a\nb", "a\x7f"}) {
            const auto tokens = std::make_shared<Tokens>();
            tokens->text = text;
            const auto header = with_tokens(tokens)->header(fiber);
            ASSERT_FALSE(header);
            EXPECT_EQ(header.error().code, Errc::permanent);
            EXPECT_EQ((header.error().text + header.error().detail).find(text), std::string::npos);
        }
    });
}

TEST(TokenCredential, A401RenewsOnceAndThenIsARefusal) {
    ScriptedHttp server([](const auto& asked, auto) {
        return asked.has("Bearer token-2\r\n") ? ScriptedHttp::say("200 OK", "mail")
                                               : ScriptedHttp::say("401 Unauthorized", "");
    });
    on_fiber([&](Fiber& fiber) {
        const auto tokens = std::make_shared<Tokens>();
        Client client(fiber, make_upstream(), "ann", with_tokens(tokens));
        EXPECT_EQ(client.send(get(server))->body, "mail");
        EXPECT_EQ(client.send(get(server))->body, "mail");
        EXPECT_EQ(tokens->renewed, 1);
        EXPECT_EQ(tokens->asked, 2);

        tokens->number = 5;
        Client other(fiber, make_upstream(), "ann", with_tokens(tokens));
        const auto refused = other.send(get(server));
        ASSERT_TRUE(refused);
        EXPECT_EQ(to_error(*refused, "no").code, Errc::auth);
        EXPECT_EQ(tokens->renewed, 2);

        tokens->failure = Error{Errc::temporary, "the provider is down", {}};
        Client third(fiber, make_upstream(), "ann", with_tokens(tokens));
        EXPECT_EQ(third.send(get(server)).error().text, "the provider is down");
    });
    EXPECT_EQ(server.asked().size(), 5u);
}

TEST(Fingerprint, DiffersWithThePasswordAndHidesIt) {
    const auto right = with_password("pass")->fingerprint();
    EXPECT_EQ(right, with_password("pass")->fingerprint());
    EXPECT_NE(right, with_password("word")->fingerprint());
    EXPECT_NE(right, with_password("pass", "bob")->fingerprint());
    EXPECT_EQ(right.find("pass"), std::string::npos);
    EXPECT_EQ(right.size(), 32u);
    EXPECT_EQ(with_password("pass", "ann", "none")->fingerprint(), "") << "nothing is shown";
    EXPECT_EQ(with_tokens(std::make_shared<Tokens>())->fingerprint(), "") << "popgate's own";
}

/// Throttles whoever shows a wrong password, and "proved" once it is told so.
class Guarded {
public:
    ScriptedHttp server{[this](const auto& asked, auto) {
        const bool is_right = asked.has("Authorization: " + basic_authorization("ann", "right") + "\r\n");
        if (is_right && !is_busy) return ScriptedHttp::say("200 OK", "mail");
        return ScriptedHttp::say("429 Too Many Requests", "", "Retry-After: 100\r\n");
    }};
    std::atomic<bool> is_busy = false;
};

TEST(UnprovedPassword, HoldsUpNobodyElse) {
    Guarded guarded;
    const auto upstream = make_upstream({.concurrent_per_account = 1});
    on_fiber([&](Fiber& fiber) {
        Client stranger(fiber, upstream, "ann", with_password("wrong"));
        EXPECT_EQ(stranger.send(get(guarded.server)).error().code, Errc::temporary);
        Client owner(fiber, upstream, "ann", with_password("right"));
        const auto answer = owner.send(get(guarded.server));
        ASSERT_TRUE(answer) << answer.error().detail;
        EXPECT_EQ(answer->body, "mail");
        // The stranger's pause is still his.
        Client again(fiber, upstream, "ann", with_password("wrong"));
        EXPECT_FALSE(again.send(get(guarded.server)));
    });
    const auto asked = guarded.server.asked();
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_NE(asked[0].connection, asked[1].connection) << "no connection is shared with who has not shown the same";
}

TEST(UnprovedPassword, APauseHoldsForAllSessionsThatHaveProvedTheSame) {
    Guarded guarded;
    const auto upstream = make_upstream();
    on_fiber([&](Fiber& fiber) {
        Client first(fiber, upstream, "ann", with_password("right"));
        Client second(fiber, upstream, "ann", with_password("right"));
        EXPECT_TRUE(first.send(get(guarded.server)));
        EXPECT_TRUE(second.send(get(guarded.server)));
        guarded.is_busy = true;
        EXPECT_FALSE(first.send(get(guarded.server)));
        EXPECT_FALSE(second.send(get(guarded.server)));
        Client fresh(fiber, upstream, "ann", with_password("right"));
        EXPECT_FALSE(fresh.send(get(guarded.server)));
    });
    EXPECT_EQ(guarded.server.asked().size(), 3u);
}

TEST(UnprovedPassword, ProvedSessionsShareTheirAccountsLimits) {
    Guarded guarded;
    const auto upstream = make_upstream({.units_per_minute = 600});
    on_fiber([&](Fiber& fiber) {
        auto request = get(guarded.server);
        Client first(fiber, upstream, "ann", with_password("right"));
        EXPECT_TRUE(first.send(request));
        request.units = 300;
        EXPECT_TRUE(first.send(request));
        // What is left of the minute does not do for this, whichever session asks.
        Client second(fiber, upstream, "ann", with_password("right"));
        EXPECT_FALSE(second.send(request));
    });
}

}  // namespace
}  // namespace popgate::http
