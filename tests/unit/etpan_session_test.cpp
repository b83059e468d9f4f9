#include "backends/imap/etpan_session.hpp"

#include "backends/mailbox.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/fuzz/scripted_transport.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using test::ScriptedTransport;
using test::Turn;
using Turns = std::vector<Turn>;

/// Takes what a message gives, and closes after so many octets.
class Sink final : public BodySink {
public:
    explicit Sink(std::size_t most = SIZE_MAX) : most_(most) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return text.size() < most_;
    }
    std::string text;

private:
    std::size_t most_;
};

struct Client {
    explicit Client(Turns turns) : transport(std::move(turns)) {}
    ScriptedTransport transport;
    EtpanSession session{transport};
};

const Turn greeting{"", "* OK [CAPABILITY IMAP4rev1 ID UIDPLUS] ready\r\n"};
const Turn login_turn{"<tag> LOGIN alice secret\r\n", "<tag> OK [CAPABILITY IMAP4rev1 ID UIDPLUS] Logged in\r\n"};

/// A client that has logged in; `turns` are what follows.
struct LoggedIn : Client {
    explicit LoggedIn(Turns turns) : Client(prepend(std::move(turns))) {
        EXPECT_FALSE(session.read_greeting().has_error());
        EXPECT_FALSE(session.login("alice", Secret("secret")).has_error());
    }
    ~LoggedIn() { EXPECT_EQ(transport.surprise(), ""); }

private:
    static Turns prepend(Turns turns) {
        turns.insert(turns.begin(), {greeting, login_turn});
        return turns;
    }
};

std::string text_of(const Status& status) {
    return status.has_error() ? status.error().text + " (" + status.error().detail + ")" : "success";
}

/// What logging in comes to, and what was sent for it.
struct LoginOutcome {
    Status status;
    std::string sent;
    bool broken = false;
};

LoginOutcome log_in(Turns turns, const std::string& user, std::string_view password) {
    Client client(std::move(turns));
    EXPECT_FALSE(client.session.read_greeting().has_error());
    auto status = client.session.login(user, Secret(password));
    EXPECT_EQ(client.transport.surprise(), "");
    return {std::move(status), client.transport.sent(), client.session.broken()};
}

Errc code_of(const Status& status) {
    EXPECT_TRUE(status.has_error());
    return status.has_error() ? status.error().code : Errc::sink_closed;
}

// --- greeting

Status greet(const std::string& server) {
    Client client(Turns{{"", server}});
    auto status = client.session.read_greeting();
    EXPECT_EQ(client.session.broken(), status.has_error()) << server;
    return status;
}

TEST(EtpanGreeting, OkIsWelcome) {
    for (const auto* line :
         {"* OK ready\r\n", "* OK\r\n", "* OK [CAPABILITY IMAP4rev1] \"quoted\" {x} ((\r\n", "* OK \xC3\xA9\r\n"})
        EXPECT_FALSE(greet(line).has_error()) << line;
}

// RFC 3501 §9: all alphabetic characters are case-insensitive.
TEST(EtpanGreeting, CaseDoesNotMatter) { EXPECT_FALSE(greet("* ok ready\r\n").has_error()); }

TEST(EtpanGreeting, AnythingElseIsATemporaryError) {
    for (const auto* line : {"1 OK tagged\r\n", "* CAPABILITY IMAP4rev1\r\n", "* BYE Too many connections\r\n",
                             "* PREAUTH welcome back\r\n", "+OK POP3 ready\r\n", "220 smtp ESMTP\r\n", "\r\n",
                             "* NO\r\n", "* BAD\r\n", "HTTP/1.0 400 Bad Request\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                             "\x15\x03\x01\r\n", "OK\r\n", "* LIST () \"/\" {4294967295}\r\n"}) {
        const auto status = greet(line);
        EXPECT_EQ(code_of(status), Errc::temporary) << line;
    }
    EXPECT_EQ(code_of(greet("")), Errc::temporary) << "closed at once";
    EXPECT_EQ(code_of(greet("* O")), Errc::temporary) << "cut";
    EXPECT_EQ(code_of(greet("* OK ready")), Errc::temporary) << "cut in the text";
    EXPECT_EQ(code_of(greet(std::string(3 * 1024 * 1024, 'x'))), Errc::temporary) << "without end";
}

TEST(EtpanGreeting, TheReasonOfAByeIsTold) {
    EXPECT_NE(greet("* BYE Too many connections\r\n").error().text.find("Too many connections"), std::string::npos);
}

TEST(EtpanGreeting, WithoutACapabilityListItIsAsked) {
    const auto outcome = log_in({{"", "* OK ready\r\n"},
                                 {"<tag> CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\n<tag> OK done\r\n"},
                                 {"<tag> LOGIN alice secret\r\n", "<tag> OK in\r\n"},
                                 {"<tag> CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 UIDPLUS\r\n<tag> OK done\r\n"}},
                                "alice", "secret");
    EXPECT_EQ(text_of(outcome.status), "success");
}

// --- login

TEST(EtpanLogin, TheListOfAfterLoginHolds) {
    Client client(Turns{{"", "* OK [CAPABILITY IMAP4rev1 BEFORE] ready\r\n"},
                        {"<tag> LOGIN alice secret\r\n", "<tag> OK [CAPABILITY IMAP4rev1 AFTER] in\r\n"}});
    ASSERT_FALSE(client.session.read_greeting().has_error());
    EXPECT_TRUE(client.session.has_capability("BEFORE"));
    ASSERT_FALSE(client.session.login("alice", Secret("secret")).has_error());
    EXPECT_TRUE(client.session.has_capability("AFTER"));
    EXPECT_FALSE(client.session.has_capability("BEFORE"));
    EXPECT_FALSE(client.session.has_capability("AFT")) << "whole words";
}

TEST(EtpanLogin, WhatIsNoAtomIsQuoted) {
    for (const auto& [password, sent] : {std::pair{"two words", "\"two words\""},
                                         {"a\"b", "\"a\\\"b\""},
                                         {"a\\b", "\"a\\\\b\""},
                                         {"(", "\"(\""},
                                         {"{5}", "\"{5}\""},
                                         {"%", "\"%\""},
                                         {"*", "\"*\""},
                                         {"", "\"\""}})
        EXPECT_EQ(text_of(log_in({greeting, {"<tag> LOGIN \"bob@example.com\" "s + sent + "\r\n", login_turn.server}},
                                 "bob@example.com", password)
                              .status),
                  "success")
            << password;
}

const std::string in_base64 = "AGFsaWNlAHNlY3JldA==";  // "\0alice\0secret"

Turn greeting_with(const std::string& capabilities) {
    return {"", "* OK [CAPABILITY IMAP4rev1 " + capabilities + "] ready\r\n"};
}

TEST(EtpanLogin, AuthenticatesWhereLoginIsDisabled) {
    EXPECT_EQ(text_of(log_in({greeting_with("LOGINDISABLED AUTH=PLAIN SASL-IR"),
                              {"<tag> AUTHENTICATE PLAIN " + in_base64 + "\r\n", login_turn.server}},
                             "alice", "secret")
                          .status),
              "success");
    EXPECT_EQ(text_of(log_in({greeting_with("LOGINDISABLED AUTH=PLAIN"),
                              {"<tag> AUTHENTICATE PLAIN\r\n", "+ \r\n"},
                              {in_base64 + "\r\n", login_turn.server}},
                             "alice", "secret")
                          .status),
              "success");
    EXPECT_EQ(text_of(log_in({greeting_with("LOGINDISABLED AUTH=PLAIN"),
                              {"<tag> AUTHENTICATE PLAIN\r\n", "+\r\n"},
                              {in_base64 + "\r\n", "* 1 EXISTS\r\n" + login_turn.server}},
                             "alice", "secret")
                          .status),
              "success")
        << "a bare '+', and news before the end";
}

TEST(EtpanLogin, WhereNothingIsAllowedNothingIsSent) {
    const auto outcome = log_in({greeting_with("LOGINDISABLED AUTH=GSSAPI")}, "alice", "secret");
    EXPECT_EQ(code_of(outcome.status), Errc::permanent);
    EXPECT_EQ(outcome.sent.find("secret"), std::string::npos);
    EXPECT_EQ(outcome.sent.find(in_base64), std::string::npos);
}

TEST(EtpanLogin, OctetsBeyondAsciiNeedSasl) {
    // "\0jos\xE9\0se\xF1or"
    EXPECT_EQ(text_of(log_in({greeting_with("AUTH=PLAIN SASL-IR"),
                              {"<tag> AUTHENTICATE PLAIN AGpvc+kAc2Xxb3I=\r\n", login_turn.server}},
                             "jos\xE9", "se\xF1or")
                          .status),
              "success");
}

TEST(EtpanLogin, OrLiterals) {
    EXPECT_EQ(text_of(log_in({greeting_with("X"),
                              {"<tag> LOGIN {4}\r\n", "+ go on\r\n"},
                              {"jos\xE9 {7}\r\n", "+ go on\r\n"},
                              {"se\xF1or x\r\n", login_turn.server}},
                             "jos\xE9", "se\xF1or x")
                          .status),
              "success");
}

TEST(EtpanLogin, ALiteralThatIsRefusedIsARefusal) {
    for (const auto& turns :
         {Turns{greeting_with("X"), {"<tag> LOGIN {4}\r\n", "<tag> NO [AUTHENTICATIONFAILED] no\r\n"}},
          Turns{greeting_with("X"), {"<tag> LOGIN {4}\r\n", "+ \r\n"}, {"jos\xE9 {6}\r\n", "<tag> NO no\r\n"}}})
        EXPECT_EQ(code_of(log_in(turns, "jos\xE9", "secret").status), Errc::auth);
    EXPECT_EQ(
        code_of(log_in({greeting_with("X"), {"<tag> LOGIN {4}\r\n", "* BYE no\r\n"}}, "jos\xE9", "secret").status),
        Errc::temporary);
    EXPECT_EQ(
        code_of(
            log_in({greeting_with("X"), {"<tag> LOGIN {4}\r\n", "<tag> OK what?\r\n"}}, "jos\xE9", "secret").status),
        Errc::temporary)
        << "logged in before the password was sent";
    EXPECT_EQ(code_of(log_in({greeting_with("LOGINDISABLED AUTH=PLAIN"),
                              {"<tag> AUTHENTICATE PLAIN\r\n", "<tag> OK what?\r\n"}},
                             "alice", "secret")
                          .status),
              Errc::temporary);
}

TEST(EtpanLogin, RefusalsAreToldFromFailures) {
    struct Case {
        const char* answer;
        Errc code;
    };
    const Case cases[] = {
        {"<tag> NO [AUTHENTICATIONFAILED] Authentication failed.", Errc::auth},
        {"<tag> NO Login failed: temporary insanity is no excuse [AUTHENTICATIONFAILED]", Errc::auth},
        {"<tag> NO [AUTHORIZATIONFAILED] no", Errc::auth},
        {"<tag> NO [EXPIRED] password expired", Errc::auth},
        {"<tag> NO LOGIN failed.", Errc::auth},
        {"<tag> no [authenticationfailed] x", Errc::auth},
        {"* NO [ALERT] old client\r\n<tag> NO [AUTHENTICATIONFAILED] no", Errc::auth},
        {"<tag> NO [UNAVAILABLE] Temporary authentication failure.", Errc::temporary},
        {"<tag> NO [INUSE] mailbox in use", Errc::temporary},
        {"<tag> NO [LIMIT] too many", Errc::temporary},
        {"<tag> NO [SERVERBUG] oops", Errc::temporary},
        {"<tag> NO [CONTACTADMIN] oops", Errc::temporary},
        {"<tag> NO [OVERQUOTA] full", Errc::temporary},
        {"<tag> NO Too many simultaneous connections. (Failure)", Errc::temporary},
        {"<tag> NO Internal error occurred", Errc::temporary},
        {"<tag> BAD Request is throttled. Suggested Backoff Time: 89117 milliseconds", Errc::temporary},
        {"<tag> BAD User is authenticated but not connected, try again", Errc::temporary},
        {"* BYE Temporary problem, please try again later\r\n<tag> NO no", Errc::temporary},
        {"* BYE shutting down", Errc::temporary},
        {"garbage", Errc::temporary},
        {"99 OK for another tag", Errc::temporary},
        {"+ what else?", Errc::temporary},
    };
    for (const auto& each : cases) {
        const auto outcome = log_in({greeting, {login_turn.client, each.answer + "\r\n"s}}, "alice", "secret");
        EXPECT_EQ(code_of(outcome.status), each.code) << each.answer << ": " << text_of(outcome.status);
        EXPECT_EQ(text_of(outcome.status).find("secret"), std::string::npos);
    }
}

// "Anything that is not a plain refusal must not say auth" (backends/mailbox.hpp), and BAD is a protocol error.
TEST(EtpanLogin, BadIsNoRefusalOfCredentials) {
    EXPECT_EQ(code_of(log_in({greeting, {login_turn.client, "<tag> BAD Error in IMAP command received by server.\r\n"}},
                             "alice", "secret")
                          .status),
              Errc::temporary);
    EXPECT_EQ(code_of(log_in({greeting, {login_turn.client, "* BAD what?\r\n<tag> BAD unknown command\r\n"}}, "alice",
                             "secret")
                          .status),
              Errc::temporary);
}

TEST(EtpanLogin, ALostConnectionIsNoRefusal) {
    const auto cut = log_in({greeting, {login_turn.client, ""}}, "alice", "secret");
    EXPECT_EQ(code_of(cut.status), Errc::temporary);
    EXPECT_TRUE(cut.broken);
    const auto half = log_in({greeting, {login_turn.client, "<tag> NO [AUTHENTICATIONFAI"}}, "alice", "secret");
    EXPECT_EQ(code_of(half.status), Errc::temporary);
}

TEST(EtpanLogin, AnUntaggedComplaintBeforeSuccessIsNone) {
    EXPECT_EQ(
        text_of(log_in({greeting, {login_turn.client, "* NO [ALERT] quota\r\n" + login_turn.server}}, "alice", "secret")
                    .status),
        "success");
}

// --- STARTTLS

TEST(EtpanStartTls, ForgetsWhatCameInClear) {
    Client client(Turns{{"", "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=EVIL] ready\r\n"},
                        {"<tag> STARTTLS\r\n", "<tag> OK begin\r\n"}});
    ASSERT_FALSE(client.session.read_greeting().has_error());
    ASSERT_FALSE(client.session.request_start_tls().has_error());
    EXPECT_FALSE(client.session.has_capability("AUTH=EVIL"));
    EXPECT_TRUE(client.transport.at_end());
}

TEST(EtpanStartTls, OctetsBehindTheOkAreAnInjection) {
    for (const auto* injected : {"* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n", "* OK [CAPABILITY EVIL] x\r\n", "x", "\r\n",
                                 "* PREAUTH x\r\n", "2 OK Logged in\r\n"})
        for (const std::size_t piece : {std::size_t{1000}, std::size_t{1}}) {
            Client client(Turns{{"", "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"},
                                {"<tag> STARTTLS\r\n", "<tag> OK begin\r\n"s + injected}});
            client.transport.piece = piece;
            ASSERT_FALSE(client.session.read_greeting().has_error());
            const auto status = client.session.request_start_tls();
            // Octets that are still under way are the TLS handshake's to refuse.
            if (piece == 1) continue;
            EXPECT_EQ(code_of(status), Errc::temporary) << injected;
            EXPECT_TRUE(client.session.broken());
        }
}

TEST(EtpanStartTls, WhereItIsNotOfferedOrRefusedNothingGoesOn) {
    for (const auto& turns :
         {Turns{greeting}, Turns{greeting_with("STARTTLS"), {"<tag> STARTTLS\r\n", "<tag> NO not today\r\n"}},
          Turns{greeting_with("STARTTLS"), {"<tag> STARTTLS\r\n", "<tag> BAD what?\r\n"}},
          Turns{greeting_with("STARTTLS"), {"<tag> STARTTLS\r\n", ""}}}) {
        Client client(turns);
        ASSERT_FALSE(client.session.read_greeting().has_error());
        EXPECT_EQ(code_of(client.session.request_start_tls()), Errc::temporary);
        EXPECT_TRUE(client.session.broken()) << "the password must not follow in clear";
        EXPECT_TRUE(client.session.login("alice", Secret("secret")).has_error());
        EXPECT_EQ(client.transport.sent().find("secret"), std::string::npos);
    }
}

// --- selecting and listing

const std::string select_answer =
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] Flags permitted.\r\n"
    "* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] x\r\n* OK [UIDVALIDITY 1700000000] UIDs valid\r\n* OK [UIDNEXT 43] "
    "x\r\n";

TEST(EtpanSelect, TellsUidValidityAndCount) {
    LoggedIn client(Turns{{"<tag> SELECT INBOX\r\n", select_answer + "<tag> OK [READ-WRITE] done\r\n"}});
    const auto selected = client.session.select("INBOX");
    ASSERT_TRUE(selected) << selected.error().text;
    EXPECT_EQ(selected->uid_validity, 1700000000u);
    EXPECT_EQ(selected->exists, 3u);
}

TEST(EtpanSelect, AnEmptyMailbox) {
    LoggedIn client(Turns{{"<tag> SELECT INBOX\r\n", "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n<tag> OK done\r\n"}});
    const auto selected = client.session.select("INBOX");
    ASSERT_TRUE(selected);
    EXPECT_EQ(selected->exists, 0u);
}

TEST(EtpanSelect, WithoutExistsOrUidValidityItIsNotEmptyButAFault) {
    for (const auto* answer :
         {"* 3 EXISTS\r\n", "* OK [UIDVALIDITY 1] x\r\n", "", "* 3 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n"}) {
        LoggedIn client(Turns{{"<tag> SELECT INBOX\r\n", answer + "<tag> OK done\r\n"s}});
        const auto selected = client.session.select("INBOX");
        ASSERT_TRUE(selected.has_error()) << answer;
        EXPECT_EQ(selected.error().code, Errc::temporary);
    }
}

TEST(EtpanSelect, RefusalsThatLastAndThatPass) {
    for (const auto& [answer, code] : {std::pair{"NO [NONEXISTENT] no such mailbox", Errc::permanent},
                                       {"NO [TRYCREATE] no such mailbox", Errc::permanent},
                                       {"NO [NOPERM] not yours", Errc::permanent},
                                       {"NO [CANNOT] impossible", Errc::permanent},
                                       {"NO [INUSE] locked", Errc::temporary},
                                       {"NO [SERVERBUG] oops", Errc::temporary},
                                       {"NO no", Errc::temporary},
                                       {"BAD what?", Errc::temporary}}) {
        LoggedIn client(Turns{{"<tag> SELECT INBOX\r\n", "<tag> "s + answer + "\r\n"}});
        const auto selected = client.session.select("INBOX");
        ASSERT_TRUE(selected.has_error());
        EXPECT_EQ(selected.error().code, code) << answer;
        EXPECT_FALSE(client.session.broken()) << "one can say goodbye";
    }
}

std::string listing(const Result<std::vector<ListedMessage>>& messages) {
    std::string all;
    if (messages.has_error()) return messages.error().text;
    for (const auto& each : *messages)
        all += std::to_string(each.number) + "/" + std::to_string(each.uid) + "/" + std::to_string(each.octets) + "/" +
               std::to_string(each.arrival) + "/" + std::to_string(each.gmail_id) + " ";
    return all;
}

TEST(EtpanList, TakesWhatTheServerTells) {
    LoggedIn client(
        Turns{{"<tag> FETCH 1:3 (UID RFC822.SIZE INTERNALDATE)\r\n",
               "* 1 FETCH (UID 7 RFC822.SIZE 120 INTERNALDATE \"01-Jan-1970 00:00:05 +0000\")\r\n"
               "* 2 FETCH (RFC822.SIZE 0 UID 9)\r\n"
               "* 3 FETCH (FLAGS (\\Seen) UID 4294967295 RFC822.SIZE 9223372036854775807)\r\n<tag> OK done\r\n"},
              {"<tag> UID FETCH 7,9:11 (UID RFC822.SIZE INTERNALDATE X-GM-MSGID)\r\n",
               "* 1 FETCH (X-GM-MSGID 18446744073709551615 UID 7 RFC822.SIZE 1)\r\n<tag> OK done\r\n"}});
    EXPECT_EQ(listing(client.session.list(Numbers::sequence, "1:3", {})),
              "1/7/120/5/0 2/9/0/0/0 3/4294967295/9223372036854775807/0/0 ");
    EXPECT_EQ(listing(client.session.list(Numbers::uid, "7,9:11", {.gmail_ids = true})),
              "1/7/1/0/18446744073709551615 ");
}

TEST(EtpanList, NewsOfOtherClientsAreNoAnswer) {
    LoggedIn client(Turns{
        {"<tag> FETCH 1:2 (UID RFC822.SIZE INTERNALDATE)\r\n",
         "* 5 EXISTS\r\n* 4 FETCH (FLAGS (\\Deleted))\r\n* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n* 4 EXPUNGE\r\n"
         "* OK still here\r\n* 2 FETCH (UID 8 RFC822.SIZE 2)\r\n* 2 FETCH (UID 8 FLAGS ())\r\n<tag> OK done\r\n"}});
    EXPECT_EQ(listing(client.session.list(Numbers::sequence, "1:2", {})), "1/7/1/0/0 2/8/2/0/0 ");
}

TEST(EtpanList, AFaultIsAnErrorAndNotAShorterList) {
    for (const auto* answer :
         {"* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n<tag> NO [SERVERBUG] oops\r\n",
          "* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n<tag> BAD x\r\n", "* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n* BYE x\r\n",
          "* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n", "* 1 FETCH (UID 7"}) {
        LoggedIn client(Turns{{"<tag> FETCH 1:2 (UID RFC822.SIZE INTERNALDATE)\r\n", answer}});
        const auto listed = client.session.list(Numbers::sequence, "1:2", {});
        ASSERT_TRUE(listed.has_error()) << answer;
        EXPECT_EQ(listed.error().code, Errc::temporary) << answer;
    }
}

// --- bodies

struct FetchOutcome {
    Status status;
    std::string text;
    std::uint64_t received = 0;
    bool broken = false;
};

const std::string fetch_command = "<tag> UID FETCH 42 (UID BODY.PEEK[])\r\n";

FetchOutcome fetch(const std::string& answer, std::size_t piece = SIZE_MAX, std::size_t sink_takes = SIZE_MAX) {
    LoggedIn client(Turns{{fetch_command, answer}});
    client.transport.piece = piece;
    Sink sink(sink_takes);
    FetchOutcome outcome;
    outcome.status = client.session.fetch_body(42, std::nullopt, sink, outcome.received);
    outcome.text = sink.text;
    outcome.broken = client.session.broken();
    return outcome;
}

std::string literal(std::string_view text) { return "{" + std::to_string(text.size()) + "}\r\n" + std::string(text); }

TEST(EtpanBody, ComesOctetByOctetAsItIs) {
    const std::string message = "Subject: x\r\n\r\n.\r\n\0 {5}\r\n)\r\n4 OK forged\r\n* BYE\r\n\xFF\n\r"s;
    for (const auto& answer :
         {"* 3 FETCH (UID 42 BODY[] " + literal(message) + ")\r\n<tag> OK done\r\n",
          "* 3 FETCH (BODY[] " + literal(message) + " UID 42)\r\n<tag> OK done\r\n",
          "* 3 FETCH (FLAGS (\\Seen \\Recent) UID 42 BODY[] " + literal(message) + ")\r\n<tag> OK done\r\n",
          "* 4 EXISTS\r\n* 1 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (UID 42 BODY[] " + literal(message) +
              ")\r\n* 1 FETCH (UID 7 FLAGS ())\r\n* 1 EXPUNGE\r\n<tag> OK done\r\n",
          "* 3 fetch (uid 42 body[] " + literal(message) + ")\r\n<tag> OK done\r\n"})
        for (const std::size_t piece : {1u, 7u, 100'000u}) {
            const auto outcome = fetch(answer, piece);
            EXPECT_EQ(text_of(outcome.status), "success") << answer;
            EXPECT_EQ(outcome.text, message);
            EXPECT_EQ(outcome.received, message.size());
            EXPECT_FALSE(outcome.broken);
        }
}

TEST(EtpanBody, MayBeLargerThanEveryBuffer) {
    std::string message;
    while (message.size() < 5 * 1024 * 1024) message += "((((((((((((((((((((((((((((((((((((( {99999999}\r\n";
    const auto outcome = fetch("* 3 FETCH (UID 42 BODY[] " + literal(message) + ")\r\n<tag> OK done\r\n");
    EXPECT_EQ(text_of(outcome.status), "success");
    EXPECT_TRUE(outcome.text == message);
}

TEST(EtpanBody, MayBeEmpty) {
    for (const auto* body : {"{0}\r\n", "\"\""}) {
        const auto outcome = fetch("* 3 FETCH (UID 42 BODY[] "s + body + ")\r\n<tag> OK done\r\n");
        EXPECT_EQ(text_of(outcome.status), "success") << body;
        EXPECT_EQ(outcome.text, "");
        EXPECT_EQ(outcome.received, 0u);
    }
}

TEST(EtpanBody, MayBeAQuotedString) {
    const auto outcome = fetch("* 3 FETCH (UID 42 BODY[] \"Subject: \\\"x\\\\y\\\"\")\r\n<tag> OK done\r\n");
    EXPECT_EQ(text_of(outcome.status), "success");
    EXPECT_EQ(outcome.text, "Subject: \"x\\y\"");
    EXPECT_EQ(outcome.received, 14u);
}

TEST(EtpanBody, AMessageThatIsGone) {
    for (const auto* answer :
         {"<tag> OK done\r\n", "* 3 FETCH (UID 42 BODY[] NIL)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 FLAGS ())\r\n<tag> OK done\r\n", "<tag> NO [EXPUNGEISSUED] some are gone\r\n"}) {
        const auto outcome = fetch(answer);
        EXPECT_EQ(code_of(outcome.status), Errc::gone) << answer;
        EXPECT_EQ(outcome.text, "");
        EXPECT_FALSE(outcome.broken) << answer;
    }
}

TEST(EtpanBody, OfAnotherMessageOrTwiceIsNoSuccess) {
    for (const auto* answer :
         {"* 3 FETCH (UID 43 BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (BODY[] {3}\r\nabc UID 43)\r\n<tag> OK done\r\n",
          "* 3 FETCH (BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n* 2 FETCH (UID 41 BODY[] {3}\r\nxyz)\r\n<tag> OK done\r\n"}) {
        const auto outcome = fetch(answer);
        EXPECT_EQ(code_of(outcome.status), Errc::temporary) << answer;
        EXPECT_TRUE(outcome.broken);
    }
}

// A header, a part, or what follows the first octets would look like a whole message.
TEST(EtpanBody, AnotherSectionIsNoSuccess) {
    for (const auto* item : {"BODY[HEADER]", "BODY[TEXT]", "BODY[1]", "BODY[]<5>"})
        EXPECT_TRUE(fetch("* 3 FETCH (UID 42 "s + item + " {3}\r\nabc)\r\n<tag> OK done\r\n").status.has_error())
            << item;
}

// libetpan takes a negative number for 0.
TEST(EtpanBody, ANegativeLengthIsNoEmptyMessage) {
    EXPECT_TRUE(fetch("* 3 FETCH (UID 42 BODY[] {-1}\r\n)\r\n<tag> OK done\r\n").status.has_error());
}

TEST(EtpanBody, CutOrGarbledItIsATemporaryError) {
    for (const auto* answer :
         {"* 3 FETCH (UID 42 BODY[] {10", "* 3 FETCH (UID 42 BODY[] {10}\r\n", "* 3 FETCH (UID 42 BODY[] {10}\r\nabc",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc", "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n<tag> O",
          "* 3 FETCH (UID 42 BODY[] {10}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {2}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {4294967295}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {99999999999}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {4294967299}\r\nabc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {x}\r\n)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] \"abc)\r\n<tag> OK done\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n<tag> NO [SERVERBUG] failed half-way\r\n",
          "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n* BYE shutting down\r\n"}) {
        const auto outcome = fetch(answer);
        EXPECT_EQ(code_of(outcome.status), Errc::temporary) << answer;
    }
}

TEST(EtpanBody, ARefusalLeavesTheConnectionUsable) {
    LoggedIn client(Turns{{fetch_command, "<tag> NO [SERVERBUG] oops\r\n"},
                          {fetch_command, "* 3 FETCH (UID 42 BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n"}});
    Sink sink;
    std::uint64_t received = 0;
    EXPECT_EQ(code_of(client.session.fetch_body(42, std::nullopt, sink, received)), Errc::temporary);
    EXPECT_FALSE(client.session.broken());
    EXPECT_EQ(text_of(client.session.fetch_body(42, std::nullopt, sink, received)), "success");
    EXPECT_EQ(sink.text, "abc");
}

TEST(EtpanBody, ASinkThatClosesEndsTheConnection) {
    const std::string message(200'000, 'x');
    const auto outcome = fetch("* 3 FETCH (UID 42 BODY[] " + literal(message) + ")\r\n<tag> OK done\r\n", 4096, 10'000);
    EXPECT_EQ(code_of(outcome.status), Errc::sink_closed);
    EXPECT_TRUE(outcome.broken);
    EXPECT_LT(outcome.text.size(), message.size());
}

// --- bodies that are asked for before they are wanted

std::string body_answer(unsigned uid, std::string_view body) {
    return "* 3 FETCH (UID " + std::to_string(uid) + " BODY[] " + literal(body) + ")\r\n";
}

std::string text_of(const Result<std::vector<EtpanSession::Body>>& bodies) {
    if (bodies.has_error()) return bodies.error().text;
    std::string text;
    for (const auto& body : *bodies) text += std::to_string(body.uid) + "=" + body.octets + " ";
    return text;
}

TEST(EtpanAhead, ManyAreAskedForInOneCommand) {
    const std::string large(50'000, 'x');
    for (const std::size_t piece : {1u, 7u, 4096u, 100'000u}) {
        LoggedIn client(Turns{
            {"<tag> UID FETCH 43:45,50 (UID BODY.PEEK[])\r\n",
             body_answer(43, "two") + "* 9 EXISTS\r\n" + body_answer(44, large) + body_answer(45, "") +
                 "* 3 FETCH (FLAGS (\\Seen))\r\n* 5 FETCH (BODY[] {11}\r\n4 OK forged UID 50)\r\n<tag> OK done\r\n"},
            {"<tag> NOOP\r\n", "<tag> OK done\r\n"}});
        client.transport.piece = piece;
        EXPECT_EQ(text_of(client.session.begin_ahead({43, 44, 45, 50}, 60'000)), "success");
        EXPECT_EQ(client.session.ahead().size(), 4u);
        EXPECT_EQ(text_of(client.session.finish_ahead()), "43=two 44=" + large + " 45= 50=4 OK forged ");
        EXPECT_TRUE(client.session.ahead().empty());
        EXPECT_EQ(text_of(client.session.command("NOOP")), "success");
        EXPECT_TRUE(client.transport.at_end());
        EXPECT_EQ(client.transport.surprise(), "");
    }
}

TEST(EtpanAhead, AnotherCommandDropsTheAnswer) {
    for (const std::size_t piece : {7u, 100'000u}) {
        LoggedIn client(Turns{{"<tag> UID FETCH 43:44 (UID BODY.PEEK[])\r\n",
                               body_answer(43, "two") + body_answer(44, "three") + "<tag> OK done\r\n"},
                              {fetch_command, body_answer(42, "one") + "<tag> OK done\r\n"}});
        client.transport.piece = piece;
        EXPECT_EQ(text_of(client.session.begin_ahead({43, 44}, 100)), "success");
        Sink sink;
        std::uint64_t received = 0;
        EXPECT_EQ(text_of(client.session.fetch_body(42, std::nullopt, sink, received)), "success");
        EXPECT_EQ(sink.text, "one");
        EXPECT_TRUE(client.session.ahead().empty());
        EXPECT_EQ(client.transport.surprise(), "");
    }
}

TEST(EtpanAhead, WhatTheServerDoesNotHaveIsMissing) {
    LoggedIn client(Turns{
        {"<tag> UID FETCH 43:46 (UID BODY.PEEK[])\r\n", body_answer(46, "five") + "* 4 FETCH (UID 44 BODY[] NIL)\r\n" +
                                                            body_answer(43, "two") + "<tag> OK done\r\n"}});
    EXPECT_EQ(text_of(client.session.begin_ahead({43, 44, 45, 46}, 100)), "success");
    EXPECT_EQ(text_of(client.session.finish_ahead()), "46=five 43=two ");
}

TEST(EtpanAhead, ARefusalIsOfAll) {
    LoggedIn client(Turns{{"<tag> UID FETCH 43:44 (UID BODY.PEEK[])\r\n",
                           body_answer(43, "two") + "<tag> NO [SERVERBUG] some are not there\r\n"},
                          {"<tag> NOOP\r\n", "<tag> OK done\r\n"}});
    EXPECT_EQ(text_of(client.session.begin_ahead({43, 44}, 100)), "success");
    EXPECT_TRUE(client.session.finish_ahead().has_error());
    EXPECT_FALSE(client.session.broken());
    EXPECT_EQ(text_of(client.session.command("NOOP")), "success");
}

TEST(EtpanAhead, WhatWasNotAskedForIsRefused) {
    for (const auto& answer : {body_answer(99, "x"), body_answer(43, "x") + body_answer(43, "x") + body_answer(44, "x"),
                               body_answer(43, std::string(101, 'x')),
                               body_answer(43, std::string(60, 'x')) + body_answer(44, std::string(60, 'x')),
                               "* 3 FETCH (UID 43 BODY[]<0> {1}\r\nx)\r\n"s}) {
        LoggedIn client(Turns{{"<tag> UID FETCH 43:44 (UID BODY.PEEK[])\r\n", answer + "<tag> OK done\r\n"}});
        EXPECT_EQ(text_of(client.session.begin_ahead({43, 44}, 100)), "success");
        EXPECT_TRUE(client.session.finish_ahead().has_error()) << answer;
        EXPECT_TRUE(client.session.broken()) << answer;
        EXPECT_TRUE(client.session.ahead().empty());
    }
}

TEST(EtpanAhead, AConnectionThatEndsGivesNothing) {
    const auto answer = body_answer(43, "two") + body_answer(44, "three") + "<tag> OK done\r\n";
    for (std::size_t length = 0; length < answer.size() - 2; ++length) {
        LoggedIn client(Turns{{"<tag> UID FETCH 43:44 (UID BODY.PEEK[])\r\n", answer.substr(0, length)}});
        EXPECT_EQ(text_of(client.session.begin_ahead({43, 44}, 100)), "success");
        EXPECT_EQ(text_of(client.session.finish_ahead()), "the connection to the mail server was lost") << length;
        EXPECT_TRUE(client.session.broken());
    }
}

TEST(EtpanAhead, NothingIsAskedForOnALostConnection) {
    LoggedIn client(Turns{});
    client.session.say_goodbye();
    EXPECT_TRUE(client.session.begin_ahead({43}, 100).has_error());
    EXPECT_TRUE(client.session.ahead().empty());
}

TEST(EtpanBody, APartIsReadToItsEndEvenIfTheSinkCloses) {
    LoggedIn client(
        Turns{{"<tag> UID FETCH 42 (UID BODY.PEEK[]<4096.1000>)\r\n",
               "* 3 FETCH (UID 42 BODY[]<4096> " + literal(std::string(1000, 'x')) + ")\r\n<tag> OK done\r\n"},
              {"<tag> NOOP\r\n", "<tag> OK done\r\n"}});
    client.transport.piece = 100;
    Sink sink(10);
    std::uint64_t received = 0;
    EXPECT_EQ(text_of(client.session.fetch_body(42, EtpanSession::Part{4096, 1000}, sink, received)), "success");
    EXPECT_EQ(received, 1000u);
    EXPECT_EQ(sink.text.find_first_not_of('x'), std::string::npos);
    EXPECT_EQ(text_of(client.session.command("NOOP")), "success");
}

TEST(EtpanBody, APartBeyondTheEndIsEmpty) {
    LoggedIn client(Turns{{"<tag> UID FETCH 42 (UID BODY.PEEK[]<4096.1000>)\r\n",
                           "* 3 FETCH (UID 42 BODY[]<4096> \"\")\r\n<tag> OK done\r\n"}});
    Sink sink;
    std::uint64_t received = 1;
    EXPECT_EQ(text_of(client.session.fetch_body(42, EtpanSession::Part{4096, 1000}, sink, received)), "success");
    EXPECT_EQ(received, 0u);
}

// --- other commands

TEST(EtpanCommand, SucceedsOrSaysWhyNot) {
    LoggedIn client(Turns{{"<tag> NOOP\r\n", "* 4 EXISTS\r\n<tag> OK done\r\n"},
                          {"<tag> NOOP\r\n", "<tag> NO [LIMIT] slow down\r\n"},
                          {"<tag> NOOP\r\n", "<tag> BAD Request is throttled\r\n"},
                          {"<tag> NOOP\r\n", "* BYE idle for too long\r\n"}});
    EXPECT_EQ(text_of(client.session.command("NOOP")), "success");
    EXPECT_EQ(code_of(client.session.command("NOOP")), Errc::temporary);
    const auto throttled = client.session.command("NOOP");
    EXPECT_EQ(code_of(throttled), Errc::temporary);
    EXPECT_NE(throttled.error().text.find("throttled"), std::string::npos);
    EXPECT_FALSE(client.session.broken());
    EXPECT_EQ(code_of(client.session.command("NOOP")), Errc::temporary);
    EXPECT_TRUE(client.session.broken());
    const auto sent = client.transport.sent();
    EXPECT_EQ(code_of(client.session.command("NOOP")), Errc::temporary);
    EXPECT_EQ(client.transport.sent(), sent) << "nothing is sent any more";
}

std::string found_by(const Result<UidSet>& found) {
    if (found.has_error()) return found.error().text;
    std::string text;
    for (const auto& range : found->ranges())
        text += std::to_string(range.first) + ":" + std::to_string(range.last) + " ";
    return text;
}

TEST(EtpanSearch, GivesTheUids) {
    LoggedIn client(Turns{{"<tag> UID SEARCH DELETED\r\n", "* SEARCH 5 1 4294967295\r\n<tag> OK done\r\n"},
                          {"<tag> UID SEARCH DELETED\r\n", "* SEARCH\r\n<tag> OK done\r\n"},
                          {"<tag> UID SEARCH DELETED\r\n", "<tag> OK done\r\n"},
                          {"<tag> UID SEARCH DELETED\r\n", "<tag> NO oops\r\n"}});
    EXPECT_EQ(found_by(client.session.search("DELETED")), "1:1 5:5 4294967295:4294967295 ");
    EXPECT_EQ(found_by(client.session.search("DELETED")), "");
    EXPECT_EQ(found_by(client.session.search("DELETED")), "") << "nor those of the search before";
    EXPECT_TRUE(client.session.search("DELETED").has_error());
}

TEST(EtpanIdentify, AsksOnlyWhoOffersAndForgivesAll) {
    LoggedIn client(Turns{{"<tag> ID (\"name\" \"popgate\" \"version\" \"" POPGATE_VERSION "\")\r\n<tag+1> NOOP\r\n",
                           "* ID NIL\r\n<tag> BAD no\r\n<tag+1> OK done\r\n"}});
    client.session.identify();
    EXPECT_EQ(text_of(client.session.command("NOOP")), "success");
    Client without(Turns{{"", "* OK [CAPABILITY IMAP4rev1] ready\r\n"}});
    ASSERT_FALSE(without.session.read_greeting().has_error());
    without.session.identify();
    EXPECT_EQ(without.transport.sent(), "");
}

TEST(EtpanGoodbye, IsSaidOnce) {
    LoggedIn client(Turns{});
    const auto before = client.transport.sent();
    client.session.say_goodbye();
    client.session.say_goodbye();
    const auto said = client.transport.sent().substr(before.size());
    EXPECT_NE(said.find(" LOGOUT\r\n"), std::string::npos);
    EXPECT_EQ(said.find("LOGOUT"), said.rfind("LOGOUT"));
    EXPECT_TRUE(client.session.broken());
}

// --- what libetpan cannot bear: these must end, in whatever way, and not with the process

TEST(EtpanHostile, FlagsThatAreNone) {
    for (const auto* flags : {"(", "(\\", "(\\ \\*)", "(%)", "()", "( )", "(\\Seen", "(\\Seen ", "(a]b)", "(\"a\")",
                              "({1}\r\na)", "((a))", "(\\*\\*)"})
        for (const auto* code : {"* OK [PERMANENTFLAGS ", "<tag> OK [PERMANENTFLAGS ", "* OK [permanentflags  "}) {
            LoggedIn client(
                Turns{{"<tag> SELECT INBOX\r\n", select_answer + code + flags + "] x\r\n<tag> OK done\r\n"}});
            (void)client.session.select("INBOX");
        }
}

TEST(EtpanHostile, CodesWithoutText) {
    for (const auto* code :
         {"[ALERT]", "[ALERT] ", "[PARSE]", "[PARSE] ", "[ALERT", "[", "[]", "[BADCHARSET", "[BADCHARSET (",
          "[CAPABILITY]", "[UIDVALIDITY]", "[UIDNEXT", "[COPYUID]", "[APPENDUID ]", "[HIGHESTMODSEQ]", "[X", "[X ", ""})
        for (const auto* status : {"* OK ", "* NO ", "* BAD ", "* BYE ", "<tag> OK ", "<tag> NO ", "<tag> BAD "}) {
            LoggedIn client(Turns{{"<tag> NOOP\r\n", status + ""s + code + "\r\n<tag> OK done\r\n"}});
            (void)client.session.command("NOOP");
        }
}

TEST(EtpanHostile, NestingHiddenBehindQuotedParentheses) {
    const std::string closed(400'000, ')'), open(400'000, '(');
    for (const auto& answer :
         {"* 1 FETCH (X-GM-LABELS (\"" + closed + "\") BODYSTRUCTURE " + open, "* 1 FETCH (BODYSTRUCTURE " + open}) {
        LoggedIn client(
            Turns{{"<tag> FETCH 1:3 (UID RFC822.SIZE INTERNALDATE)\r\n", answer + "\r\n<tag> OK done\r\n"}});
        EXPECT_EQ(listing(client.session.list(Numbers::sequence, "1:3", {})).find('/'), std::string::npos);
    }
}

// --- whole conversations, cut and garbled

struct Conversation {
    const char* name;
    std::string user;
    std::string password;
    bool start_tls;
    Turns turns;
};

const Turns after_login = {
    {"<tag> SELECT INBOX\r\n", select_answer + "<tag> OK [READ-WRITE] done\r\n"},
    {"<tag> FETCH 1:3 (UID RFC822.SIZE INTERNALDATE)\r\n",
     "* 1 FETCH (UID 7 RFC822.SIZE 120)\r\n* 2 FETCH (UID 9 RFC822.SIZE 31)\r\n"
     "* 3 FETCH (RFC822.SIZE 20 UID 42)\r\n<tag> OK done\r\n"},
    {fetch_command,
     "* 1 FETCH (FLAGS ())\r\n* 3 FETCH (UID 42 BODY[] {20}\r\nSubject: x\r\n\r\ntext\r\n)\r\n<tag> OK done\r\n"},
    {"<tag> UID FETCH 42 (UID BODY.PEEK[]<0.10>)\r\n",
     "* 3 FETCH (BODY[]<0> {10}\r\nSubject: x UID 42)\r\n<tag> OK done\r\n"},
    {"<tag> UID SEARCH UID 42\r\n", "* SEARCH 42\r\n<tag> OK done\r\n"},
    {"<tag> UID STORE 42 +FLAGS.SILENT (\\Deleted)\r\n", "<tag> OK done\r\n"},
    {"<tag> UID EXPUNGE 42\r\n", "* 3 EXPUNGE\r\n* 2 EXISTS\r\n<tag> OK done\r\n"},
};

std::vector<Conversation> conversations() {
    std::vector<Conversation> all = {
        {"LOGIN", "alice", "secret", false, {greeting, login_turn}},
        {"CAPABILITY asked twice",
         "alice",
         "secret",
         false,
         {{"", "* OK ready\r\n"},
          {"<tag> CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\n<tag> OK done\r\n"},
          {"<tag> LOGIN alice secret\r\n", "<tag> OK in\r\n"},
          {"<tag> CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 UIDPLUS\r\n<tag> OK done\r\n"}}},
        {"AUTHENTICATE with SASL-IR",
         "alice",
         "secret",
         false,
         {greeting_with("LOGINDISABLED AUTH=PLAIN SASL-IR"),
          {"<tag> AUTHENTICATE PLAIN " + in_base64 + "\r\n", login_turn.server}}},
        {"AUTHENTICATE without",
         "alice",
         "secret",
         false,
         {greeting_with("LOGINDISABLED AUTH=PLAIN"),
          {"<tag> AUTHENTICATE PLAIN\r\n", "+ \r\n"},
          {in_base64 + "\r\n", login_turn.server}}},
        {"literals",
         "jos\xE9",
         "secret",
         false,
         {greeting,
          {"<tag> LOGIN {4}\r\n", "+ \r\n"},
          {"jos\xE9 {6}\r\n", "+ \r\n"},
          {"secret\r\n", login_turn.server}}},
        {"STARTTLS",
         "alice",
         "secret",
         true,
         {greeting_with("STARTTLS"),
          {"<tag> STARTTLS\r\n", "<tag> OK begin\r\n"},
          {"<tag> CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\n<tag> OK done\r\n"},
          login_turn}},
    };
    for (auto& each : all) {
        each.turns.insert(each.turns.end(), after_login.begin(), after_login.end());
        // Capabilities of after login hold, so ID is asked where they name it; these do not ask.
    }
    return all;
}

/// All that a session does; the first failure ends it.
Status converse(const Conversation& conversation, EtpanSession& session, std::string& whole, std::string& part) {
    if (auto status = session.read_greeting(); status.has_error()) return status;
    if (conversation.start_tls)
        if (auto status = session.request_start_tls(); status.has_error()) return status;
    if (auto status = session.login(conversation.user, Secret(conversation.password)); status.has_error())
        return status;
    if (auto selected = session.select("INBOX"); selected.has_error()) return selected.error();
    if (auto listed = session.list(Numbers::sequence, "1:3", {}); listed.has_error()) return listed.error();
    Sink sink;
    std::uint64_t received = 0;
    auto fetched = session.fetch_body(42, std::nullopt, sink, received);
    if (fetched.has_error()) return fetched;
    whole = sink.text;
    Sink top;
    fetched = session.fetch_body(42, EtpanSession::Part{0, 10}, top, received);
    if (fetched.has_error()) return fetched;
    part = top.text;
    if (auto found = session.search("UID 42"); found.has_error()) return found.error();
    if (auto status = session.command("UID STORE 42 +FLAGS.SILENT (\\Deleted)"); status.has_error()) return status;
    return session.command("UID EXPUNGE 42");
}

TEST(EtpanConversation, GoesWellWhateverThePieces) {
    for (const auto& conversation : conversations())
        for (const std::size_t piece : {1u, 2u, 3u, 17u, 100'000u}) {
            Client client(conversation.turns);
            client.transport.piece = piece;
            std::string whole, part;
            EXPECT_EQ(text_of(converse(conversation, client.session, whole, part)), "success") << conversation.name;
            EXPECT_EQ(whole, "Subject: x\r\n\r\ntext\r\n");
            EXPECT_EQ(part, "Subject: x");
            EXPECT_TRUE(client.transport.at_end());
            EXPECT_EQ(client.transport.surprise(), "");
        }
}

TEST(EtpanConversation, CutAtAnyOctetItFailsForNow) {
    for (const auto& conversation : conversations()) {
        Client complete(conversation.turns);
        std::string whole, part;
        ASSERT_EQ(text_of(converse(conversation, complete.session, whole, part)), "success") << conversation.name;
        for (std::uint64_t cut = 0; cut < complete.transport.served(); ++cut) {
            Client client(conversation.turns);
            client.transport.cut_after = cut;
            whole.clear();
            const auto status = converse(conversation, client.session, whole, part);
            ASSERT_TRUE(status.has_error()) << conversation.name << " cut at " << cut;
            ASSERT_EQ(status.error().code, Errc::temporary)
                << conversation.name << " cut at " << cut << ": " << text_of(status);
            ASSERT_TRUE(whole.empty() || whole == "Subject: x\r\n\r\ntext\r\n") << "a message that was given as whole";
            ASSERT_TRUE(client.session.broken()) << conversation.name << " cut at " << cut;
        }
    }
}

// No statement about the outcome: it must only end, and without touching memory that is not its own.
TEST(EtpanConversation, GarbledAtAnyOctetItEnds) {
    const auto conversation = conversations().front();
    Turns turns = conversation.turns;
    for (auto& turn : turns)
        for (std::size_t i = 0; i < turn.server.size(); ++i)
            for (const char octet : "\0\n\"({)}-*+9 \xFF"sv) {
                const char before = std::exchange(turn.server[i], octet);
                Client client(turns);
                std::string whole, part;
                (void)converse(conversation, client.session, whole, part);
                turn.server[i] = before;
            }
}

}  // namespace
}  // namespace popgate::imap
