#include "gateway/state/redis/client.hpp"

#include "gateway/net/tls.hpp"
#include "tests/support/made_certificate.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/redis_server.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace popgate::redis {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::RedisServer;

const Script append_script("redis.call('APPEND', KEYS[1], ARGV[2]) return redis.call('GET', KEYS[1])");
const Script run_id_script("return ARGV[1]");

Address address_of(const std::string& url) {
    auto address = parse_redis_url(url);
    EXPECT_TRUE(address) << url;
    return *address;
}

std::string key(std::string_view rest, unsigned bucket = 7) { return bucket_key("popgate", bucket, rest); }

/// What GET answers, or the error in words.
std::string get(Client& client, Fiber& fiber, std::string_view rest, unsigned bucket = 7) {
    auto replies = client.call(fiber, bucket, {{"GET", key(rest, bucket)}});
    return replies ? replies->front().text : "error: " + replies.error().detail;
}

std::string set(Client& client, Fiber& fiber, std::string_view rest, const std::string& value, unsigned bucket = 7) {
    auto replies = client.call(fiber, bucket, {{"SET", key(rest, bucket), value}});
    return replies ? replies->front().text : "error: " + replies.error().detail;
}

/// Runs `body` on so many fibers of one context, until all have ended.
void on_fibers(unsigned count, const std::function<void(Fiber&, unsigned)>& body) {
    on_fiber([&](Fiber& starter) {
        unsigned left = count;
        for (unsigned i = 0; i < count; ++i)
            Fiber::start(
                starter.context(),
                [&, i](Fiber& fiber) {
                    body(fiber, i);
                    if (--left == 0) starter.wake();
                },
                [](const std::exception& error) { ADD_FAILURE() << error.what(); });
        while (left > 0 && starter.sleep_until(Clock::now() + 60s)) {
        }
        EXPECT_EQ(left, 0U);
    });
}

/// Tries until it answers, at most for three seconds.
bool answers_again(Client& client, Fiber& fiber) {
    for (const auto end = Clock::now() + 3s; Clock::now() < end; fiber.sleep_until(Clock::now() + 50ms))
        if (get(client, fiber, "nothing").empty()) return true;
    return false;
}

TEST(RedisClient, CommandsAndScripts) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(set(client, fiber, "a", "1"), "OK");
        EXPECT_EQ(get(client, fiber, "a"), "1");
        auto reply = client.run(fiber, redis::Run{&append_script, {key("a")}, {"2"}});
        ASSERT_TRUE(reply) << reply.error().detail;
        EXPECT_EQ(reply->text, "12");
        auto replies = client.run(fiber, std::vector<redis::Run>{{&append_script, {key("a")}, {"3"}},
                                                                 {&run_id_script, {key("a")}, {}},
                                                                 {&append_script, {key("a")}, {"4"}}});
        ASSERT_TRUE(replies) << replies.error().detail;
        EXPECT_EQ((*replies)[0].text, "123");
        EXPECT_EQ((*replies)[2].text, "1234");
        EXPECT_NE(server.cli({"INFO", "server"}).find("run_id:" + (*replies)[1].text), std::string::npos);
        EXPECT_EQ(client.trouble(), "");
        auto wrong = client.call(fiber, 7, {{"LPUSH", key("a"), "x"}, {"GET", key("a")}});
        ASSERT_TRUE(wrong) << wrong.error().detail;
        EXPECT_TRUE((*wrong)[0].text.starts_with("WRONGTYPE"));
        EXPECT_EQ((*wrong)[1].text, "1234");
    });
}

TEST(RedisClient, ScriptsThatWereForgotten) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    on_fiber([&](Fiber& fiber) {
        for (const std::string expected : {"x", "xx", "xxx"}) {
            EXPECT_EQ(server.cli({"SCRIPT", "FLUSH"}), "OK");
            auto reply = client.run(fiber, redis::Run{&append_script, {key("a")}, {"x"}});
            ASSERT_TRUE(reply) << reply.error().detail;
            EXPECT_EQ(reply->text, expected);
        }
    });
}

TEST(RedisClient, ManyFibersOnOneConnection) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    on_fibers(100, [&](Fiber& fiber, unsigned which) {
        std::string expected;
        for (unsigned i = 0; i < 20; ++i) {
            const auto text = std::to_string(which) + "," + std::to_string(i) + ";";
            expected += text;
            auto reply = client.run(fiber, redis::Run{&append_script, {key(std::to_string(which))}, {text}});
            ASSERT_TRUE(reply) << reply.error().detail;
            ASSERT_EQ(reply->text, expected);
        }
    });
    EXPECT_NE(server.cli({"INFO", "stats"}).find("total_connections_received:3"), std::string::npos)
        << server.cli({"INFO", "stats"});  // the fixture's first look, ours, and this one
}

TEST(RedisClient, LargeValuesBothWays) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    on_fibers(2, [&](Fiber& fiber, unsigned which) {
        const std::string value(20 * 1024 * 1024 + which, static_cast<char>('a' + which));
        const auto name = std::to_string(which);
        EXPECT_EQ(set(client, fiber, name, value), "OK");
        EXPECT_TRUE(get(client, fiber, name) == value);
    });
}

TEST(RedisClient, OverASocketWithDatabase) {
    const RedisServer server({.on_socket = true});
    Client client(address_of(server.url() + "?database=3"), {.name = "node-1"});
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(set(client, fiber, "a", "1"), "OK");
        EXPECT_EQ(server.cli({"-n", "3", "GET", key("a")}), "1");
        EXPECT_NE(server.cli({"CLIENT", "LIST"}).find("name=node-1"), std::string::npos);
    });
}

TEST(RedisClient, OverTlsWithPassword) {
    const CertificateFolder folder;
    const auto authority = make_certificate({.common_name = "authority", .is_authority = true});
    const auto made = make_certificate({.names = {"localhost"}, .authority = &authority});
    const auto files = folder.put("redis", made);
    folder.put("ca", authority);
    const RedisServer server(
        {.tls = true, .certificate_file = files.certificate, .key_file = files.key, .password = "s3cret"});
    auto tls = TlsClientContext::make(folder.path("ca.pem"), true);
    ASSERT_TRUE(tls);
    const auto at_name = "rediss://:s3cret@localhost:" + server.port();
    Client client(address_of(at_name), {.tls = *tls});
    Client by_address(address_of(server.url()), {.tls = *tls});  // which the certificate does not have
    on_fiber([&](Fiber& fiber) {
        const std::string value(5 * 1024 * 1024, 'x');
        EXPECT_EQ(set(client, fiber, "a", value), "OK");
        EXPECT_TRUE(get(client, fiber, "a") == value);
        EXPECT_NE(get(by_address, fiber, "a").find("its certificate is refused"), std::string::npos);
    });
}

TEST(RedisClient, AWrongPasswordIsTemporaryAndNotTold) {
    const RedisServer server({.password = "right"});
    Client client(address_of("redis://mail:s3cret@127.0.0.1:" + server.port()), {});
    Client without(address_of("redis://127.0.0.1:" + server.port()), {});
    on_fiber([&](Fiber& fiber) {
        auto replies = client.call(fiber, 0, {{"PING"}});
        ASSERT_FALSE(replies);
        EXPECT_EQ(replies.error().code, Errc::temporary);
        EXPECT_NE(replies.error().detail.find("WRONGPASS"), std::string::npos) << replies.error().detail;
        EXPECT_NE(replies.error().detail.find(server.port()), std::string::npos);
        EXPECT_EQ(replies.error().detail.find("s3cret"), std::string::npos);
        EXPECT_EQ(client.trouble(), replies.error().detail);
        EXPECT_NE(get(without, fiber, "a").find("NOAUTH"), std::string::npos);
    });
}

TEST(RedisClient, ServerKilledAndStarted) {
    RedisServer server;
    Client client(address_of(server.url()), {});
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(set(client, fiber, "a", "1"), "OK");
        server.kill();
        EXPECT_NE(get(client, fiber, "a").find("error: "), std::string::npos);
        EXPECT_NE(client.trouble().find(server.port()), std::string::npos) << client.trouble();
        const auto before = Clock::now();
        for (int i = 0; i < 1000; ++i) get(client, fiber, "a");
        EXPECT_LT(Clock::now() - before, 2s);
        server.start();
        EXPECT_TRUE(answers_again(client, fiber));
        EXPECT_EQ(client.trouble(), "");
    });
}

TEST(RedisClient, AServerThatHangs) {
    const RedisServer server;
    Client client(address_of(server.url()), {.connect_timeout = 500ms, .call_timeout = 500ms});
    unsigned ready = 0;
    on_fibers(20, [&](Fiber& fiber, unsigned) {
        EXPECT_EQ(get(client, fiber, "a"), "");
        if (++ready == 20) server.pause();
        while (ready < 20) fiber.give_way();
        const auto before = Clock::now();
        std::string answer;
        while (answer.empty()) answer = get(client, fiber, "a");
        EXPECT_NE(answer.find("error: "), std::string::npos);
        EXPECT_LT(Clock::now() - before, 3s);
    });
    server.resume();
    on_fiber([&](Fiber& fiber) { EXPECT_TRUE(answers_again(client, fiber)); });
}

TEST(RedisClient, NoReplicaHasIt) {
    const RedisServer server;
    Client client(address_of(server.url()), {.call_timeout = 500ms});
    on_fiber([&](Fiber& fiber) {
        auto replies = client.run_replicated(fiber, {{&append_script, {key("a")}, {"x"}}}, 1);
        ASSERT_FALSE(replies);
        EXPECT_EQ(replies.error().code, Errc::temporary);
        EXPECT_NE(replies.error().detail.find("only 0 of 1 replicas"), std::string::npos) << replies.error().detail;
        EXPECT_EQ(get(client, fiber, "a"), "x");
    });
}

TEST(RedisClient, AReplicaIsNoStore) {
    const RedisServer master;
    const RedisServer replica({.more = {"replicaof 127.0.0.1 " + master.port()}});
    ASSERT_TRUE(replica.wait_for({"INFO", "replication"}, "master_link_status:up"));
    Client client(address_of(replica.url()), {});
    Client of_master(address_of(master.url()), {});
    on_fiber([&](Fiber& fiber) {
        EXPECT_NE(get(client, fiber, "a").find("it is no master"), std::string::npos);
        auto replies = of_master.run_replicated(fiber, {{&append_script, {key("a")}, {"x"}}}, 1);
        EXPECT_TRUE(replies) << replies.error().detail;
        // One that is made a replica while it is used.
        EXPECT_EQ(master.cli({"CONFIG", "SET", "min-replicas-to-write", "0"}), "OK");
        EXPECT_EQ(master.cli({"REPLICAOF", "127.0.0.1", "1"}), "OK");
        EXPECT_EQ(of_master.call(fiber, 7, {{"SET", key("a"), "1"}}).has_error(), true);
    });
}

TEST(RedisClient, GreetingComesFirst) {
    RedisServer server;
    unsigned greetings = 0;
    ClientOptions options;
    options.greeting = [&](const std::vector<unsigned>& which) {
        ++greetings;
        EXPECT_EQ(which.size(), buckets);
        std::vector<redis::Run> runs;
        for (const auto bucket : which) runs.push_back({&append_script, {key("greeted", bucket)}, {"!"}});
        return runs;
    };
    Client client(address_of(server.url()), options);
    on_fiber([&](Fiber& fiber) {
        for (const unsigned bucket : {0U, 7U, 255U}) EXPECT_EQ(get(client, fiber, "greeted", bucket), "!");
        EXPECT_EQ(greetings, 1U);
        server.kill();
        server.start();
        EXPECT_TRUE(answers_again(client, fiber));
        EXPECT_EQ(greetings, 2U);
    });
}

TEST(RedisClient, WhatIsPostedIsSentWithoutACall) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    on_fiber([&](Fiber& fiber) {
        client.post(fiber.context(), {&append_script, {key("a")}, {"0"}});  // no connection, so it is lost
        EXPECT_EQ(get(client, fiber, "a"), "");
        for (const std::string each : {"1", "2", "3"})
            client.post(fiber.context(), {&append_script, {key("a")}, {each}});
        EXPECT_TRUE(server.wait_for({"GET", key("a")}, "123"));
        EXPECT_EQ(get(client, fiber, "a"), "123");
    });
}

TEST(RedisClient, WhoReadsForTheOthersIsInterrupted) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    std::vector<Fiber*> reading;
    unsigned ready = 0;
    unsigned done = 0;
    on_fibers(10, [&](Fiber& fiber, unsigned which) {
        EXPECT_EQ(get(client, fiber, "a"), "");
        if (++ready == 10) server.pause();
        while (ready < 10) fiber.give_way();
        if (which < 9) {
            reading.push_back(&fiber);
            const auto answer = get(client, fiber, "a");
            std::erase(reading, &fiber);
            EXPECT_TRUE(answer.empty() || answer.find("interrupted") != std::string::npos) << answer;
            if (answer.empty()) ++done;
            return;
        }
        while (reading.size() < 9) fiber.give_way();
        for (int left = 9; left > 5; --left) {
            ASSERT_EQ(reading.size(), static_cast<std::size_t>(left));
            reading.front()->interrupt();
            while (reading.size() == static_cast<std::size_t>(left)) fiber.give_way();
        }
        server.resume();
    });
    EXPECT_EQ(done, 5U);
}

TEST(RedisClient, FibersWithDeadlinesOfAllKinds) {
    const RedisServer server;
    Client client(address_of(server.url()), {});
    std::mt19937 random(20);
    on_fibers(200, [&](Fiber& fiber, unsigned which) {
        const auto name = std::to_string(which);
        const std::string value(1 + random() % 100'000, static_cast<char>('a' + which % 26));
        EXPECT_EQ(set(client, fiber, name, value), "OK");
        for (int i = 0; i < 20; ++i) {
            const Fiber::LimitScope limit(fiber, Clock::now() + std::chrono::microseconds(random() % 20'000));
            const auto answer = get(client, fiber, name);
            EXPECT_TRUE(answer == value || answer.starts_with("error: ")) << answer.substr(0, 100);
        }
        EXPECT_TRUE(get(client, fiber, name) == value);
    });
}

}  // namespace
}  // namespace popgate::redis
