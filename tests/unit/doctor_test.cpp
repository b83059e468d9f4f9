#include "gateway/commands/doctor_files.hpp"
#include "gateway/commands/doctor_machine.hpp"
#include "gateway/commands/doctor_network.hpp"
#include "gateway/commands/findings.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/commands/side_by_side.hpp"

#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <chrono>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace popgate::commands {
namespace {

using namespace std::chrono_literals;

TEST(Findings, AreLinesWithAdviceAndASum) {
    std::ostringstream out;
    std::ostringstream err;
    Console console{out, err};
    Findings findings(console);
    findings.add({"dns", "a.example", Verdict::ok, "192.0.2.1 (3 ms)"});
    EXPECT_EQ(findings.finish(), exit_done);
    findings.add({"file", "/x", Verdict::warning, "says \"no\"\n\x1b[31m", "chmod"});
    EXPECT_EQ(findings.finish(), exit_done);
    out.str("");
    findings.add({"clock", "", Verdict::failure, "is wrong", "Set it."});
    EXPECT_EQ(findings.finish(), exit_failed);
    const auto text = out.str();
    EXPECT_TRUE(text.starts_with("FAIL clock: is wrong\n     ")) << text;
    EXPECT_TRUE(text.ends_with(" Set it.\n3 checks: 1 ok, 1 warning, 1 failure\n")) << text;
}

TEST(Findings, OfPeersMoveNoTerminal) {
    std::ostringstream out;
    std::ostringstream err;
    Console console{out, err};
    Findings(console).add({"imap", "x", Verdict::ok, "says \"no\"\r\n\x1b[31m"});
    EXPECT_EQ(out.str(), "ok   imap x: says \"no\"\\r\\n\\x1b[31m\n");
}

TEST(Findings, AreDocumentsForScripts) {
    std::ostringstream out;
    std::ostringstream err;
    Console console{out, err, true};
    Findings findings(console);
    findings.add({"dns", "a", Verdict::warning, "slow", "See."});
    EXPECT_EQ(findings.finish(), exit_done);
    EXPECT_EQ(boost::json::parse(out.str()),
              boost::json::parse(R"({"check":"dns","subject":"a","verdict":"warning","text":"slow","advice":"See."})"));
}

// Of a machine of the little-endian kind, as all that popgate is built for are.
TEST(ListeningSockets, AreReadFromTheKernelsTable) {
    const auto sockets = read_listening_sockets(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:006E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100\n"
        "   1: 0100007F:006E 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100\n"
        "   2: 00000000000000000000000001000000:03E3 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4713 1\n"
        "   3: 0100007F:zz 00000000:0000 0A 0:0 0:0 0 0 0 4714 1\n"
        "   4: 01:006E 00000000:0000 0A 0:0 0:0 0 0 0 4715 1\n"
        "   5: 0100007F:006E 0A\n");
    ASSERT_EQ(sockets.size(), 2u);
    EXPECT_EQ(sockets[0].endpoint.address().to_string(), "127.0.0.1");
    EXPECT_EQ(sockets[0].endpoint.port(), 110);
    EXPECT_EQ(sockets[0].inode, 4711u);
    EXPECT_EQ(sockets[1].endpoint.address().to_string(), "::1");
    EXPECT_EQ(sockets[1].endpoint.port(), 995);
}

Verdict verdict_of(const std::vector<ClockReading>& readings) { return judge_clock(readings).front().verdict; }

TEST(Clocks, BearAMinute) {
    EXPECT_EQ(verdict_of({}), Verdict::ok);
    EXPECT_EQ(verdict_of({{"a", 60}}), Verdict::ok);
    EXPECT_EQ(verdict_of({{"a", -61}}), Verdict::warning);
    const auto ahead = judge_clock({{"a", 3600}});
    EXPECT_EQ(ahead.front().text, "this machine's clock is 3600 s ahead of a");
    EXPECT_NE(ahead.front().advice.find("Set the clock"), std::string::npos);
    const auto behind = judge_clock({{"a", 1}, {"b", -3600}});
    ASSERT_EQ(behind.size(), 1u);
    EXPECT_EQ(behind.front().subject, "b");
    EXPECT_NE(behind.front().advice.find("that server's clock"), std::string::npos);
}

TEST(HttpDates, AreOfOneForm) {
    EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    EXPECT_FALSE(parse_http_date(""));
    EXPECT_FALSE(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT and more"));
    EXPECT_FALSE(parse_http_date("1994-11-06T08:49:37Z"));
}

struct CapabilityCase {
    const char* capabilities;
    ImapLogin login;
    Verdict verdict;
};

TEST(Capabilities, MustLetInAsTheRouteWants) {
    const CapabilityCase cases[] = {
        {"IMAP4REV1", ImapLogin::password, Verdict::ok},
        {"IMAP4REV2", ImapLogin::password, Verdict::ok},
        {"LOGINDISABLED", ImapLogin::password, Verdict::failure},
        {"IMAP4REV1 LOGINDISABLED", ImapLogin::password, Verdict::failure},
        {"IMAP4REV1 LOGINDISABLED AUTH=PLAIN", ImapLogin::password, Verdict::ok},
        {"IMAP4REV1 AUTH=PLAIN", ImapLogin::token, Verdict::failure},
        {"IMAP4REV1 AUTH=XOAUTH2", ImapLogin::token, Verdict::ok},
        {"IMAP4REV1 AUTH=OAUTHBEARER", ImapLogin::token, Verdict::ok},
        {"IMAP4REV1 AUTH=XOAUTH2", ImapLogin::master, Verdict::failure},
        {"IMAP4REV1 AUTH=PLAIN", ImapLogin::master, Verdict::ok},
    };
    for (const auto& each : cases) {
        const auto without = judge_capabilities("imap://x", each.capabilities, each.login);
        ASSERT_EQ(without.size(), 2u) << each.capabilities;
        EXPECT_EQ(without[0].verdict, each.verdict) << each.capabilities;
        EXPECT_EQ(without[1].verdict, Verdict::warning) << "no UIDPLUS";
        const auto with = judge_capabilities("imap://x", std::string(each.capabilities) + " UIDPLUS", each.login);
        EXPECT_EQ(with.size(), 1u) << each.capabilities;
    }
}

TEST(ImapLogin, IsAsTheRouteSays) {
    RouteConfig route;
    EXPECT_EQ(imap_login_of(route), ImapLogin::password);
    route.auth = ClientAuth::oauth;
    EXPECT_EQ(imap_login_of(route), ImapLogin::token);
    route.auth = ClientAuth::app_passwords;
    route.upstream_auth = UpstreamAuth::stored;
    EXPECT_EQ(imap_login_of(route), ImapLogin::password);
    route.upstream_auth = UpstreamAuth::master;
    EXPECT_EQ(imap_login_of(route), ImapLogin::master);
    route.upstream_auth.reset();
    route.oauth = "google";
    EXPECT_EQ(imap_login_of(route), ImapLogin::token);
}

TEST(FixedPart, EndsBeforeTheFirstVariable) {
    EXPECT_EQ(fixed_part("/var/mail/%d/%n"), "/var/mail");
    EXPECT_EQ(fixed_part("/var/mail/x-%u/Maildir"), "/var/mail");
    EXPECT_EQ(fixed_part("/%u"), "/");
    EXPECT_EQ(fixed_part("%u"), ".");
    EXPECT_EQ(fixed_part("/home/eva/Maildir"), "/home/eva/Maildir");
}

TEST(DiskRoom, RunsOutInOctetsAndInInodes) {
    const auto verdict = [](const DiskRoom& room) { return judge_room("/x", room).verdict; };
    constexpr auto mebibyte = 1024ULL * 1024;
    EXPECT_EQ(verdict({256 * mebibyte, 0, 0}), Verdict::ok);
    EXPECT_EQ(verdict({256 * mebibyte - 1, 0, 0}), Verdict::warning);
    EXPECT_EQ(verdict({16 * mebibyte - 1, 0, 0}), Verdict::failure);
    EXPECT_EQ(verdict({256 * mebibyte, 5000, 1000}), Verdict::ok);
    EXPECT_EQ(verdict({256 * mebibyte, 5000, 999}), Verdict::warning);
    EXPECT_EQ(verdict({256 * mebibyte, 5000, 9}), Verdict::failure);
}

TEST(Places, AreOfEveryKindThatHasAHost) {
    EXPECT_EQ(place_of("imaps://a.example"), (Place{"a.example", "993", true}));
    EXPECT_EQ(place_of("imap://[::1]:10143"), (Place{"::1", "10143", false}));
    EXPECT_EQ(place_of("jmaps://a.example/jmap"), (Place{"a.example", "443", true}));
    EXPECT_EQ(place_of("gmail:"), (Place{"gmail.googleapis.com", "443", true}));
    EXPECT_EQ(place_of("graph:http://a.example:81"), (Place{"a.example", "81", false}));
    EXPECT_EQ(place_of("rest:https://a.example/api"), (Place{"a.example", "443", true}));
    EXPECT_EQ(place_of("maildir:/var/mail/%u"), Place());
    EXPECT_EQ(place_of(""), Place());
}

TEST(SideBySide, TakesAsLongAsTheLongest) {
    test::on_fiber([](Fiber& fiber) {
        int running = 0;
        int most = 0;
        const auto task = [&](Fiber& own) {
            most = std::max(most, ++running);
            own.sleep_until(Clock::now() + 20ms);
            --running;
        };
        side_by_side(fiber, {task, task, task});
        EXPECT_EQ(most, 3);
        EXPECT_EQ(running, 0);
        side_by_side(fiber, {});
    });
}

TEST(SideBySide, TellsOfAnExceptionWhenAllHaveEnded) {
    test::on_fiber([](Fiber& fiber) {
        bool other_ended = false;
        std::string failure;
        try {
            side_by_side(fiber, {[](Fiber&) { throw std::runtime_error("broken"); },
                                 [&](Fiber& own) {
                                     own.sleep_until(Clock::now() + 20ms);
                                     other_ended = true;
                                 }});
        } catch (const std::exception& error) {
            failure = error.what();
        }
        EXPECT_EQ(failure, "broken");
        EXPECT_TRUE(other_ended);
    });
}

TEST(SideBySide, PassesAnInterruptOn) {
    test::on_fiber([](Fiber& fiber) {
        int ended = 0;
        const auto sleeper = [&](Fiber& own) {
            own.sleep_until(Clock::now() + 1h);
            ++ended;
        };
        side_by_side(fiber, {sleeper, sleeper, [&](Fiber& own) {
                                 own.give_way();
                                 fiber.interrupt();
                             }});
        EXPECT_EQ(ended, 2);
        EXPECT_TRUE(fiber.interrupted());
        fiber.resume_waits();
    });
}

}  // namespace
}  // namespace popgate::commands
