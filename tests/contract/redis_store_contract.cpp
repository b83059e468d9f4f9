#include "gateway/config/config.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/contract/state_store_contract.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/redis_server.hpp"

namespace popgate::test {
namespace {

RedisServer& server() {
    static RedisServer running({.on_socket = true});
    return running;
}

/// Keys of its own at a server that all of them share.
class RedisFixture final : public StateStoreFixture {
public:
    RedisFixture() : prefix_("test" + std::to_string(++last_)) {
        // As if the server had been there for long: nothing that was locked before can be held any more.
        server().cli({"EVAL",
                      "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')\n"
                      "for i = 0, 255 do\n"
                      "  redis.call('HSET', string.format('%s:{%02x}:epoch', ARGV[1], i), 'run', run, 'since', '1')\n"
                      "end",
                      "0", prefix_});
    }

    const std::string& prefix() const { return prefix_; }

    std::unique_ptr<StateStore> open() override {
        StateConfig config;
        config.url = "redis+unix:" + server().socket() + "?prefix=" + prefix_;
        config.node = "node" + std::to_string(++nodes_);
        config.lock_expiry = std::chrono::seconds(2);
        auto store = open_state_store(config);
        return store ? std::move(*store) : nullptr;
    }

private:
    static inline int last_ = 0;
    std::string prefix_;
    int nodes_ = 0;
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MailboxContract);
INSTANTIATE_TEST_SUITE_P(, StateStoreContract,
                         testing::Values(StateStoreKind{"Redis", [] { return std::make_unique<RedisFixture>(); }}),
                         store_kind_name);

// --- of this kind alone

/// What redis-cli has for a key of mailbox "m", which is in bucket 62.
std::string key_of(const RedisFixture& fixture, const std::string& kind) {
    return fixture.prefix() + ":{62}:" + kind + ":m";
}

std::uint64_t octets_sent() {
    const auto info = server().cli({"INFO", "stats"});
    return std::stoull(info.substr(info.find("total_net_output_bytes:") + 23));
}

TEST(RedisStore, AMailboxThatIsAsItWasCostsItsHead) {
    RedisFixture fixture;
    const auto store = fixture.open();
    on_fiber([&](Fiber& fiber) {
        ASSERT_TRUE(*store->save(fiber, "m", adding({}, 1, 100'000)));
        ASSERT_EQ(store->load(fiber, "m")->messages.size(), 100'000U);
        const auto before = octets_sent();
        ASSERT_EQ(store->load(fiber, "m")->messages.size(), 100'000U);
        const auto small = octets_sent() - before;
        EXPECT_LT(small, 10'000U);
        // What another node has changed is all that has to be read.
        const auto other = fixture.open();
        MailboxChange change;
        change.changed.push_back({7, some_message(7).info.id, {}, {}, {}, true, {}});
        ASSERT_TRUE(*other->save(fiber, "m", change));
        const auto again = octets_sent();
        ASSERT_TRUE(store->load(fiber, "m")->messages[6].hidden);
        EXPECT_LT(octets_sent() - again, 60'000U);
    });
}

TEST(RedisStore, WhatIsDamagedIsLearnedAnewAndWhatKeepsUniqueIdsStays) {
    for (const auto* damage : {"chunk", "no chunk", "head", "short head"}) {
        RedisFixture fixture;
        on_fiber([&](Fiber& fiber) {
            const auto writer = fixture.open();
            ASSERT_TRUE(*writer->save(fiber, "m", adding({}, 1, 1500)));
            ASSERT_TRUE(writer->keep_imported(fiber, "m", "g", {{"1", "old"}}));
            const std::string what = damage;
            if (what == "chunk") server().cli({"HSET", key_of(fixture, "chunks"), "1", "garbage"});
            if (what == "no chunk") server().cli({"HDEL", key_of(fixture, "chunks"), "1"});
            if (what == "head") server().cli({"SETRANGE", key_of(fixture, "head"), "20", "garbage"});
            if (what == "short head") server().cli({"SET", key_of(fixture, "head"), "x"});
            const auto store = fixture.open();
            const auto loaded = store->load(fiber, "m");
            ASSERT_TRUE(loaded) << what << ": " << loaded.error().detail;
            EXPECT_EQ(loaded->head.version, 0U) << what;
            EXPECT_TRUE(loaded->messages.empty()) << what;
            EXPECT_EQ(loaded->imported.size(), 1U) << what;
            EXPECT_TRUE(*store->save(fiber, "m", adding({}, 1, 3))) << what;
            EXPECT_EQ(store->load(fiber, "m")->messages.size(), 3U) << what;
        });
    }
}

TEST(RedisStore, ImportedIdsThatAreMissingAreNoneOfOurs) {
    RedisFixture fixture;
    on_fiber([&](Fiber& fiber) {
        ASSERT_TRUE(fixture.open()->keep_imported(fiber, "m", "g", {{"1", "old"}}));
        server().cli({"DEL", key_of(fixture, "imported")});
        const auto loaded = fixture.open()->load(fiber, "m");
        ASSERT_FALSE(loaded) << "messages would be shown under other unique-ids";
        EXPECT_EQ(loaded.error().code, Errc::temporary);
    });
}

TEST(RedisStore, AnotherFormatIsRefusedForGood) {
    RedisFixture fixture;
    server().cli({"SET", fixture.prefix() + ":{62}:format", "7"});
    const auto store = fixture.open();
    on_fiber([&](Fiber& fiber) {
        const auto status = store->check(fiber);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::permanent);
        EXPECT_NE(status.error().text.find("format is 7"), std::string::npos) << status.error().text;
    });
}

TEST(RedisStore, ALockIsKeptUpAndEndsByItself) {
    RedisFixture fixture;
    const auto store = fixture.open(), other = fixture.open();
    on_fiber([&](Fiber& fiber) {
        auto held = store->hold_maildrop(fiber, "m");
        ASSERT_TRUE(held->hold);
        const auto refused = other->hold_maildrop(fiber, "m");
        EXPECT_FALSE(refused->hold);
        EXPECT_GT(refused->free_in.count(), 0);
        // Nobody renews it here.
        while (Clock::now() < held->hold->held_until()) fiber.sleep_until(held->hold->held_until());
        EXPECT_FALSE(held->hold->confirm(fiber)) << "too late by its own clock";
        Result<MaildropAnswer> next = MaildropAnswer{};
        for (const auto end = Clock::now() + std::chrono::seconds(10); !next->hold && Clock::now() < end;)
            next = other->hold_maildrop(fiber, "m");
        ASSERT_TRUE(next->hold);
        held->hold->release(fiber);
        EXPECT_TRUE(next->hold->confirm(fiber)) << "what was lost frees nothing";
    });
}

TEST(RedisStore, AServerThatWasEmptiedLocksNothingNewButKeepsWhatIsHeld) {
    RedisFixture fixture;
    const auto store = fixture.open(), other = fixture.open();
    on_fiber([&](Fiber& fiber) {
        const auto held = store->hold_maildrop(fiber, "m");
        ASSERT_TRUE(held->hold);
        server().cli({"DEL", key_of(fixture, "lock"), fixture.prefix() + ":{62}:epoch"});
        const auto refused = other->hold_maildrop(fiber, "m");
        ASSERT_FALSE(refused) << "who held it must have time to say so";
        EXPECT_EQ(refused.error().code, Errc::temporary);
        EXPECT_TRUE(held->hold->confirm(fiber));
        EXPECT_FALSE(other->hold_maildrop(fiber, "m")->hold) << "held again";
    });
}

}  // namespace
}  // namespace popgate::test
