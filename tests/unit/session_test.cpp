#include "gateway/pop3/session.hpp"

#include "tests/fuzz/dialogue.hpp"
#include "tests/fuzz/splitter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::pop3 {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using test::Dialogue;

/// A listener that forgives, for what is not about its patience.
Policy patient(bool tls_offered = false, bool tls_required = false) { return {tls_offered, tls_required, 1000, 1000}; }

class SessionTest : public testing::Test {
protected:
    /// What one line is answered with; the conversation must not have ended.
    std::string ask(std::string_view line) {
        EXPECT_FALSE(dialogue.closed()) << "closed before " << line;
        const auto before = dialogue.replies().size();
        dialogue.feed(std::string(line) + "\r\n");
        EXPECT_EQ(dialogue.replies().size(), before + 1) << line;
        return dialogue.replies().size() > before ? dialogue.replies().back() : "";
    }
    void log_in() {
        EXPECT_EQ(ask("USER alice").substr(0, 3), "+OK");
        EXPECT_EQ(ask("PASS sec ret").substr(0, 3), "+OK");
        ASSERT_TRUE(dialogue.session().logged_in());
    }
    void begin(const Policy& policy, bool tls_active = false) { dialogue = Dialogue(policy, tls_active); }

    Dialogue dialogue{patient()};
};

bool is_ok(std::string_view reply) { return reply.starts_with("+OK"); }
bool is_err(std::string_view reply) { return reply.starts_with("-ERR "); }
bool is_done(std::string_view reply) { return is_ok(reply) || reply.starts_with('<'); }

std::vector<std::string> lines_of(std::string_view reply) {
    std::vector<std::string> lines;
    for (std::size_t end; (end = reply.find("\r\n")) != std::string_view::npos; reply.remove_prefix(end + 2))
        lines.emplace_back(reply.substr(0, end));
    return lines;
}

TEST(SessionGreeting, IsPositive) { EXPECT_TRUE(is_ok(Session({}, false).greeting())); }

TEST_F(SessionTest, EveryVerbInEveryState) {
    struct Row {
        const char* line;
        bool before_login;
        bool after_login;
    };
    // RFC 1939 §3, RFC 2449 §5, RFC 2595 §4, RFC 5034 §4, RFC 6856 §2 and §3.
    const Row rows[] = {
        {"USER alice", true, false}, {"CAPA", true, true},    {"LANG", true, true},     {"LANG es", true, true},
        {"UTF8", true, false},       {"STLS", true, false},   {"AUTH", true, false},    {"QUIT", true, true},
        {"STAT", false, true},       {"LIST", false, true},   {"LIST 1", false, true},  {"UIDL", false, true},
        {"UIDL 1", false, true},     {"RETR 1", false, true}, {"TOP 1 0", false, true}, {"DELE 1", false, true},
        {"RSET", false, true},       {"NOOP", false, true},
    };
    for (const auto& row : rows) {
        begin(patient(true));
        EXPECT_EQ(is_done(ask(row.line)), row.before_login) << row.line;
        begin(patient(true));
        log_in();
        const auto reply = ask(row.line);
        EXPECT_EQ(is_done(reply), row.after_login) << row.line;
        if (!row.after_login) {
            EXPECT_TRUE(is_err(reply)) << reply;
            EXPECT_TRUE(is_ok(ask("STAT"))) << "and the session goes on";
        }
    }
    for (const auto* line : {"PASS x", "AUTH PLAIN AGEAYg==", "AUTH LOGIN"}) {
        begin(patient());
        log_in();
        EXPECT_TRUE(is_err(ask(line))) << line;
        EXPECT_EQ(ask("STAT"), "+OK 3 5000000320\r\n");
    }
}

TEST_F(SessionTest, AWholeSession) {
    log_in();
    EXPECT_EQ(ask("STAT"), "+OK 3 5000000320\r\n") << "more than 4 GiB";
    EXPECT_EQ(ask("LIST 2"), "+OK 2 200\r\n");
    EXPECT_EQ(ask("LIST 3"), "+OK 3 5000000000\r\n");
    EXPECT_EQ(ask("UIDL 1"), "+OK 1 id-m1\r\n");
    EXPECT_EQ(ask("LIST"), "<list>\r\n");
    EXPECT_EQ(ask("UIDL"), "<uidl>\r\n");
    EXPECT_EQ(ask("RETR 1"), "<body 1>\r\n");
    EXPECT_EQ(ask("TOP 2 0"), "<body 2 top 0>\r\n");
    EXPECT_TRUE(is_ok(ask("DELE 1")));
    EXPECT_TRUE(is_ok(ask("NOOP")));
    EXPECT_TRUE(is_ok(ask("QUIT")));
    EXPECT_TRUE(dialogue.closed());
    EXPECT_EQ(dialogue.session().maildrop().marked_count(), 1u);
}

TEST_F(SessionTest, TheFirstLineOfRsetAndPassTellsWhatIsThere) {
    ask("USER alice");
    EXPECT_EQ(ask("PASS sec ret"), "+OK 3 messages (5000000320 octets)\r\n");
    ask("DELE 3");
    EXPECT_EQ(ask("RSET"), "+OK 3 messages (5000000320 octets)\r\n");
}

TEST_F(SessionTest, AMarkedMessageIsGoneForEveryCommand) {
    log_in();
    ask("DELE 1");
    EXPECT_EQ(ask("STAT"), "+OK 2 5000000200\r\n");
    for (const auto* line : {"DELE 1", "RETR 1", "LIST 1", "UIDL 1", "TOP 1 5"}) EXPECT_TRUE(is_err(ask(line))) << line;
    EXPECT_EQ(ask("LIST 2"), "+OK 2 200\r\n") << "the others keep their numbers";
    ask("RSET");
    EXPECT_EQ(ask("LIST 1"), "+OK 1 120\r\n");
    EXPECT_TRUE(is_ok(ask("DELE 1")));
    ask("DELE 2");
    ask("DELE 3");
    EXPECT_EQ(ask("STAT"), "+OK 0 0\r\n");
    EXPECT_TRUE(is_err(ask("RETR 3")));
}

TEST_F(SessionTest, NumbersOfNoMessage) {
    log_in();
    for (const auto* number : {"0", "4", "-1", "+1", "01", "1x", "1.0", "4294967295", "4294967296", "4294967297",
                               "18446744073709551615", "18446744073709551616", "18446744073709551617", "x"})
        for (const auto* verb : {"LIST ", "UIDL ", "RETR ", "DELE "}) {
            EXPECT_TRUE(is_err(ask(verb + ""s + number))) << verb << number;
            EXPECT_TRUE(is_err(ask("TOP "s + number + " 0"))) << number;
        }
    EXPECT_EQ(ask("STAT"), "+OK 3 5000000320\r\n");
}

TEST_F(SessionTest, UserAndPassAreTakenVerbatim) {
    Session session(patient(), false);
    for (const auto* user :
         {"bob", "bob@example.com", "two words", " leading", "trailing ", "\"q\"", "b\\s", "a%b", "\xC3\xB1", "\xF1"})
        for (const auto* password : {" ", "  a  b  ", "tab\t", "\"", "\\", "%s", "\xC3\xB1", "\xF1\xFF", "*", "."}) {
            (void)session.on_line("USER "s + user);
            auto action = session.on_line("PASS "s + password);
            const auto* authenticate = std::get_if<Authenticate>(&action);
            ASSERT_TRUE(authenticate) << user << '/' << password;
            EXPECT_EQ(authenticate->proof.user, user);
            EXPECT_EQ(authenticate->proof.secret.reveal(), password);
            (void)session.login_failed({});
        }
    const std::string long_password(4096, 'p');
    (void)session.on_line("USER bob");
    auto action = session.on_line("PASS " + long_password);
    ASSERT_TRUE(std::holds_alternative<Authenticate>(action));
    EXPECT_EQ(std::get<Authenticate>(action).proof.secret.reveal(), long_password);
}

TEST_F(SessionTest, PassNeedsUserRightBefore) {
    EXPECT_TRUE(is_err(ask("PASS sec ret")));
    ask("USER mallory");
    ask("USER alice");
    EXPECT_TRUE(is_ok(ask("PASS sec ret"))) << "the last USER counts";
}

TEST_F(SessionTest, AfterAFailedPassTheUserIsForgotten) {
    ask("USER alice");
    EXPECT_TRUE(ask("PASS wrong").starts_with("-ERR [AUTH]"));
    EXPECT_EQ(ask("PASS sec ret"), "-ERR Send USER first\r\n");
    EXPECT_FALSE(dialogue.session().logged_in());
    log_in();
}

TEST_F(SessionTest, AnOverlongUserNameIsRefusedAndNotCut) {
    EXPECT_TRUE(is_err(ask("USER " + std::string(400, 'u'))));
    EXPECT_TRUE(is_err(ask("PASS sec ret")));
    EXPECT_TRUE(is_ok(ask("USER " + std::string(300, 'u'))));
}

TEST_F(SessionTest, NulAndLoneCrDoNotCutACommand) {
    begin(patient());
    for (const auto line : {"USER alice\0x"sv, "PASS sec ret\0"sv, "NOOP\rQUIT"sv}) EXPECT_TRUE(is_err(ask(line)));
    ask("USER alice");
    EXPECT_TRUE(is_err(ask("PASS sec ret\0x"sv)));
    EXPECT_FALSE(dialogue.session().logged_in());
}

TEST_F(SessionTest, NoLineBreakAndNoNulReachesAnUpstream) {
    // base64 carries what a line cannot: "\0alice\0x\r\nA1 DELETE INBOX" and so on.
    for (const auto* response : {"AGFsaWNlAHgNCkExIERFTEVURSBJTkJPWA==", "AGFsaWNlAHgKeQ==", "AGFsaWNlAHgNeQ==",
                                 "AGFsaQpjZQB4", "AGFsaQ1jZQB4"})
        EXPECT_TRUE(ask("AUTH PLAIN "s + response).starts_with("-ERR [AUTH]")) << response;
}

// RFC 4616 §2: both are at least one character long. An empty password logs in at some directories as nobody.
TEST_F(SessionTest, AnEmptyNameOrPasswordReachesNoUpstream) {
    Session session(patient(), false);
    const auto refused = [&](std::string_view line) {
        const auto action = session.on_line(line);
        const auto* reply = std::get_if<SendReply>(&action);
        return reply && is_err(reply->text);
    };
    EXPECT_TRUE(refused("AUTH PLAIN AGFsaWNlAA==")) << "an empty password";
    EXPECT_TRUE(refused("AUTH PLAIN AABzZWNyZXQ=")) << "an empty name";
    EXPECT_TRUE(refused("AUTH PLAIN AAA=")) << "both";
    (void)session.on_line("AUTH LOGIN");
    (void)session.on_line("");
    EXPECT_TRUE(refused("c2VjcmV0")) << "LOGIN with an empty name";
    (void)session.on_line("AUTH LOGIN YWxpY2U=");
    EXPECT_TRUE(refused("")) << "LOGIN with an empty password";
}

TEST_F(SessionTest, SaslPlain) {
    EXPECT_TRUE(is_ok(ask("AUTH PLAIN AGFsaWNlAHNlYyByZXQ=")));
    EXPECT_TRUE(dialogue.session().logged_in());
    begin(patient());
    EXPECT_EQ(ask("AUTH PLAIN"), "+ \r\n") << "an empty challenge (RFC 5034 §4)";
    EXPECT_TRUE(is_ok(ask("AGFsaWNlAHNlYyByZXQ=")));
    EXPECT_TRUE(dialogue.session().logged_in());
}

TEST_F(SessionTest, SaslLogin) {
    EXPECT_EQ(ask("auth login"), "+ VXNlcm5hbWU6\r\n");
    EXPECT_EQ(ask("YWxpY2U="), "+ UGFzc3dvcmQ6\r\n");
    EXPECT_TRUE(is_ok(ask("c2VjIHJldA==")));
    begin(patient());
    EXPECT_EQ(ask("AUTH LOGIN YWxpY2U="), "+ UGFzc3dvcmQ6\r\n");
    EXPECT_TRUE(is_ok(ask("c2VjIHJldA==")));
}

TEST_F(SessionTest, SaslEndsAtAnyFaultAndCommandsAreCommandsAgain) {
    for (const auto* mechanism : {"AUTH PLAIN", "AUTH LOGIN"})
        for (const auto response : {"*"sv, "!"sv, "STAT"sv, "AGE"sv, "\0"sv, "QUIT"sv}) {
            // "STAT" and "QUIT" are base64: an answer for LOGIN's name, not a command.
            if (mechanism == "AUTH LOGIN"sv && (response == "STAT" || response == "QUIT")) continue;
            EXPECT_TRUE(ask(mechanism).starts_with("+ "));
            EXPECT_TRUE(is_err(ask(response))) << mechanism << ' ' << response;
            EXPECT_TRUE(is_ok(ask("CAPA"))) << mechanism << ' ' << response;
        }
    EXPECT_TRUE(is_err(ask("AUTH PLAIN =")));
    EXPECT_TRUE(is_err(ask("AUTH CRAM-MD5"))) << "not offered here";
    EXPECT_TRUE(is_ok(ask("CAPA")));
    log_in();
}

TEST_F(SessionTest, SaslCanBeTriedAgain) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(ask("AUTH PLAIN AGFsaWNlAHdyb25n").starts_with("-ERR [AUTH]"));
        EXPECT_EQ(ask("AUTH LOGIN"), "+ VXNlcm5hbWU6\r\n");
        EXPECT_TRUE(is_err(ask("*")));
        EXPECT_EQ(ask("AUTH LOGIN"), "+ VXNlcm5hbWU6\r\n") << "and starts at the name";
        EXPECT_EQ(ask("Ym9i"), "+ UGFzc3dvcmQ6\r\n");
        EXPECT_TRUE(ask("d3Jvbmc=").starts_with("-ERR [AUTH]"));
    }
    EXPECT_TRUE(is_ok(ask("AUTH PLAIN AGFsaWNlAHNlYyByZXQ=")));
}

TEST_F(SessionTest, AnOverlongLineEndsSasl) {
    ask("AUTH PLAIN");
    EXPECT_TRUE(is_err(ask(std::string(2000, 'A'))));
    EXPECT_TRUE(is_ok(ask("CAPA")));
}

TEST_F(SessionTest, SaslForgetsTheUser) {
    ask("USER alice");
    ask("AUTH PLAIN");
    ask("*");
    EXPECT_TRUE(is_err(ask("PASS sec ret")));
}

TEST_F(SessionTest, ABareAuthListsMechanisms) {
    EXPECT_EQ(lines_of(ask("AUTH")), (std::vector<std::string>{lines_of(ask("AUTH"))[0], "PLAIN", "LOGIN", "."}));
    begin(patient(true, true));
    EXPECT_EQ(lines_of(ask("AUTH")).size(), 2u) << "none in clear where TLS is required";
}

std::vector<std::string> capabilities(Dialogue& dialogue) {
    dialogue.feed("CAPA\r\n");
    auto lines = lines_of(dialogue.replies().back());
    EXPECT_TRUE(is_ok(lines.front()));
    EXPECT_EQ(lines.back(), ".");
    return {lines.begin() + 1, lines.end() - 1};
}

bool has(const std::vector<std::string>& lines, std::string_view line) {
    return std::ranges::find(lines, line) != lines.end();
}

TEST_F(SessionTest, CapabilitiesAreTheSameBeforeAndAfterLogin) {
    const auto before = capabilities(dialogue);
    for (const auto* line :
         {"TOP", "UIDL", "USER", "SASL PLAIN LOGIN", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8 USER", "LANG"})
        EXPECT_TRUE(has(before, line)) << line;
    EXPECT_TRUE(std::ranges::any_of(before, [](const auto& line) { return line.starts_with("IMPLEMENTATION "); }));
    EXPECT_FALSE(has(before, "STLS"));
    log_in();
    EXPECT_EQ(capabilities(dialogue), before);
}

TEST_F(SessionTest, StlsIsOfferedOnlyWhereItCanBeUsed) {
    begin(patient(true));
    EXPECT_TRUE(has(capabilities(dialogue), "STLS"));
    EXPECT_EQ(ask("STLS"), "<tls>\r\n");
    EXPECT_FALSE(has(capabilities(dialogue), "STLS"));
    EXPECT_TRUE(is_err(ask("STLS"))) << "twice";
    begin(patient(true));
    log_in();
    EXPECT_FALSE(has(capabilities(dialogue), "STLS")) << "AUTHORIZATION only (RFC 2595 §4)";
    begin(patient(false));
    EXPECT_TRUE(is_err(ask("STLS")));
    begin(patient(true), true);
    EXPECT_FALSE(has(capabilities(dialogue), "STLS")) << "implicit TLS";
}

TEST_F(SessionTest, NoLoginInClearWhereTlsIsRequired) {
    begin(patient(true, true));
    const auto in_clear = capabilities(dialogue);
    EXPECT_TRUE(has(in_clear, "STLS"));
    EXPECT_FALSE(has(in_clear, "USER"));
    EXPECT_TRUE(std::ranges::none_of(in_clear, [](const auto& line) { return line.starts_with("SASL"); }));
    for (const auto* line :
         {"USER alice", "PASS sec ret", "AUTH PLAIN AGFsaWNlAHNlYyByZXQ=", "AUTH PLAIN", "AUTH LOGIN"})
        EXPECT_TRUE(is_err(ask(line))) << line;
    EXPECT_TRUE(is_ok(ask("CAPA"))) << "no SASL exchange has begun";
    EXPECT_EQ(ask("STLS"), "<tls>\r\n");
    const auto protected_by_tls = capabilities(dialogue);
    EXPECT_TRUE(has(protected_by_tls, "USER"));
    EXPECT_TRUE(has(protected_by_tls, "SASL PLAIN LOGIN"));
    log_in();
}

TEST_F(SessionTest, StlsForgetsWhatWasSaidInClear) {
    begin(patient(true));
    ask("USER alice");
    ask("LANG es");
    ask("UTF8");
    ask("STLS");
    EXPECT_TRUE(is_err(ask("PASS sec ret"))) << "the user of before is no user";
    EXPECT_EQ(dialogue.session().language(), Language::english);
    log_in();
}

TEST_F(SessionTest, StlsDoesNotForgetTheFaultsOfBefore) {
    begin({true, false, 3, 3});
    ask("X");
    ask("X");
    ask("STLS");
    EXPECT_TRUE(is_err(ask("X")));
    EXPECT_TRUE(dialogue.closed());
}

TEST_F(SessionTest, WhatFollowsStlsInTheSameWriteIsNotObeyed) {
    for (const auto* behind : {"USER alice\r\n", "US", "\n", "NOOP\r\n"}) {
        begin(patient(true));
        dialogue.feed("STLS\r\n"s + behind);
        EXPECT_EQ(dialogue.transcript(), "<tls>\r\n") << behind;
        EXPECT_TRUE(dialogue.closed());
    }
}

TEST_F(SessionTest, TheThirdBadCommandBeforeLoginEndsIt) {
    for (const auto line : {"XYZZY"sv, ""sv, "RETR"sv, "RETR 0"sv, "STAT 1"sv, "STAT"sv, "PASS x"sv, "A\0B"sv,
                            "AUTH XYZZY"sv, "STLS"sv, "AUTH PLAIN !"sv}) {
        begin({});
        EXPECT_TRUE(is_err(ask(line)));
        EXPECT_TRUE(is_err(ask(line)));
        EXPECT_FALSE(dialogue.closed()) << line;
        EXPECT_TRUE(is_err(ask(line)));
        EXPECT_TRUE(dialogue.closed()) << line;
    }
    begin({});
    for (int i = 0; i < 3; ++i) ask(std::string(2000, 'x'));
    EXPECT_TRUE(dialogue.closed()) << "overlong lines count, too";
}

TEST_F(SessionTest, GoodCommandsDoNotBuyMoreBadOnes) {
    begin({});
    ask("X");
    ask("CAPA");
    ask("X");
    ask("CAPA");
    ask("X");
    EXPECT_TRUE(dialogue.closed());
}

TEST_F(SessionTest, AfterLoginBadCommandsAreForgiven) {
    begin({});
    log_in();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(is_err(ask("XYZZY")));
    EXPECT_TRUE(is_ok(ask("STAT")));
}

TEST_F(SessionTest, OtherProtocolsAreTurnedAwayAtOnce) {
    for (const auto line : {"GET / HTTP/1.1"sv, "\x16\x03\x01\x02\x00\x01"sv}) {
        begin({});
        EXPECT_TRUE(is_err(ask(line)));
        EXPECT_TRUE(dialogue.closed());
    }
}

TEST_F(SessionTest, AReplyDoesNotEchoWhatWasSent) {
    begin(patient());
    for (const auto line :
         {"X\x1B[31mY"sv, "\xFF\xFE\x80"sv, "USER:canary"sv, "RETR canary"sv, "AUTH canary"sv, "LANG canary"sv}) {
        const auto reply = ask(line);
        EXPECT_TRUE(is_err(reply));
        EXPECT_EQ(reply.find("canary"), std::string::npos);
        EXPECT_TRUE(
            std::ranges::all_of(reply, [](char c) { return c == '\r' || c == '\n' || (c >= 0x20 && c < 0x7F); }));
    }
}

TEST_F(SessionTest, TheLoginDelayIsTold) {
    EXPECT_EQ(ask("CAPA").find("LOGIN-DELAY"), std::string::npos);
    auto policy = patient();
    policy.login_delay = login_delay_of(std::chrono::milliseconds(1500));
    begin(policy);
    EXPECT_NE(ask("CAPA").find("\r\nLOGIN-DELAY 2\r\n"), std::string::npos);
    policy.login_delay.depends_on_user = true;
    begin(policy);
    EXPECT_NE(ask("CAPA").find("\r\nLOGIN-DELAY 2 USER\r\n"), std::string::npos);
}

TEST(SessionUnderStress, OneBadCommandIsEnough) {
    Session session(patient(), false);
    EXPECT_FALSE(std::get<SendReply>(session.on_line("XYZZY")).close);
    session.be_strict();
    EXPECT_TRUE(std::get<SendReply>(session.on_line("XYZZY")).close);
}

TEST_F(SessionTest, TheThirdFailedLoginEndsIt) {
    begin({});
    for (int i = 1; i <= 3; ++i) {
        ask("USER alice");
        EXPECT_TRUE(ask("PASS wrong").starts_with("-ERR [AUTH]"));
        EXPECT_EQ(dialogue.closed(), i == 3);
    }
}

TEST_F(SessionTest, AFailedLoginSaysWhy) {
    Session session(patient(), false);
    EXPECT_TRUE(session.login_failed({Errc::temporary, "down", {}}).text.starts_with("-ERR [SYS/TEMP] "));
    EXPECT_TRUE(session.login_failed({Errc::in_use, "", {}}).text.starts_with("-ERR [IN-USE] "));
    EXPECT_TRUE(session.login_failed({Errc::login_delay, "", {}}).text.starts_with("-ERR [LOGIN-DELAY] "));
    EXPECT_TRUE(session.login_failed({Errc::permanent, "no such mailbox", {}}).text.starts_with("-ERR [SYS/PERM] "));
    EXPECT_FALSE(session.logged_in());
}

TEST_F(SessionTest, QuitBeforeLoginRemovesNothing) {
    EXPECT_TRUE(is_ok(ask("QUIT")));
    EXPECT_TRUE(dialogue.closed());
    EXPECT_FALSE(dialogue.session().logged_in());
}

TEST_F(SessionTest, QuitTellsTheOutcome) {
    log_in();
    const auto& session = dialogue.session();
    EXPECT_TRUE(is_ok(session.committed(0, 0, 0, {})));
    EXPECT_TRUE(session.committed(5000, 2500, 0, {}).starts_with("-ERR [SYS/TEMP] 2500 of 5000 "));
    const Status temporary = Error{Errc::temporary, "not now", {}};
    EXPECT_TRUE(session.committed(1, 1, 0, temporary).starts_with("-ERR [SYS/TEMP] 1 of 1 "));
    const Status permanent = Error{Errc::permanent, "there is no trash", {}};
    EXPECT_TRUE(session.committed(1, 1, 0, permanent).starts_with("-ERR [SYS/PERM] there is no trash: "));
    ask("DELE 1");
    const auto unknown = session.committed(5, 2, 3, permanent);
    EXPECT_TRUE(unknown.starts_with("-ERR [SYS/TEMP] ")) << unknown;
    EXPECT_NE(unknown.find("not known"), std::string::npos) << "more than it knows, it does not say";
    EXPECT_EQ(session.committed(1, 0, 0, {}), "+OK 1 messages removed, 2 left\r\n");
}

TEST_F(SessionTest, LangChangesTheRepliesAndItsOwnIsInTheNewLanguage) {
    EXPECT_EQ(ask("LANG es-MX"), "+OK es Idioma cambiado\r\n");
    EXPECT_EQ(ask("XYZZY"), "-ERR Orden desconocida\r\n");
    EXPECT_TRUE(is_err(ask("LANG fr"))) << "another leaves it as it is";
    EXPECT_EQ(ask("XYZZY"), "-ERR Orden desconocida\r\n");
    EXPECT_EQ(ask("LANG *"), "+OK en Language changed\r\n");
    EXPECT_EQ(ask("XYZZY"), "-ERR Unknown command\r\n");
    log_in();
    ask("LANG es");
    EXPECT_EQ(ask("RSET"), "+OK 3 mensajes (5000000320 octetos)\r\n");
}

TEST_F(SessionTest, LangListsTheLanguages) {
    const auto lines = lines_of(ask("LANG"));
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_TRUE(is_ok(lines[0]));
    EXPECT_TRUE(lines[1].starts_with("en "));
    EXPECT_TRUE(lines[2].starts_with("es "));
    EXPECT_EQ(lines[3], ".");
}

/// Commands of every kind, good and bad, as a client may send them in one write.
std::string a_thousand_commands(std::uint32_t seed) {
    static const std::string lines[] = {"STAT",
                                        "LIST",
                                        "LIST 1",
                                        "LIST 2",
                                        "LIST 9",
                                        "UIDL",
                                        "UIDL 3",
                                        "RETR 1",
                                        "RETR 2",
                                        "RETR 0",
                                        "TOP 1 0",
                                        "TOP 3 99",
                                        "TOP 1",
                                        "DELE 1",
                                        "DELE 2",
                                        "DELE 3",
                                        "RSET",
                                        "NOOP",
                                        "NOOP x",
                                        "CAPA",
                                        "LANG",
                                        "LANG es",
                                        "LANG en",
                                        "UTF8",
                                        "XYZZY",
                                        "",
                                        " ",
                                        std::string("NO\0OP", 5),
                                        "NOOP\rQUIT",
                                        "list 1",
                                        "USER alice",
                                        std::string(600, 'x'),
                                        std::string(512, 'y'),
                                        std::string(513, 'z'),
                                        "AUTH PLAIN",
                                        "LIST 18446744073709551616"};
    std::minstd_rand random(seed);
    std::string all = "CAPA\r\nUSER mallory\r\nPASS x\r\nAUTH PLAIN\r\n*\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjIHJldA==\r\n";
    for (int i = 0; i < 1000; ++i) all += lines[random() % std::size(lines)] + (random() % 4 == 0 ? "\n" : "\r\n");
    return all + "QUIT\r\nSTAT\r\n";
}

TEST(Pipelining, AnySplitGivesTheSameReplies) {
    const auto octets = a_thousand_commands(7);
    Dialogue whole(patient());
    whole.feed(octets);
    EXPECT_EQ(whole.replies().size(), 8 + 1000 + 1u) << "one each, and none behind QUIT";
    EXPECT_TRUE(whole.closed());

    Dialogue octet_by_octet(patient());
    test::split(octets, 1, 1, [&](std::string_view piece) { octet_by_octet.feed(piece); });
    EXPECT_EQ(octet_by_octet.replies(), whole.replies());

    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        Dialogue cut(patient());
        test::split(octets, seed, seed % 2 == 0 ? 5 : 3000, [&](std::string_view piece) { cut.feed(piece); });
        ASSERT_EQ(cut.replies(), whole.replies()) << "seed " << seed;
    }
}

TEST(Pipelining, EveryReplyIsAReply) {
    Dialogue dialogue(patient());
    dialogue.feed(a_thousand_commands(8));
    for (const auto& reply : dialogue.replies()) {
        EXPECT_TRUE(is_done(reply) || is_err(reply) || reply.starts_with("+ ")) << reply;
        EXPECT_TRUE(reply.ends_with("\r\n"));
        EXPECT_LE(reply.find("\r\n") + 2, 512u);
    }
}

/// All that a listener can offer, for a client with a certificate.
Policy generous() {
    auto policy = patient();
    policy.tokens = policy.certificates = policy.apop = policy.cram_md5 = policy.rpop = true;
    policy.challenge = "<1896.697170952@dbc.mtview.ca.us>";
    return policy;
}

TEST(SessionGreeting, EndsWithTheTimestampWhereApopIsOffered) {
    const auto greeting = Session(generous(), false).greeting();
    EXPECT_TRUE(is_ok(greeting));
    EXPECT_TRUE(greeting.ends_with(" <1896.697170952@dbc.mtview.ca.us>\r\n")) << greeting;
    auto without = generous();
    without.apop = false;
    EXPECT_EQ(Session(without, false).greeting().find('<'), std::string::npos) << "CRAM-MD5 shows it when it is used";
}

TEST_F(SessionTest, MechanismsAreListedAndTakenWhereTheyCanWork) {
    EXPECT_EQ(lines_of(ask("AUTH")), (std::vector{lines_of(ask("AUTH"))[0], "PLAIN"s, "LOGIN"s, "."s}));
    for (const auto* mechanism : {"CRAM-MD5", "EXTERNAL", "XOAUTH2", "OAUTHBEARER"})
        EXPECT_TRUE(is_err(ask("AUTH "s + mechanism))) << mechanism;
    EXPECT_TRUE(is_err(ask("APOP alice c4c9334bac560ecc979e58001b3e22fb")));
    EXPECT_TRUE(is_ok(ask("USER alice")));
    EXPECT_TRUE(is_err(ask("RPOP alice")));

    auto policy = generous();
    begin(policy);
    EXPECT_NE(ask("CAPA").find("SASL PLAIN LOGIN CRAM-MD5 OAUTHBEARER XOAUTH2\r\n"), std::string::npos)
        << "EXTERNAL is for who has a certificate";
    policy.tls_offered = true;
    begin(policy);
    ask("STLS");
    EXPECT_NE(ask("CAPA").find("SASL PLAIN LOGIN CRAM-MD5 EXTERNAL OAUTHBEARER XOAUTH2\r\n"), std::string::npos);
    policy = patient();
    policy.passwords = false;
    policy.tokens = true;
    begin(policy);
    const auto capa = ask("CAPA");
    EXPECT_NE(capa.find("SASL OAUTHBEARER XOAUTH2\r\n"), std::string::npos) << capa;
    EXPECT_EQ(capa.find("\r\nUSER"), std::string::npos) << capa;
    EXPECT_TRUE(is_err(ask("AUTH PLAIN AGFsaWNlAHNlYyByZXQ=")));
    policy = generous();
    policy.tls_offered = policy.tls_required = true;
    begin(policy);
    EXPECT_EQ(ask("CAPA").find("SASL"), std::string::npos);
    for (const auto* line :
         {"APOP alice c4c9334bac560ecc979e58001b3e22fb", "RPOP alice", "AUTH XOAUTH2", "AUTH CRAM-MD5"})
        EXPECT_TRUE(is_err(ask(line))) << line << " in clear";
}

TEST_F(SessionTest, ATokenLogsIn) {
    begin(generous());
    EXPECT_TRUE(is_ok(ask("AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2szbgEB")));
    begin(generous());
    EXPECT_EQ(ask("AUTH OAUTHBEARER"), "+ \r\n");
    EXPECT_TRUE(is_ok(ask("bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2szbgEB")));
    EXPECT_TRUE(dialogue.session().logged_in());
}

TEST_F(SessionTest, ARefusedTokenIsToldInTwoSteps) {
    // RFC 7628 §3.2.2 and §3.2.3, and XOAUTH2 as Google has it.
    const std::pair<std::string, std::string> ways[] = {
        {"AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciBubwEB", R"({"status":"invalid_token","scope":"mail"})"},
        {"AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBubwEB", R"({"status":"401","schemes":"bearer","scope":"mail"})"}};
    for (const auto& [line, json] : ways)
        for (const auto* next : {"", "AQ==", "QUIT", "*", "!"}) {
            begin(generous());
            const auto challenge = ask(line);
            ASSERT_TRUE(challenge.starts_with("+ ")) << challenge;
            EXPECT_EQ(decode_base64(challenge.substr(2, challenge.size() - 4)), json);
            EXPECT_TRUE(ask(next).starts_with("-ERR [AUTH] ")) << next;
            EXPECT_TRUE(is_ok(ask("AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2szbgEB"))) << next;
        }
    begin(generous());
    ask(ways[0].first);
    EXPECT_TRUE(ask(std::string(600, 'A')).starts_with("-ERR [AUTH] ")) << "an answer that is too long is one";
}

TEST(SessionToken, TheLastRefusalEndsItBehindTheSecondStep) {
    auto policy = generous();
    policy.failed_logins = 1;
    Session session(policy, false);
    ASSERT_TRUE(
        std::holds_alternative<Authenticate>(session.on_line("AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBubwEB")));
    const auto first = session.login_failed({Errc::sign_in, "sign in at https://mail.example.com", {}});
    EXPECT_TRUE(first.text.starts_with("+ "));
    EXPECT_FALSE(first.close);
    const auto action = session.on_line("");
    const auto& last = std::get<SendReply>(action);
    EXPECT_TRUE(last.close);
    EXPECT_NE(last.text.find("https://mail.example.com"), std::string::npos) << last.text;
}

TEST(SessionToken, TroubleIsToldAtOnce) {
    Session session(generous(), false);
    (void)session.on_line("AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciBubwEB");
    EXPECT_TRUE(session.login_failed({Errc::temporary, "later", {}}).text.starts_with("-ERR [SYS/TEMP]"));
    (void)session.on_line("USER alice");
    (void)session.on_line("PASS wrong");
    EXPECT_TRUE(session.login_failed({Errc::auth, "no", {}}).text.starts_with("-ERR")) << "no token this time";
}

TEST(SessionApop, IsAProofOverTheGreetingsTimestampBeforeAndAfterTls) {
    auto policy = generous();
    policy.tls_offered = true;
    Session session(policy, false);
    for (int i = 0; i < 2; ++i) {
        auto action = session.on_line("APOP mrose with space c4c9334bac560ecc979e58001b3e22fb");
        ASSERT_TRUE(std::holds_alternative<Authenticate>(action));
        const auto& proof = std::get<Authenticate>(action).proof;
        EXPECT_EQ(proof.method, Proof::Method::apop);
        EXPECT_EQ(proof.user, "mrose with space");
        EXPECT_EQ(proof.secret.reveal(), "c4c9334bac560ecc979e58001b3e22fb");
        EXPECT_EQ(proof.challenge, policy.challenge);
        (void)session.login_failed({Errc::auth, "no", {}});
        session.tls_started(false);
    }
    for (const auto* line : {"APOP", "APOP mrose", "APOP c4c9334bac560ecc979e58001b3e22fb", "APOP mrose c4c9",
                             "APOP mrose x4c9334bac560ecc979e58001b3e22fb", "APOP  c4c9334bac560ecc979e58001b3e22fb"}) {
        const auto action = session.on_line(line);
        ASSERT_TRUE(std::holds_alternative<SendReply>(action)) << line;
        EXPECT_TRUE(is_err(std::get<SendReply>(action).text)) << line;
    }
}

TEST_F(SessionTest, RpopNeedsUserAndNoMore) {
    begin(generous());
    EXPECT_TRUE(is_err(ask("RPOP alice"))) << "RFC 1081: USER comes first";
    EXPECT_TRUE(is_ok(ask("USER alice")));
    EXPECT_TRUE(is_ok(ask("RPOP root")));
    EXPECT_TRUE(dialogue.session().logged_in());
}

TEST_F(SessionTest, ExternalIsForTheCertificateOfThisConnection) {
    auto policy = generous();
    policy.tls_offered = true;
    begin(policy);
    EXPECT_TRUE(is_err(ask("AUTH EXTERNAL YWxpY2U=")));
    ask("STLS");
    EXPECT_EQ(ask("AUTH EXTERNAL"), "+ \r\n");
    EXPECT_TRUE(is_ok(ask("YWxpY2U=")));
    Session without(policy, false);
    without.tls_started(false);
    const auto action = without.on_line("AUTH EXTERNAL YWxpY2U=");
    ASSERT_TRUE(std::holds_alternative<SendReply>(action)) << "none was shown";
}

}  // namespace
}  // namespace popgate::pop3
