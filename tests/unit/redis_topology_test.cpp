#include "gateway/state/redis/client.hpp"
#include "gateway/state/redis/servers.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/redis_server.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace popgate::redis {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::RedisServer;

const Script append_script("redis.call('APPEND', KEYS[1], ARGV[2]) return redis.call('GET', KEYS[1])");

std::string key(unsigned bucket) { return bucket_key("popgate", bucket, "a"); }

/// What is there after `text` was appended, or the error in words.
std::string append(Client& client, Fiber& fiber, unsigned bucket, const std::string& text) {
    auto reply = client.run(fiber, redis::Run{&append_script, {key(bucket)}, {text}});
    return reply ? reply->text : "error: " + reply.error().detail;
}

TEST(RedisCluster, Slots) {
    EXPECT_EQ(slot_of("123456789"), 0x31C3U);
    EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));
    EXPECT_EQ(slot_of("popgate:{7f}:x"), slot_of("7f"));
    EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
    EXPECT_EQ(bucket_key("p", 127, "x"), "p:{7f}:x");
}

class ClusterOfThree : public testing::Test {
protected:
    void SetUp() override {
        for (int i = 0; i < 3; ++i)
            nodes.push_back(std::make_unique<RedisServer>(RedisServer::Wishes{
                .more = {"cluster-enabled yes", "cluster-node-timeout 2000", "cluster-require-full-coverage no"}}));
        const char* ranges[3][2] = {{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}};
        for (unsigned i = 0; i < 3; ++i) {
            ASSERT_EQ(nodes[i]->cli({"CLUSTER", "ADDSLOTSRANGE", ranges[i][0], ranges[i][1]}), "OK");
            ASSERT_EQ(nodes[i]->cli({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)}), "OK");
        }
        for (unsigned i = 1; i < 3; ++i)
            ASSERT_EQ(nodes[0]->cli({"CLUSTER", "MEET", "127.0.0.1", nodes[i]->port()}), "OK");
        for (const auto& each : nodes) {
            ASSERT_TRUE(each->wait_for({"CLUSTER", "INFO"}, "cluster_slots_ok:16384"));
            ASSERT_TRUE(each->wait_for({"CLUSTER", "INFO"}, "cluster_state:ok"));
        }
    }
    Address address() const { return *parse_redis_url("redis+cluster://127.0.0.1:1,127.0.0.1:" + nodes[1]->port()); }
    unsigned owner_of(unsigned bucket) const {
        const auto slot = slot_of(key(bucket));
        return slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2;
    }

    std::vector<std::unique_ptr<RedisServer>> nodes;
};

TEST_F(ClusterOfThree, EachBucketWhereItsSlotIs) {
    std::vector<unsigned> greeted(buckets);
    ClientOptions options;
    options.greeting = [&](const std::vector<unsigned>& which) {
        for (const auto each : which) ++greeted[each];
        return std::vector<redis::Run>();
    };
    Client client(address(), options);
    on_fiber([&](Fiber& fiber) {
        for (unsigned bucket = 0; bucket < buckets; ++bucket) ASSERT_EQ(append(client, fiber, bucket, "x"), "x");
        for (unsigned i = 0; i < 3; ++i) {
            const auto keys = nodes[i]->cli({"KEYS", "*"});
            for (unsigned bucket = 0; bucket < buckets; ++bucket)
                EXPECT_EQ(keys.find(key(bucket)) != std::string::npos, owner_of(bucket) == i) << bucket;
        }
        for (const auto each : greeted) EXPECT_EQ(each, 1U);
    });
}

TEST_F(ClusterOfThree, ASlotIsMoved) {
    unsigned greeted = 0;
    constexpr unsigned bucket = 7;
    ClientOptions options;
    options.greeting = [&](const std::vector<unsigned>& which) {
        for (const auto each : which) greeted += each == bucket;
        return std::vector<redis::Run>();
    };
    Client client(address(), options);
    const auto from = owner_of(bucket);
    const auto to = (from + 1) % 3;
    const auto slot = std::to_string(slot_of(key(bucket)));
    const auto id_from = nodes[from]->cli({"CLUSTER", "MYID"});
    const auto id_to = nodes[to]->cli({"CLUSTER", "MYID"});
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(append(client, fiber, bucket, "1"), "1");
        EXPECT_EQ(nodes[to]->cli({"CLUSTER", "SETSLOT", slot, "IMPORTING", id_from}), "OK");
        EXPECT_EQ(nodes[from]->cli({"CLUSTER", "SETSLOT", slot, "MIGRATING", id_to}), "OK");
        EXPECT_EQ(append(client, fiber, bucket, "2"), "12");  // still there
        EXPECT_EQ(nodes[from]->cli({"MIGRATE", "127.0.0.1", nodes[to]->port(), key(bucket), "0", "5000"}), "OK");
        EXPECT_EQ(append(client, fiber, bucket, "3"), "123");  // ASK
        auto both = client.run(fiber, std::vector<redis::Run>{{&append_script, {key(bucket)}, {"4"}},
                                                              {&append_script, {key(bucket)}, {"5"}}});
        ASSERT_TRUE(both) << both.error().detail;
        EXPECT_EQ((*both)[1].text, "12345");
        EXPECT_EQ(nodes[to]->cli({"CLUSTER", "SETSLOT", slot, "NODE", id_to}), "OK");
        EXPECT_EQ(nodes[from]->cli({"CLUSTER", "SETSLOT", slot, "NODE", id_to}), "OK");
        EXPECT_EQ(append(client, fiber, bucket, "6"), "123456");  // MOVED
        EXPECT_EQ(append(client, fiber, bucket, "7"), "1234567");
        EXPECT_EQ(greeted, 1U) << "at the new server, too, by the script that needs it";
    });
}

TEST(RedisSentinel, TheMasterIsAnotherOne) {
    auto master = std::make_unique<RedisServer>();
    const RedisServer replica({.more = {"replicaof 127.0.0.1 " + master->port()}});
    ASSERT_TRUE(replica.wait_for({"INFO", "replication"}, "master_link_status:up"));
    const RedisServer sentinel(
        {.is_sentinel = true,
         .more = {"sentinel monitor mail 127.0.0.1 " + master->port() + " 1",
                  "sentinel down-after-milliseconds mail 500", "sentinel failover-timeout mail 3000"}});
    ASSERT_TRUE(sentinel.wait_for({"SENTINEL", "replicas", "mail"}, replica.port()));
    const auto servers = "redis+sentinel://127.0.0.1:1,127.0.0.1:" + sentinel.port();
    Client client(*parse_redis_url(servers + "/mail"), {});
    Client of_another(*parse_redis_url(servers + "/other"), {});
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(append(client, fiber, 7, "1"), "1");
        EXPECT_NE(append(of_another, fiber, 7, "1").find("knows no master \"other\""), std::string::npos);
        auto replicated = client.run_replicated(fiber, {{&append_script, {key(7)}, {"2"}}}, 1);
        ASSERT_TRUE(replicated) << replicated.error().detail;
        master->kill();
        std::string answer;
        for (const auto end = Clock::now() + 20s; Clock::now() < end; fiber.sleep_until(Clock::now() + 100ms)) {
            answer = append(client, fiber, 7, "3");
            if (!answer.starts_with("error: ")) break;
        }
        EXPECT_EQ(answer, "123");
        EXPECT_EQ(replica.cli({"GET", key(7)}), "123");
    });
}

}  // namespace
}  // namespace popgate::redis
