#include "gateway/accounts/auth_hook.hpp"

#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using test::ScriptedHttp;

std::string ok(const std::string& headers) { return ScriptedHttp::say("200 OK", "", headers); }

Proof password_of(std::string_view user, std::string_view password) {
    return {Proof::Method::password, std::string(user), Secret(password), {}};
}

/// What the hook at `url` makes of `proof`.
Result<HookAnswer> ask(const std::string& url, const Proof& proof, const ClientInfo& client = {"192.0.2.1", {}, 1}) {
    auto hook = AuthHook::make(url);
    if (!hook) return hook.error();
    Result<HookAnswer> answer = Error{Errc::permanent, "not asked", {}};
    test::on_fiber([&](Fiber& fiber) { answer = (*hook)->ask(fiber, proof, client); });
    return answer;
}

Result<HookAnswer> answer_to(const std::string& response) {
    ScriptedHttp server([&](const auto&, std::size_t) { return response; });
    return ask(server.origin() + "/auth", password_of("ann", "secret"));
}

/// The head of what a hook that says yes is asked.
std::string asked_with(const Proof& proof, const ClientInfo& client = {"192.0.2.1", {}, 1}) {
    ScriptedHttp server([&](const auto&, std::size_t) { return ok("Auth-Status: OK\r\n"); });
    EXPECT_TRUE(ask(server.origin() + "/auth?x=1", proof, client));
    const auto asked = server.asked();
    return asked.size() == 1 ? asked.front().head : "asked " + std::to_string(asked.size()) + " times";
}

void expect_lines(const std::string& head, const std::vector<std::string>& lines) {
    for (const auto& line : lines)
        EXPECT_NE(head.find("\r\n" + line + "\r\n"), std::string::npos) << line << '\n' << head;
}

TEST(AuthHook, AsksAsNginxDoes) {
    const auto head = asked_with(password_of("ann@example.com", "secret"), {"2001:db8::1", {}, 3});
    EXPECT_TRUE(head.starts_with("GET /auth?x=1 HTTP/1.1\r\n")) << head;
    expect_lines(head, {"Auth-Method: plain", "Auth-User: ann@example.com", "Auth-Pass: secret", "Auth-Protocol: pop3",
                        "Auth-Login-Attempt: 3", "Client-IP: 2001:db8::1"});
    EXPECT_EQ(head.find("Auth-Salt"), std::string::npos);
}

TEST(AuthHook, TellsChallengesAndOtherMethods) {
    expect_lines(asked_with({Proof::Method::apop, "ann", Secret("c4c9334bac560ecc979e58001b3e22fb"), "<1.2@host>"}),
                 {"Auth-Method: apop", "Auth-Pass: c4c9334bac560ecc979e58001b3e22fb", "Auth-Salt: <1.2@host>"});
    expect_lines(asked_with({Proof::Method::cram_md5, "ann", Secret("b913a602c7eda7a495b4e6e7334d3890"), "<1.2@host>"}),
                 {"Auth-Method: cram-md5", "Auth-Salt: <1.2@host>"});
    expect_lines(asked_with({Proof::Method::token, "ann", Secret("tok3n=="), {}}),
                 {"Auth-Method: oauthbearer", "Auth-Pass: tok3n=="});
    expect_lines(asked_with({Proof::Method::certificate, "ann", {}, {}}, {"192.0.2.1", {"ann", "Ann"}, 1}),
                 {"Auth-Method: external", "Auth-Pass: ", "Auth-SSL-Subject: ann"});
}

TEST(AuthHook, NoNameAndNoPasswordEndsItsHeader) {
    const auto head =
        asked_with(password_of("ann\r\nAuth-Status: OK\n\tx%0d\0y\x7F\xC3\xA4"sv, " p w\r\n\r\nGET / HTTP/1.1%"),
                   {"192.0.2.1", {"a\r\nb"}, 1});
    expect_lines(head, {"Auth-User: ann%0D%0AAuth-Status:%20OK%0A%09x%250d%00y%7F%C3%A4",
                        "Auth-Pass: %20p%20w%0D%0A%0D%0AGET%20/%20HTTP/1.1%25", "Auth-SSL-Subject: a%0D%0Ab"});
    EXPECT_EQ(head.find("\r\nAuth-Status"), std::string::npos);
}

TEST(AuthHook, YesMayNameUpstreamUserAndPassword) {
    auto answer = answer_to(ok("Auth-Status: OK\r\n"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->server + answer->port + answer->user + answer->password.reveal(), "");
    answer = answer_to(
        ok("auth-status: ok\r\nAUTH-SERVER: 192.0.2.10\r\nAuth-Port: 1143\r\nAuth-User: box\r\nAuth-Pass: p w\r\n"));
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->server, "192.0.2.10");
    EXPECT_EQ(answer->port, "1143");
    EXPECT_EQ(answer->user, "box");
    EXPECT_EQ(answer->password.reveal(), "p w");
    EXPECT_TRUE(answer_to(ok("Auth-Status: OK\r\nAuth-Server: 2001:db8::1\r\nAuth-Port: 993\r\n")));
    EXPECT_TRUE(answer_to(ok("Auth-Status: OK\r\nAuth-Server: imap-2.example.com\r\nAuth-Port: 993\r\n")));
}

TEST(AuthHook, NoIsARefusalInOurWords) {
    for (const auto* status : {"Invalid login or password", "NO", "OKAY", "OK?", "fail"}) {
        const auto answer = answer_to(ok("Auth-Status: " + std::string(status) + "\r\n"));
        ASSERT_FALSE(answer) << status;
        EXPECT_EQ(answer.error().code, Errc::auth) << status;
        EXPECT_EQ(answer.error().text, "wrong user name or password");
        EXPECT_NE(answer.error().detail.find(status), std::string::npos);
    }
}

TEST(AuthHook, LaterIsNoRefusal) {
    for (const auto& response : {
             ok("Auth-Status: Temporary server problem, try again later\r\nAuth-Error-Code: 451 4.3.0\r\n"),
             ok("Auth-Status: temporary\r\n"),
             ok("Auth-Status: come back\r\nAuth-Error-Code: 421\r\n"),
             ok(""),
             ok("Auth-Status: \r\n"),
             ok("Auth-Status: OK\r\nAuth-Server: 192.0.2.1\r\n"),
             ok("Auth-Status: OK\r\nAuth-Port: 143\r\n"),
             ok("Auth-Status: OK\r\nAuth-Server: a/b\r\nAuth-Port: 143\r\n"),
             ok("Auth-Status: OK\r\nAuth-Server: u@host\r\nAuth-Port: 143\r\n"),
             ok("Auth-Status: OK\r\nAuth-Server: host\r\nAuth-Port: 143x\r\n"),
             ScriptedHttp::say("500 Internal Server Error", "", "Auth-Status: OK\r\n"),
             ScriptedHttp::say("503 Service Unavailable", ""),
             ScriptedHttp::say("429 Too Many Requests", "", "Retry-After: 1\r\n"),
             ScriptedHttp::say("401 Unauthorized", "", "Auth-Status: NO\r\n"),
             ScriptedHttp::say("403 Forbidden", "<html>"),
             ScriptedHttp::say("404 Not Found", "<html>"),
             ScriptedHttp::say("200 OK", "<html>welcome</html>", "Content-Type: text/html\r\n"),
             std::string("garbage\r\n\r\n") + ScriptedHttp::hang_up,
             std::string("HTTP/1.1 200 OK\r\nAuth-Sta") + ScriptedHttp::hang_up,
             std::string(ScriptedHttp::hang_up),
         }) {
        const auto answer = answer_to(response);
        ASSERT_FALSE(answer) << response;
        EXPECT_EQ(answer.error().code, Errc::temporary) << response << '\n' << answer.error().text;
        EXPECT_EQ(answer.error().detail.find("secret"), std::string::npos);
    }
}

TEST(AuthHook, AHookThatIsNotThereIsLater) {
    std::string origin;
    {
        origin = ScriptedHttp([](const auto&, std::size_t) { return std::string(); }).origin();
    }
    const auto answer = ask(origin + "/auth", password_of("ann", "secret"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::temporary);
}

TEST(AuthHook, ThePasswordFollowsNoRedirect) {
    ScriptedHttp elsewhere([](const auto&, std::size_t) { return ok("Auth-Status: OK\r\n"); });
    ScriptedHttp server([&](const auto&, std::size_t) {
        return ScriptedHttp::say("302 Found", "", "Location: " + elsewhere.origin() + "/auth\r\n");
    });
    const auto answer = ask(server.origin() + "/auth", password_of("ann", "secret"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::temporary);
    EXPECT_TRUE(elsewhere.asked().empty());
}

TEST(AuthHook, ARefusalComesNoSoonerThanAuthWaitSays) {
    const auto begin = Clock::now();
    EXPECT_FALSE(answer_to(ok("Auth-Status: NO\r\nAuth-Wait: 1\r\n")));
    EXPECT_GE(Clock::now() - begin, 1s);
    const auto before = Clock::now();
    EXPECT_TRUE(answer_to(ok("Auth-Status: OK\r\nAuth-Wait: 20\r\n"))) << "only a refusal waits";
    for (const auto* no_time : {"0", "-1", "soon", "", "3 s"})
        EXPECT_FALSE(answer_to(ok("Auth-Status: NO\r\nAuth-Wait: " + std::string(no_time) + "\r\n")));
    EXPECT_LT(Clock::now() - before, 15s);
}

TEST(AuthHook, OnlyUrlsAreUrls) {
    for (const auto* url : {"", "auth", "ftp://127.0.0.1/", "http://"}) EXPECT_FALSE(AuthHook::make(url)) << url;
}

}  // namespace
}  // namespace popgate
