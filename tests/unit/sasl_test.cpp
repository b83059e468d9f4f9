#include "gateway/pop3/sasl.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate::pop3 {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Fault = SaslExchange::Fault;

std::string base64(std::string_view plain) {
    static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string encoded;
    for (std::size_t i = 0; i < plain.size(); i += 3) {
        const auto octet = [&](std::size_t at) {
            return at < plain.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(plain[at])) : 0;
        };
        const auto bits = octet(i) << 16 | octet(i + 1) << 8 | octet(i + 2);
        for (std::size_t j = 0; j < 4; ++j) encoded += i + j > plain.size() ? '=' : alphabet[bits >> (18 - 6 * j) & 63];
    }
    return encoded;
}

SaslExchange make(std::string_view mechanism) {
    const auto found = find_mechanism(mechanism);
    if (!found) throw std::invalid_argument("no such mechanism");
    return SaslExchange(*found, "<1896.697170952@pop.example.com>");
}

std::optional<Fault> fault_of(const SaslExchange::Step& step) {
    if (const auto* fault = std::get_if<Fault>(&step)) return *fault;
    return std::nullopt;
}

/// "user/password" of a step that ends well, or what it is instead.
std::string outcome(const SaslExchange::Step& step) {
    if (const auto* done = std::get_if<Proof>(&step)) return done->user + "/" + done->secret.reveal();
    if (const auto* challenge = std::get_if<SaslExchange::Challenge>(&step))
        return "challenge " + std::string(challenge->base64);
    return "fault " + std::to_string(static_cast<int>(std::get<Fault>(step)));
}

std::string plain(std::string_view message) { return outcome(make("PLAIN").start(base64(message))); }
std::optional<Fault> plain_fault(std::string_view message) { return fault_of(make("PLAIN").start(base64(message))); }

TEST(Base64, TheVectorsOfRfc4648) {
    EXPECT_EQ(decode_base64(""), "");
    EXPECT_EQ(decode_base64("Zg=="), "f");
    EXPECT_EQ(decode_base64("Zm8="), "fo");
    EXPECT_EQ(decode_base64("Zm9v"), "foo");
    EXPECT_EQ(decode_base64("Zm9vYg=="), "foob");
    EXPECT_EQ(decode_base64("Zm9vYmE="), "fooba");
    EXPECT_EQ(decode_base64("Zm9vYmFy"), "foobar");
    EXPECT_EQ(decode_base64("+/+/"), "\xFB\xFF\xBF");
}

TEST(Base64, EveryOctetComesBack) {
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    for (std::size_t length = 0; length <= all.size(); ++length)
        EXPECT_EQ(decode_base64(base64(std::string_view(all).substr(0, length))), all.substr(0, length));
}

TEST(Base64, WhatIsNotStrictIsRefused) {
    for (const auto text :
         {"Z"sv,        "Zg"sv,      "Zg="sv,  "Zm9"sv,  "Zm9vY"sv,     "===="sv,   "="sv,    "Z==="sv,
          "Zg==Zg=="sv, "Zg=a"sv,    "Z=g="sv, "=Zg="sv, "Zm9v Zg=="sv, "Zm9v\r"sv, " Zm9"sv, "Zm9\0"sv,
          "Zm-_"sv,     "Zm9\xFF"sv, "Zh=="sv, "Zm9="sv, "Zg==="sv,     "Zg== "sv,  "*"sv,    "Zm9v===="sv})
        EXPECT_FALSE(decode_base64(text)) << testing::PrintToString(text);
}

TEST(SaslExchange, MechanismsGoByTheirNames) {
    for (const auto* name :
         {"PLAIN", "plain", "Plain", "LOGIN", "login", "cram-md5", "External", "XOAUTH2", "OAuthBearer"})
        EXPECT_TRUE(find_mechanism(name)) << name;
    for (const auto* name : {"", "PLAIN ", "CRAM_MD5", "ANONYMOUS", "PLAINX", "PLAI", "*"})
        EXPECT_FALSE(find_mechanism(name)) << name;
}

TEST(SaslPlain, WithAnInitialResponse) {
    EXPECT_EQ(plain("\0alice\0secret"sv), "alice/secret");
    EXPECT_EQ(plain("alice\0alice\0secret"sv), "alice/secret") << "acting for oneself is no acting for another";
}

TEST(SaslPlain, WithAnEmptyChallengeFirst) {
    auto exchange = make("PLAIN");
    EXPECT_EQ(outcome(exchange.start(std::nullopt)), "challenge ");
    EXPECT_EQ(outcome(exchange.on_response(base64("\0alice\0secret"sv))), "alice/secret");
}

TEST(SaslPlain, CredentialsArriveUnchanged) {
    for (const auto password : {" leading"sv, "trailing "sv, "in side"sv, "tab\t"sv, "\xC3\xB1"sv, "\xF1"sv, "\""sv,
                                "\\"sv, "%s%n"sv, "a\r\nA1 DELETE INBOX"sv, "*"sv, "="sv})
        EXPECT_EQ(plain("\0user\0"s + std::string(password)), "user/" + std::string(password));
    const std::string long_password(4096, 'p');
    EXPECT_EQ(plain("\0user\0"s + long_password), "user/" + long_password);
    const std::string longest(12 * 1024, 'p');
    EXPECT_EQ(plain("\0user\0"s + longest), "user/" + longest);
}

TEST(SaslPlain, MalformedMessages) {
    for (const auto message : {""sv, "alice"sv, "\0"sv, "\0alice"sv, "alice\0secret"sv, "\0alice\0sec\0ret"sv,
                               "\0alice\0secret\0"sv, "\0\0\0"sv, "a\0b\0c\0d"sv})
        EXPECT_EQ(plain_fault(message), Fault::malformed) << testing::PrintToString(message);
}

TEST(SaslPlain, AnotherIdentityIsRefused) {
    EXPECT_EQ(plain_fault("bob\0alice\0secret"sv), Fault::other_identity);
    EXPECT_EQ(plain_fault("Alice\0alice\0secret"sv), Fault::other_identity);
    EXPECT_EQ(plain_fault("alice \0alice\0secret"sv), Fault::other_identity);
}

TEST(SaslPlain, AnEqualsSignIsAnEmptyInitialResponse) {
    EXPECT_EQ(fault_of(make("PLAIN").start("=")), Fault::malformed) << "and an empty one is not what PLAIN needs";
    auto exchange = make("PLAIN");
    (void)exchange.start(std::nullopt);
    EXPECT_EQ(fault_of(exchange.on_response("=")), Fault::malformed) << "only initially (RFC 5034 §4)";
}

TEST(SaslPlain, AStarCancels) {
    auto exchange = make("PLAIN");
    (void)exchange.start(std::nullopt);
    EXPECT_EQ(fault_of(exchange.on_response("*")), Fault::cancelled);
}

TEST(SaslPlain, BadBase64) {
    for (const auto* text : {"!", "AGFsaWNlAHNlY3JldA", "AGFsaWNlAHNlY3JldA=", "AGFs aWNl", "**", "* "}) {
        auto exchange = make("PLAIN");
        (void)exchange.start(std::nullopt);
        EXPECT_EQ(fault_of(exchange.on_response(text)), Fault::malformed) << text;
    }
}

TEST(SaslLogin, AsksForNameAndPassword) {
    auto exchange = make("LOGIN");
    EXPECT_EQ(outcome(exchange.start(std::nullopt)), "challenge " + base64("Username:"));
    EXPECT_EQ(outcome(exchange.on_response(base64("alice"))), "challenge " + base64("Password:"));
    EXPECT_EQ(outcome(exchange.on_response(base64("se cret"))), "alice/se cret");
}

TEST(SaslLogin, TakesTheNameAsInitialResponse) {
    auto exchange = make("LOGIN");
    EXPECT_EQ(outcome(exchange.start(base64("alice"))), "challenge " + base64("Password:"));
    EXPECT_EQ(outcome(exchange.on_response(base64("secret"))), "alice/secret");
}

TEST(SaslLogin, MayBeCancelledAtEitherQuestion) {
    auto first = make("LOGIN");
    (void)first.start(std::nullopt);
    EXPECT_EQ(fault_of(first.on_response("*")), Fault::cancelled);
    auto second = make("LOGIN");
    (void)second.start(base64("alice"));
    EXPECT_EQ(fault_of(second.on_response("*")), Fault::cancelled);
}

TEST(SaslLogin, RefusesNulAndBadBase64AtEitherQuestion) {
    for (const auto& bad : {std::string("!"), base64("a\0b"sv), std::string("YQ"), std::string("YQ=")}) {
        EXPECT_EQ(fault_of(make("LOGIN").start(bad)), Fault::malformed) << bad;
        auto exchange = make("LOGIN");
        (void)exchange.start(base64("alice"));
        EXPECT_EQ(fault_of(exchange.on_response(bad)), Fault::malformed) << bad;
    }
}

std::string token(std::string_view mechanism, std::string_view message) {
    auto step = make(mechanism).start(base64(message));
    const auto* proof = std::get_if<Proof>(&step);
    EXPECT_TRUE(!proof || proof->method == Proof::Method::token);
    return outcome(step);
}

const auto malformed = "fault " + std::to_string(static_cast<int>(Fault::malformed));

TEST(SaslXoauth2, UserAndToken) {
    EXPECT_EQ(token("XOAUTH2",
                    "user=ann@example.com\x01"
                    "auth=Bearer tok3n\x01\x01"),
              "ann@example.com/tok3n");
    EXPECT_EQ(token("XOAUTH2",
                    "user=ann\x01"
                    "auth=bearer a.b-c_d~e+f/g==\x01\x01"),
              "ann/a.b-c_d~e+f/g==");
    auto exchange = make("XOAUTH2");
    EXPECT_EQ(outcome(exchange.start(std::nullopt)), "challenge ");
    EXPECT_EQ(outcome(exchange.on_response(base64("user=ann\x01"
                                                  "auth=Bearer t\x01\x01"))),
              "ann/t");
}

TEST(SaslXoauth2, AnythingElseIsMalformed) {
    for (const auto message : {""sv, "user=ann"sv, "user=ann\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer t\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer t"sv,
                               "auth=Bearer t\x01user=ann\x01\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer \x01\x01"sv,
                               "user=ann\x01"
                               "auth=Basic t\x01\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer t t\x01\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer t\r\n\x01\x01"sv,
                               "user=ann\x01"
                               "auth=Bearer t\x01\x01x"sv,
                               "\x01"sv})
        EXPECT_EQ(token("XOAUTH2", message), malformed) << testing::PrintToString(message);
}

TEST(SaslOauthbearer, UserAndToken) {
    EXPECT_EQ(token("OAUTHBEARER",
                    "n,a=ann@example.com,\x01host=pop.example.com\x01port=995\x01"
                    "auth=Bearer tok3n\x01\x01"),
              "ann@example.com/tok3n");
    EXPECT_EQ(token("OAUTHBEARER",
                    "y,a=a=2Cb=3Dc,\x01"
                    "auth=Bearer t\x01\x01"),
              "a,b=c/t");
}

TEST(SaslOauthbearer, AnythingElseIsMalformed) {
    for (const auto message : {""sv, "\x01"sv,
                               "n,,\x01"
                               "auth=Bearer t\x01\x01"sv,
                               "n,a=ann\x01"
                               "auth=Bearer t\x01\x01"sv,
                               "n,a=a,b,\x01"
                               "auth=Bearer t\x01\x01"sv,
                               "n,a=a=2cb,\x01"
                               "auth=Bearer t\x01\x01"sv,
                               "n,a=ann,\x01\x01"sv,
                               "n,a=ann,\x01"
                               "auth=Bearer t\x01"sv,
                               "n,a=ann,\x01"
                               "auth=Bearer t\x01"
                               "auth=Bearer u\x01\x01"sv,
                               "p=tls-unique,a=ann,\x01"
                               "auth=Bearer t\x01\x01"sv,
                               "n,a=ann,\x01host\x01"
                               "auth=Bearer t\x01\x01"sv})
        EXPECT_EQ(token("OAUTHBEARER", message), malformed) << testing::PrintToString(message);
}

TEST(SaslCramMd5, TheExampleOfRfc2195) {
    auto exchange = make("CRAM-MD5");
    const auto challenge = outcome(exchange.start(std::nullopt));
    EXPECT_EQ(decode_base64(challenge.substr(10)), "<1896.697170952@pop.example.com>");
    auto step = exchange.on_response("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
    EXPECT_EQ(outcome(step), "tim/b913a602c7eda7a495b4e6e7334d3890");
    EXPECT_EQ(std::get<Proof>(step).challenge, "<1896.697170952@pop.example.com>");
    EXPECT_EQ(outcome(make("CRAM-MD5").start("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw")), malformed)
        << "before it was challenged";
    for (const auto* bad : {"tim", "tim b913", "tim x913a602c7eda7a495b4e6e7334d3890", " "})
        EXPECT_EQ(outcome(make("CRAM-MD5").on_response(base64(bad))), malformed) << bad;
}

TEST(SaslExternal, WithAndWithoutAName) {
    auto step = make("EXTERNAL").start("=");
    EXPECT_EQ(std::get<Proof>(step).method, Proof::Method::certificate);
    EXPECT_EQ(outcome(step), "/");
    EXPECT_EQ(outcome(make("EXTERNAL").start(base64("ann"))), "ann/");
    auto exchange = make("EXTERNAL");
    EXPECT_EQ(outcome(exchange.start(std::nullopt)), "challenge ");
    EXPECT_EQ(outcome(exchange.on_response("")), "/");
}

}  // namespace
}  // namespace popgate::pop3
