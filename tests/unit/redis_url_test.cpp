#include "gateway/config/redis_url.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate::redis {
namespace {

using Kind = Address::Kind;

Address read(std::string_view url) {
    auto address = parse_redis_url(url);
    EXPECT_TRUE(address) << url << ": " << (address ? "" : address.error().text);
    return address ? *address : Address{};
}

std::string servers(std::string_view url) {
    std::string all;
    for (const auto& each : read(url).servers) all += (all.empty() ? "" : " ") + each.host + "|" + each.port;
    return all;
}

TEST(RedisUrl, OneServer) {
    const auto address = read("redis://example.org");
    EXPECT_EQ(address.kind, Kind::single);
    EXPECT_FALSE(address.tls);
    EXPECT_EQ(address.database, 0U);
    EXPECT_EQ(address.prefix, "popgate");
    EXPECT_EQ(address.user + address.password + address.socket + address.master, "");
    EXPECT_EQ(servers("redis://example.org"), "example.org|6379");
    EXPECT_EQ(servers("rediss://127.0.0.1:1/"), "127.0.0.1|1");
    EXPECT_EQ(servers("redis://[::1]"), "::1|6379");
    EXPECT_EQ(servers("redis://[2001:db8::1]:65535/3"), "2001:db8::1|65535");
    EXPECT_TRUE(read("rediss://a").tls);
    EXPECT_EQ(read("redis://a/15").database, 15U);
    EXPECT_EQ(read("redis://a/15?prefix=mail-2_x.y").prefix, "mail-2_x.y");
    EXPECT_EQ(read("redis://a?prefix=mail").prefix, "mail");
}

TEST(RedisUrl, UserAndPassword) {
    EXPECT_EQ(read("redis://:secret@a").password, "secret");
    EXPECT_EQ(read("redis://:secret@a").user, "");
    const auto address = read("redis://mail:p%40s%3As%2F%25@a:7/1");
    EXPECT_EQ(address.user, "mail");
    EXPECT_EQ(address.password, "p@s:s/%");
    EXPECT_EQ(servers("redis://mail:p%40s%3As%2F%25@a:7/1"), "a|7");
    EXPECT_EQ(read("redis://mail:a@b@c").password, "a@b");
    EXPECT_EQ(read("redis+unix://mail:x@/run/redis.sock").password, "x");
}

TEST(RedisUrl, Socket) {
    EXPECT_EQ(read("redis+unix:/run/redis/redis.sock").socket, "/run/redis/redis.sock");
    EXPECT_EQ(read("redis+unix:///run/redis/redis.sock").socket, "/run/redis/redis.sock");
    const auto address = read("redis+unix:/run/r%20s?database=4&prefix=x");
    EXPECT_EQ(address.socket, "/run/r s");
    EXPECT_EQ(address.database, 4U);
    EXPECT_EQ(address.prefix, "x");
    EXPECT_TRUE(address.servers.empty());
}

TEST(RedisUrl, Sentinels) {
    const auto address = read("rediss+sentinel://:x@a,b:1,[::1]:2/mymaster/3?prefix=x");
    EXPECT_EQ(address.kind, Kind::sentinel);
    EXPECT_TRUE(address.tls);
    EXPECT_EQ(address.master, "mymaster");
    EXPECT_EQ(address.database, 3U);
    EXPECT_EQ(servers("rediss+sentinel://:x@a,b:1,[::1]:2/mymaster/3"), "a|26379 b|1 ::1|2");
}

TEST(RedisUrl, Cluster) {
    EXPECT_EQ(read("redis+cluster://a,b").kind, Kind::cluster);
    EXPECT_EQ(servers("redis+cluster://a,b:7001/"), "a|6379 b|7001");
    EXPECT_TRUE(read("rediss+cluster://a").tls);
}

TEST(RedisUrl, ABadOneIsToldWhy) {
    const auto says = [](std::string_view url, std::string_view words) {
        const auto address = parse_redis_url(url);
        ASSERT_FALSE(address) << url;
        EXPECT_EQ(address.error().code, Errc::permanent);
        EXPECT_NE(address.error().text.find(words), std::string::npos) << url << ": " << address.error().text;
        EXPECT_EQ(address.error().text.find("secret"), std::string::npos) << url;
        EXPECT_EQ(address.error().detail, "");
    };
    says("", "starts with redis://");
    says("redis:", "starts with redis://");
    says("redis:a", "starts with redis://");
    says("REDIS://a", "starts with redis://");
    says("redis+tls://a", "starts with redis://");
    says("redis://", "lacks a host");
    says("redis:///1", "lacks a host");
    says("redis://a b", "a space");
    says("redis://a\x01", "a space");
    says("redis://caf\xC3\xA9", "a space");
    says("redis://a,b", "several hosts");
    says("redis://a:0", "a port");
    says("redis://a:65536", "a port");
    says("redis://a:", "a port");
    says("redis://a:+1", "a port");
    says("redis://a:6379x", "a port");
    says("redis://[::1", "'[' without ']'");
    says("redis://[::1]x", "a port");
    says("redis://[a]", "no IPv6 address");
    says("redis://[]", "no IPv6 address");
    says("redis://a/x", "the database");
    says("redis://a/-1", "the database");
    says("redis://a/1/2", "the database");
    says("redis://a/99999999999", "the database");
    says("redis://secret@a", "no USER:PASSWORD");
    says("redis://secret:@a", "no password");
    says("redis://:@a", "no password");
    says("redis://:secret%4@a", "a '%'");
    says("redis://:secret%zz@a", "a '%'");
    says("redis://:secret%@a", "a '%'");
    says("redis://:secret?x@a", "lacks a host");
    says("redis://user:secret/x", "a port");
    says("redis://a?prefix=", "the prefix");
    says("redis://a?prefix=a:b", "the prefix");
    says("redis://a?prefix={}", "the prefix");
    says("redis://a?prefix=a&prefix=b", "behind its '?'");
    says("redis://a?database=1", "behind its '?'");
    says("redis://a?secret=1", "behind its '?'");
    says("redis://a?prefix=" + std::string(65, 'x'), "the prefix");
    says("redis+unix:", "no absolute path");
    says("redis+unix:run/redis.sock", "no absolute path");
    says("redis+unix:/", "no absolute path");
    says("redis+unix:/run/", "no absolute path");
    says("redis+unix://host/run/x", "no absolute path");
    says("redis+unix:/run/%", "no absolute path");
    says("redis+unix:/" + std::string(107, 'x'), "longer than 107");
    says("redis+unix:/run/x?database=x", "the database");
    says("redis+sentinel://a", "/MASTER");
    says("redis+sentinel://a/", "/MASTER");
    says("redis+sentinel://a/ma%20ster", "/MASTER");
    says("redis+sentinel://a/m/x", "the database");
    says("redis+sentinel://a,/m", "lacks a host");
    says("redis+cluster://a/1", "no databases");
    says("redis+cluster://,a", "lacks a host");
}

TEST(RedisUrl, WhatIsMeantForIt) {
    for (const std::string_view url : {"redis:", "rediss://a", "redis+unix:/x", "redis+cluster://", "rediss+x"})
        EXPECT_TRUE(is_redis_url(url)) << url;
    for (const std::string_view url : {"", "redis", "sqlite:/redis:", "Redis://a", "rediss"})
        EXPECT_FALSE(is_redis_url(url)) << url;
}

}  // namespace
}  // namespace popgate::redis
