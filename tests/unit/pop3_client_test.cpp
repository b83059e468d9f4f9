#include "gateway/commands/pop3_client.hpp"

#include "gateway/accounts/secret.hpp"
#include "gateway/commands/header_summary.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_pop3.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace popgate::commands {
namespace {

using test::ScriptedPop3;
using namespace std::chrono_literals;

Pop3Server server_at(const ScriptedPop3& scripted, std::chrono::milliseconds timeout = 20s) {
    Pop3Server server;
    server.host = "127.0.0.1";
    server.port = scripted.port();
    server.implicit_tls = false;
    server.connect_timeout = server.command_timeout = timeout;
    return server;
}

/// The session's error text, or "" when all of it went well; `read` gets the headers.
std::string talk(ScriptedPop3& scripted, std::vector<std::string>* read = nullptr,
                 const std::string& password = "secret", std::chrono::milliseconds timeout = 20s,
                 Pop3Client::With with = Pop3Client::With::top) {
    std::string failure;
    scripted.start();
    test::on_fiber([&](Fiber& fiber) {
        const auto go = [&]() -> Status {
            auto client = Pop3Client::log_in(fiber, server_at(scripted, timeout), "eva", Secret(password));
            if (client.has_error()) return client.error();
            auto messages = (*client)->list();
            if (messages.has_error()) return messages.error();
            HeaderCollector collector;
            auto status = (*client)->read_headers(
                *messages, with,
                [&](std::size_t) -> BodySink& {
                    collector = HeaderCollector();
                    return collector;
                },
                [&](std::size_t i, bool was_given) {
                    const auto number = std::to_string((*messages)[i].number);
                    if (read) read->push_back(number + ':' + (was_given ? collector.text() : "refused"));
                });
            if (status.has_error()) return status;
            return (*client)->quit();
        };
        const auto status = go();
        if (status.has_error()) failure = status.error().text;
    });
    return failure;
}

ScriptedPop3::Message message(int number) {
    const auto word = std::to_string(number);
    return {"id" + word, ".S: " + word + "\r\n\r\nbody\r\n.dot\r\n" + std::string(100'000, 'x') + "\r\n\r\n"};
}

std::vector<std::string> expected_headers(int count) {
    std::vector<std::string> headers;
    for (int i = 1; i <= count; ++i) headers.push_back(std::to_string(i) + ":.S: " + std::to_string(i) + '\n');
    return headers;
}

void fill(ScriptedPop3& scripted, int count) {
    for (int i = 1; i <= count; ++i) scripted.messages.push_back(message(i));
}

TEST(Pop3Client, ReadsHeadersOneByOne) {
    ScriptedPop3 scripted;
    fill(scripted, 3);
    std::vector<std::string> read;
    EXPECT_EQ(talk(scripted, &read), "");
    EXPECT_EQ(read, expected_headers(3));
}

TEST(Pop3Client, ReadsManyAtATimeWhereTheServerPipelines) {
    ScriptedPop3 scripted;
    fill(scripted, 70);
    scripted.capabilities = "TOP\r\nPIPELINING\r\nUIDL\r\n";
    std::vector<std::string> read;
    EXPECT_EQ(talk(scripted, &read), "");
    EXPECT_EQ(read, expected_headers(70));
}

TEST(Pop3Client, RetrievesWhereThereIsNoTop) {
    ScriptedPop3 scripted;
    fill(scripted, 3);
    scripted.has_top = false;
    scripted.capabilities = "";
    std::vector<std::string> read;
    EXPECT_EQ(talk(scripted, &read), "");
    EXPECT_EQ(read, expected_headers(3));
}

TEST(Pop3Client, RetrievesWhereItIsTold) {
    ScriptedPop3 scripted;
    fill(scripted, 3);
    std::vector<std::string> read;
    EXPECT_EQ(talk(scripted, &read, "secret", 20s, Pop3Client::With::retr), "");
    EXPECT_EQ(read, expected_headers(3));
    const auto commands = scripted.commands();
    EXPECT_TRUE(std::ranges::none_of(commands, [](const auto& line) { return line.starts_with("TOP"); }));
}

TEST(Pop3Client, RepliesThatNobodyAskedForAreSeen) {
    ScriptedPop3 scripted;
    fill(scripted, 3);
    // A header that plays a reply, from a server that does not double its dots: all later ones are one too late.
    scripted.replies["TOP 1 0"] = "+OK\r\nS: 1\r\n.\r\n+OK\r\nS: 2\r\n\r\n.\r\n";
    EXPECT_EQ(talk(scripted), "the server said more than it was asked");
}

TEST(Pop3Client, AMessageThatIsRefusedIsToldAndTheOthersAreRead) {
    ScriptedPop3 scripted;
    fill(scripted, 3);
    scripted.replies["TOP 2 0"] = scripted.replies["RETR 2"] = "-ERR broken\r\n";
    std::vector<std::string> read;
    EXPECT_EQ(talk(scripted, &read), "");
    EXPECT_EQ(read, (std::vector<std::string>{"1:.S: 1\n", "2:refused", "3:.S: 3\n"}));
}

TEST(Pop3Client, AServerInTroubleIsNoMessageInTrouble) {
    ScriptedPop3 scripted;
    fill(scripted, 1);
    scripted.replies["TOP 1 0"] = scripted.replies["RETR 1"] = "-ERR [SYS/TEMP] disk\r\n";
    EXPECT_NE(talk(scripted).find("SYS/TEMP"), std::string::npos);
}

TEST(Pop3Client, AWrongPasswordIsNotRepeated) {
    ScriptedPop3 scripted;
    const auto text = talk(scripted, nullptr, "wrong-canary");
    EXPECT_EQ(text, "the login is refused [AUTH]");
}

TEST(Pop3Client, NoLineBreaksInAPassword) {
    ScriptedPop3 scripted;
    EXPECT_NE(talk(scripted, nullptr, "a\r\nDELE 1"), "");
    EXPECT_TRUE(scripted.commands().empty());
}

TEST(Pop3Client, FaultsOfTheServer) {
    const auto said = [](const std::function<void(ScriptedPop3&)>& set_up) {
        ScriptedPop3 scripted;
        fill(scripted, 2);
        set_up(scripted);
        return talk(scripted);
    };
    EXPECT_NE(said([](auto& s) { s.greeting = "-ERR [IN-USE] busy\r\n"; }).find("IN-USE"), std::string::npos);
    EXPECT_NE(said([](auto& s) { s.greeting = "* OK IMAP4\r\n"; }).find("does not speak POP3"), std::string::npos);
    EXPECT_NE(said([](auto& s) { s.greeting = std::string(100'000, 'x'); }).find("does not speak"), std::string::npos);
    EXPECT_NE(said([](auto& s) { s.replies["UIDL"] = "-ERR\r\n"; }).find("no UIDL"), std::string::npos);
    for (const char* list : {"+OK\r\nx\r\n.\r\n", "+OK\r\n1 a\r\n1 b\r\n.\r\n", "+OK\r\n0 a\r\n.\r\n"})
        EXPECT_NE(said([&](auto& s) { s.replies["UIDL"] = list; }).find("makes no sense"), std::string::npos) << list;
    const std::string endless = "+OK\r\n1 " + std::string(1'000'000, 'x') + "\r\n.\r\n";
    EXPECT_NE(said([&](auto& s) { s.replies["UIDL"] = endless; }).find("makes no sense"), std::string::npos);
    for (const char* line : {"USER eva", "PASS secret", "CAPA", "UIDL", "LIST", "TOP 1 0", "TOP 2 0"})
        EXPECT_NE(said([&](auto& s) { s.replies[line] = ""; }), "") << line;
    for (const char* line : {"CAPA", "UIDL", "LIST", "TOP 2 0"}) {
        const auto cut = [&](auto& s) { s.replies[line] = "+OK\r\n1 a\r\n", s.last_command = line; };
        EXPECT_NE(said(cut).find("closed the connection"), std::string::npos) << line;
    }
    // A LIST that is refused costs the sizes alone.
    EXPECT_EQ(said([](auto& s) { s.replies["LIST"] = "-ERR\r\n"; }), "");
}

TEST(Pop3Client, ASilentServerIsNotWaitedForEndlessly) {
    ScriptedPop3 scripted;
    scripted.greeting = "+OK rea";
    EXPECT_NE(talk(scripted, nullptr, "secret", 50ms), "");
}

TEST(Pop3Client, NoPasswordInClearWhereStlsIsRefused) {
    ScriptedPop3 scripted;
    scripted.start();
    test::on_fiber([&](Fiber& fiber) {
        auto server = parse_pop3_server("pop3://127.0.0.1:" + scripted.port(), StartTls::require, "", true);
        ASSERT_TRUE(server);
        const auto client = Pop3Client::log_in(fiber, *server, "eva", Secret("secret"));
        ASSERT_TRUE(client.has_error());
        EXPECT_NE(client.error().text.find("STLS"), std::string::npos);
    });
    EXPECT_EQ(scripted.commands(), std::vector<std::string>{"STLS"});
}

TEST(Pop3Client, WhatFollowsStlsInClearIsRefused) {
    ScriptedPop3 scripted;
    scripted.replies["STLS"] = "+OK go ahead\r\n+OK injected\r\n";
    scripted.start();
    test::on_fiber([&](Fiber& fiber) {
        auto server = parse_pop3_server("pop3://127.0.0.1:" + scripted.port(), StartTls::require, "", true);
        ASSERT_TRUE(server);
        const auto client = Pop3Client::log_in(fiber, *server, "eva", Secret("secret"));
        ASSERT_TRUE(client.has_error());
    });
    EXPECT_EQ(scripted.commands(), std::vector<std::string>{"STLS"});
}

TEST(Pop3Server, Urls) {
    const auto parse = [](const std::string& url, StartTls starttls = StartTls::require) {
        return parse_pop3_server(url, starttls, "", true);
    };
    const auto tls = parse("pop3s://old.example.com");
    ASSERT_TRUE(tls);
    EXPECT_EQ(tls->host + ' ' + tls->port, "old.example.com 995");
    EXPECT_TRUE(tls->implicit_tls && !tls->start_tls && tls->tls);
    const auto upgraded = parse("pop3://[::1]:1110/");
    ASSERT_TRUE(upgraded);
    EXPECT_EQ(upgraded->host + ' ' + upgraded->port, "::1 1110");
    EXPECT_TRUE(!upgraded->implicit_tls && upgraded->start_tls && upgraded->tls);
    const auto clear = parse("pop3://old.example.com", StartTls::none);
    ASSERT_TRUE(clear);
    EXPECT_TRUE(clear->port == "110" && !clear->start_tls && !clear->tls);
    for (const char* url : {"", "old.example.com", "imap://x", "pop3://", "pop3://u:p@x", "pop3://x/y", "pop3://x?y",
                            "pop3://x:0", "pop3://x:99999"})
        EXPECT_TRUE(parse(url).has_error()) << url;
    EXPECT_TRUE(parse_pop3_server("pop3s://x", StartTls::require, "/nonexistent.pem", true).has_error());
}

}  // namespace
}  // namespace popgate::commands
