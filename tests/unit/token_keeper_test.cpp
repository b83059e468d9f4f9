#include "gateway/accounts/token_keeper.hpp"
#include "gateway/accounts/vault.hpp"
#include "gateway/state/sqlite_store.hpp"
#include "tests/support/memory_state_store.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using Kind = oauth::Refusal::Kind;

/// Gives "access-1", "access-2" … and rotates "refresh-1", "refresh-2" …, or refuses.
class FakeProvider final : public oauth::Provider {
public:
    FakeProvider() { settings_.name = "id"; }
    const oauth::Settings& settings() const override { return settings_; }
    const std::string& scopes() const override { return scopes_; }

    oauth::Answer<oauth::Tokens> refresh(Fiber& fiber, const Secret& token) const override {
        ++asked;
        last_refresh_token = token.reveal();
        if (during) during(fiber);
        if (refusal) return *refusal;
        oauth::Tokens tokens;
        const auto number = std::to_string(++given);
        tokens.access_token = Secret("access-" + number);
        if (rotates) tokens.refresh_token = Secret("refresh-" + number);
        tokens.lifetime = lifetime;
        return tokens;
    }
    oauth::Answer<oauth::Tokens> for_application(Fiber& fiber, const std::string&) const override {
        return refresh(fiber, Secret());
    }
    oauth::Answer<bool> offers_device_flow(Fiber&) const override { return false; }
    oauth::Answer<oauth::DeviceCode> begin_device_flow(Fiber&) const override { return oauth::Refusal{}; }
    oauth::Answer<oauth::Tokens> poll_device_flow(Fiber&, const oauth::DeviceCode&) const override {
        return oauth::Refusal{};
    }
    oauth::Answer<oauth::AuthorizationRequest> begin_browser_flow(Fiber&, const std::string&,
                                                                  const std::string&) const override {
        return oauth::Refusal{};
    }
    oauth::Answer<oauth::Tokens> finish_browser_flow(Fiber&, const oauth::AuthorizationRequest&,
                                                     const std::string&) const override {
        return oauth::Refusal{};
    }
    oauth::Answer<oauth::Identity> identify(Fiber&, const Secret&) const override { return oauth::Refusal{}; }
    oauth::Answer<std::string> issuer(Fiber&) const override { return std::string(); }

    oauth::Settings settings_;
    std::string scopes_;
    mutable std::atomic<int> asked = 0;
    mutable std::atomic<int> given = 0;
    mutable std::string last_refresh_token;
    std::function<void(Fiber&)> during;
    std::optional<oauth::Refusal> refusal;
    bool rotates = true;
    std::chrono::seconds lifetime = 1h;
};

class TokenKeeperTest : public testing::Test {
protected:
    TokenKeeperTest() {
        std::filesystem::create_directory(folder);
        TokenKeeper::Options options;
        options.now = [this] { return wall.load(); };
        options.clock = [this] { return Deadline(std::chrono::seconds(wall.load())); };
        options.sign_in_at = "https://mail.example.com";
        options_ = options;
        keeper = std::make_unique<TokenKeeper>(store, accounts, options);
    }
    ~TokenKeeperTest() override { std::filesystem::remove_all(folder); }

    void sign_in(Fiber& fiber, const std::string& user = "ann") {
        oauth::Tokens tokens;
        tokens.access_token = Secret("access-0");
        tokens.refresh_token = Secret("refresh-0");
        tokens.lifetime = 1h;
        ASSERT_TRUE(keeper->keep(fiber, user, *provider, tokens));
    }
    std::string token(Fiber& fiber, const std::string& user = "ann") {
        auto got = keeper->source(user, provider)->token(fiber);
        return got ? got->reveal()
                   : "error " + std::to_string(static_cast<int>(got.error().code)) + ' ' + got.error().text;
    }
    AccountTokens stored(Fiber& fiber) {
        auto kept = accounts.tokens(fiber, "ann");
        return std::move(**kept);
    }

    std::filesystem::path folder =
        std::filesystem::temp_directory_path() /
        ("keeper-" + std::to_string(::getpid()) + "-" + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::atomic<std::int64_t> wall = 1'800'000'000;
    SqliteStore store{folder / "state.db"};
    Vault vault{folder / "secrets.key"};
    AccountStore accounts{store, vault};
    TokenKeeper::Options options_;
    std::shared_ptr<FakeProvider> provider = std::make_shared<FakeProvider>();
    std::unique_ptr<TokenKeeper> keeper;
};

TEST_F(TokenKeeperTest, AGoodTokenIsUsedAndAnOldOneRefreshedBeforeItsEnd) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        EXPECT_EQ(token(fiber), "access-0");
        wall += 3600 - 61;
        EXPECT_EQ(token(fiber), "access-0");
        wall += 2;
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(provider->last_refresh_token, "refresh-0");
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-1") << "durable before it is used";
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-2");
        EXPECT_EQ(provider->last_refresh_token, "refresh-1");
    });
}

TEST_F(TokenKeeperTest, AProviderThatDoesNotRotateKeepsTheOldOne) {
    test::on_fiber([&](Fiber& fiber) {
        provider->rotates = false;
        sign_in(fiber);
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-0");
    });
}

TEST_F(TokenKeeperTest, WhoHasNotSignedInIsToldWhere) {
    test::on_fiber([&](Fiber& fiber) {
        const auto got = keeper->source("bob", provider)->token(fiber);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Errc::sign_in);
        EXPECT_EQ(got.error().text, "https://mail.example.com");
    });
}

TEST_F(TokenKeeperTest, ADayOfOutagesCostsNothing) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        const auto end = wall + 24 * 3600;
        const oauth::Refusal kinds[] = {{Kind::later, "down", {}, {}, {}},
                                        {Kind::later, "busy", {}, {}, 30s},
                                        {Kind::setup, "invalid_client", {}, "invalid_client", {}}};
        for (int i = 0; wall < end; wall += 20, ++i) {
            provider->refusal = kinds[i / 100 % 3];
            const auto got = token(fiber);
            EXPECT_TRUE(got == "access-0" ||
                        !got.starts_with("error " + std::to_string(static_cast<int>(Errc::sign_in))))
                << got;
        }
        EXPECT_LT(provider->asked, 24 * 60 + 60) << "not more than once a minute";
        EXPECT_GT(provider->asked, 1000) << "and not given up";
        provider->refusal.reset();
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(provider->last_refresh_token, "refresh-0");
    });
}

TEST_F(TokenKeeperTest, AnAccessTokenThatIsStillGoodServesThroughAnOutage) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        provider->refusal = oauth::Refusal{};
        wall += 3600 - 30;  // within the margin
        EXPECT_EQ(token(fiber), "access-0");
        EXPECT_EQ(provider->asked, 1);
        wall += 31;
        EXPECT_TRUE(token(fiber).starts_with("error " + std::to_string(static_cast<int>(Errc::temporary))));
    });
}

TEST_F(TokenKeeperTest, OnlyTheProvidersWordEndsASignIn) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        provider->refusal = oauth::Refusal{Kind::sign_in, "over", "invalid_grant", "invalid_grant", {}};
        EXPECT_EQ(keeper->source("ann", provider)->token(fiber).error().code, Errc::sign_in);
        EXPECT_EQ(keeper->source("ann", provider)->token(fiber).error().code, Errc::sign_in);
        EXPECT_EQ(provider->asked, 1);
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-0") << "it is kept all the same";
        EXPECT_FALSE(stored(fiber).refusal.empty());
        provider->refusal.reset();
        sign_in(fiber);
        EXPECT_EQ(token(fiber), "access-0");
    });
}

TEST_F(TokenKeeperTest, ARefusedTokenIsRenewedOnceAMinute) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        const auto source = keeper->source("ann", provider);
        EXPECT_TRUE(*source->renew(fiber, Secret("access-0")));
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_TRUE(*source->renew(fiber, Secret("access-0"))) << "there is another one already";
        EXPECT_EQ(provider->asked, 1);
        EXPECT_FALSE(*source->renew(fiber, Secret("access-1"))) << "the upstream wants none of them";
        EXPECT_EQ(provider->asked, 1);
        wall += 61;
        EXPECT_TRUE(*source->renew(fiber, Secret("access-1")));
        EXPECT_EQ(provider->asked, 2);
    });
}

TEST_F(TokenKeeperTest, TwentyLoginsOnTwoThreadsCauseOneRefresh) {
    test::on_fiber([&](Fiber& fiber) { sign_in(fiber); });
    wall += 3600;
    provider->during = [](Fiber& fiber) { fiber.sleep_until(Clock::now() + 50ms); };
    BlockingPool pool(4, 1000);
    for (const auto kind : {Blocking::files, Blocking::passwords, Blocking::names, Blocking::state})
        set_blocking_pool(kind, &pool);
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    boost::asio::io_context contexts[2];
    for (auto& context : contexts) {
        for (int i = 0; i < 10; ++i)
            Fiber::start(
                context, [&](Fiber& fiber) { good += token(fiber) == "access-1" ? 1 : 0; },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        threads.emplace_back([&context] { context.run(); });
    }
    for (auto& thread : threads) thread.join();
    for (const auto kind : {Blocking::files, Blocking::passwords, Blocking::names, Blocking::state})
        set_blocking_pool(kind, nullptr);
    EXPECT_EQ(good, 20);
    EXPECT_EQ(provider->asked, 1);
}

TEST_F(TokenKeeperTest, AnotherProcessRefreshesInstead) {
    SqliteStore other_store(folder / "state.db");
    AccountStore other_accounts(other_store, vault);
    TokenKeeper other(other_store, other_accounts, options_);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        // While this one asks the provider, the other one finds the claim taken, and then what has been stored.
        bool has_ended = false;
        std::string got;
        bool is_first = true;
        provider->during = [&](Fiber& asking) {
            if (!std::exchange(is_first, false)) return;
            Fiber::start(
                asking.context(),
                [&](Fiber& second) {
                    auto answer = other.source("ann", provider)->token(second);
                    got = answer ? answer->reveal() : answer.error().text;
                    has_ended = true;
                },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
            asking.sleep_until(Clock::now() + 100ms);
        };
        EXPECT_EQ(token(fiber), "access-1");
        for (int i = 0; i < 1000 && !has_ended; ++i) fiber.sleep_until(Clock::now() + 10ms);
        EXPECT_EQ(got, "access-1");
        EXPECT_EQ(provider->asked, 1);
    });
}

TEST_F(TokenKeeperTest, TokensThatCannotBeWrittenLiveInMemoryUntilTheyCan) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        // The key has gone: nothing can be sealed, and nothing read. Then it is there again.
        provider->during = [&](Fiber&) { std::filesystem::rename(folder / "secrets.key", folder / "away"); };
        EXPECT_EQ(token(fiber), "access-1") << "the provider has given it";
        provider->during = nullptr;
        std::filesystem::rename(folder / "away", folder / "secrets.key");
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-0");
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-1") << "written as soon as that could be";
        EXPECT_EQ(provider->asked, 1);
    });
}

/// Gives what it has, and takes nothing while it is full.
class FullStore : public test::MemoryStateStore {
public:
    Result<bool> keep_record(Fiber& fiber, const std::string& kind, const std::string& name, const std::string& octets,
                             std::uint64_t expected) override {
        if (is_full) return Error{Errc::temporary, "the disk is full", {}};
        return MemoryStateStore::keep_record(fiber, kind, name, octets, expected);
    }
    bool is_full = false;
};

TEST_F(TokenKeeperTest, TokensThatCannotBeWrittenForLongAreNotLost) {
    FullStore full;
    AccountStore kept(full, vault);
    keeper = std::make_unique<TokenKeeper>(full, kept, options_);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        full.is_full = true;
        for (int i = 1; i <= 3; ++i) {
            wall += 3600;
            EXPECT_EQ(token(fiber), "access-" + std::to_string(i));
            EXPECT_EQ(provider->last_refresh_token, "refresh-" + std::to_string(i - 1));
        }
        full.is_full = false;
        EXPECT_EQ(token(fiber), "access-3");
        EXPECT_EQ((*kept.tokens(fiber, "ann"))->refresh_token.reveal(), "refresh-3");
        EXPECT_EQ(provider->asked, 3);
    });
}

TEST_F(TokenKeeperTest, WhileTokensAreUnsavedNobodyElseAsksWithTheOldOne) {
    FullStore full;
    AccountStore kept(full, vault);
    keeper = std::make_unique<TokenKeeper>(full, kept, options_);
    auto impatient = options_;
    impatient.patience = 200ms;
    TokenKeeper other(full, kept, impatient);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        full.is_full = true;
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        const auto refused = other.source("ann", provider)->token(fiber);
        ASSERT_FALSE(refused) << "with refresh-0 it would end the sign-in at a provider that is strict";
        EXPECT_EQ(refused.error().code, Errc::temporary);
        EXPECT_EQ(provider->asked, 1);
        full.is_full = false;
        keeper->save_unsaved(fiber);
        EXPECT_EQ(other.source("ann", provider)->token(fiber)->reveal(), "access-1");
        wall += 3600;
        EXPECT_EQ(other.source("ann", provider)->token(fiber)->reveal(), "access-2");
        EXPECT_EQ(provider->last_refresh_token, "refresh-1");
    });
}

TEST_F(TokenKeeperTest, WhatIsSavedLateDoesNotTakeThePlaceOfWhatCameAfterIt) {
    FullStore full;
    AccountStore kept(full, vault);
    keeper = std::make_unique<TokenKeeper>(full, kept, options_);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        full.is_full = true;
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        wall += 3600;
        provider->during = [&](Fiber& asking) {
            full.is_full = false;
            keeper->save_unsaved(asking);
            EXPECT_EQ((*kept.tokens(asking, "ann"))->refresh_token.reveal(), "refresh-1");
        };
        EXPECT_EQ(token(fiber), "access-2");
        EXPECT_EQ((*kept.tokens(fiber, "ann"))->refresh_token.reveal(), "refresh-2");
    });
}

TEST_F(TokenKeeperTest, ARefusalOfTokensThatAreUnsavedStays) {
    FullStore full;
    AccountStore kept(full, vault);
    keeper = std::make_unique<TokenKeeper>(full, kept, options_);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        full.is_full = true;
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        wall += 3600;
        provider->during = [&](Fiber&) { full.is_full = false; };
        provider->refusal = oauth::Refusal{Kind::sign_in, "over", "invalid_grant", "invalid_grant", {}};
        EXPECT_EQ(keeper->source("ann", provider)->token(fiber).error().code, Errc::sign_in);
        keeper->save_unsaved(fiber);
        EXPECT_EQ(keeper->source("ann", provider)->token(fiber).error().code, Errc::sign_in);
        EXPECT_EQ(provider->asked, 2);
        EXPECT_EQ((*kept.tokens(fiber, "ann"))->refresh_token.reveal(), "refresh-1");
    });
}

TEST_F(TokenKeeperTest, AGoodTokenServesWhileTheProviderThinks) {
    options_.patience = 50ms;
    keeper = std::make_unique<TokenKeeper>(store, accounts, options_);
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600 - 30;  // within the margin
        provider->during = [](Fiber& asking) { asking.sleep_until(Clock::now() + 300ms); };
        EXPECT_EQ(token(fiber), "access-0");
        EXPECT_EQ(token(fiber), "access-0");
        EXPECT_EQ(provider->given, 0);
    });
    EXPECT_EQ(provider->given, 1);
}

TEST_F(TokenKeeperTest, AClientThatGoesCostsNoToken) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        bool is_asking = false;
        provider->during = [&](Fiber& asking) {
            is_asking = true;
            asking.sleep_until(Clock::now() + 300ms);
        };
        bool has_gone = false;
        Fiber::start(
            fiber.context(),
            [&](Fiber& client) {
                const Fiber::LimitScope limit(client, Clock::now() + 20ms);
                EXPECT_TRUE(token(client).starts_with("error " + std::to_string(static_cast<int>(Errc::temporary))));
                has_gone = true;
            },
            [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        for (int i = 0; i < 1000 && !has_gone; ++i) fiber.sleep_until(Clock::now() + 10ms);
        EXPECT_TRUE(is_asking);
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-0");
        EXPECT_EQ(token(fiber), "access-1") << "by the refresh that goes on";
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-1");
        EXPECT_EQ(provider->asked, 1);
    });
}

TEST_F(TokenKeeperTest, AGoodTokenServesToItsEndWhateverTheProviderSays) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600 - 30;  // within the margin
        provider->refusal = oauth::Refusal{Kind::sign_in, "over", "invalid_grant", "invalid_grant", {}};
        EXPECT_EQ(token(fiber), "access-0");
        EXPECT_EQ(token(fiber), "access-0");
        EXPECT_EQ(provider->asked, 1);
        EXPECT_EQ(keeper->source("ann", provider)->renew(fiber, Secret("access-0")).error().code, Errc::sign_in)
            << "unless the upstream wants it no more";
        wall += 31;
        EXPECT_EQ(keeper->source("ann", provider)->token(fiber).error().code, Errc::sign_in);
        EXPECT_EQ(provider->asked, 1);
    });
}

TEST_F(TokenKeeperTest, ATokenFromTheFutureIsReplaced) {
    test::on_fiber([&](Fiber& fiber) {
        wall += 24 * 3600;  // the clock was ahead
        sign_in(fiber);
        wall -= 24 * 3600;
        EXPECT_EQ(token(fiber), "access-1");
        wall += 30;
        EXPECT_EQ(token(fiber), "access-1");
    });
}

TEST_F(TokenKeeperTest, AtTheEndRefreshesAreNotWaitedForLong) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        Deadline limit = Deadline::max();
        provider->during = [&](Fiber& asking) {
            keeper->hurry();
            asking.sleep_until(Clock::now() + 10ms);
            limit = asking.limit();
        };
        EXPECT_EQ(token(fiber), "access-1") << "what the provider gives is taken all the same";
        EXPECT_LT(limit, Clock::now() + 16s);
    });
}

TEST_F(TokenKeeperTest, ATokenOfAMinuteServesForHalfOfIt) {
    test::on_fiber([&](Fiber& fiber) {
        provider->lifetime = 60s;
        sign_in(fiber);
        wall += 3600;
        EXPECT_EQ(token(fiber), "access-1");
        wall += 29;
        EXPECT_EQ(token(fiber), "access-1");
        wall += 2;
        EXPECT_EQ(token(fiber), "access-2");
    });
}

TEST_F(TokenKeeperTest, ASignInWhileTheProviderThinksCounts) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall += 3600;
        provider->during = [&](Fiber& asking) {
            oauth::Tokens tokens;
            tokens.access_token = Secret("access-new");
            tokens.refresh_token = Secret("refresh-new");
            EXPECT_TRUE(keeper->keep(asking, "ann", *provider, tokens));
        };
        (void)token(fiber);
        provider->during = nullptr;
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-new");
    });
}

TEST_F(TokenKeeperTest, IdleTokensAreKeptAlive) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        const auto provider_of = [&](const std::string&) { return provider; };
        keeper->refresh_idle(fiber, provider_of);
        EXPECT_EQ(provider->asked, 0);
        wall += 8 * 24 * 3600;
        keeper->refresh_idle(fiber, provider_of);
        keeper->refresh_idle(fiber, provider_of);
        EXPECT_EQ(provider->asked, 1);
        EXPECT_EQ(stored(fiber).refresh_token.reveal(), "refresh-1");
        // What was refused is tried once a day, in case the provider was wrong.
        provider->refusal = oauth::Refusal{Kind::sign_in, "over", "invalid_grant", "invalid_grant", {}};
        wall += 8 * 24 * 3600;
        keeper->refresh_idle(fiber, provider_of);
        keeper->refresh_idle(fiber, provider_of);
        EXPECT_EQ(provider->asked, 2);
        provider->refusal.reset();
        wall += 25 * 3600;
        keeper->refresh_idle(fiber, provider_of);
        EXPECT_EQ(provider->asked, 3);
        EXPECT_EQ(token(fiber), "access-2");
    });
}

TEST_F(TokenKeeperTest, ApplicationsTokensAreKeptInMemory) {
    provider->settings_.grant = oauth::Grant::service_account;
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(token(fiber, "ann"), "access-1");
        EXPECT_EQ(token(fiber, "ann"), "access-1");
        EXPECT_EQ(token(fiber, "bob"), "access-2") << "for another mailbox";
        wall += 3600;
        EXPECT_EQ(token(fiber, "ann"), "access-3");
        EXPECT_TRUE((*accounts.users(fiber)).empty());
    });
}

TEST_F(TokenKeeperTest, AClockThatJumpsBackCostsARenewalAtMost) {
    test::on_fiber([&](Fiber& fiber) {
        sign_in(fiber);
        wall -= 365 * 24 * 3600;
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(token(fiber), "access-1");
        EXPECT_EQ(provider->asked, 1);
    });
}

}  // namespace
}  // namespace popgate
