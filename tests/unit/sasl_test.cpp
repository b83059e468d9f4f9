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
    auto exchange = SaslExchange::make(mechanism);
    if (!exchange) throw std::invalid_argument("no such mechanism");
    return std::move(*exchange);
}

std::optional<Fault> fault_of(const SaslExchange::Step& step) {
    if (const auto* fault = std::get_if<Fault>(&step)) return *fault;
    return std::nullopt;
}

/// "user/password" of a step that ends well, or what it is instead.
std::string outcome(const SaslExchange::Step& step) {
    if (const auto* done = std::get_if<SaslExchange::Done>(&step)) return done->user + "/" + done->password.reveal();
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

TEST(SaslExchange, OnlyPlainAndLoginAreKnown) {
    for (const auto* name : {"PLAIN", "plain", "Plain", "LOGIN", "login"})
        EXPECT_TRUE(SaslExchange::make(name)) << name;
    for (const auto* name : {"", "PLAIN ", "CRAM-MD5", "XOAUTH2", "ANONYMOUS", "EXTERNAL", "PLAINX", "PLAI", "*"})
        EXPECT_FALSE(SaslExchange::make(name)) << name;
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

}  // namespace
}  // namespace popgate::pop3
