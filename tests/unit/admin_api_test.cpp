#include "gateway/admin/admin.hpp"

#include "tests/support/fake_control.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace popgate::admin {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using std::chrono::system_clock;
using web::Reach;
using web::Request;
using web::Response;

Request request(std::string method, std::string path, Reach reach = Reach::unix_socket) {
    Request made;
    made.method = std::move(method);
    made.path = std::move(path);
    made.reach = reach;
    return made;
}

Request form(std::string path, std::vector<std::pair<std::string, std::string>> fields) {
    auto made = request("POST", std::move(path));
    for (auto& [name, value] : fields) made.form.add(name, value);
    return made;
}

Request query(std::string path, std::vector<std::pair<std::string, std::string>> fields) {
    auto made = request("GET", std::move(path));
    for (auto& [name, value] : fields) made.query.add(name, value);
    return made;
}

std::string header(const Response& response, std::string_view name) {
    for (const auto& [each, value] : response.headers)
        if (each == name) return value;
    return {};
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
    return found;
}

class AdminApiTest : public testing::Test {
protected:
    AdminApiTest() { control.now.max_sessions = 10'000; }

    Response ask(const Request& what) {
        Response response;
        test::on_fiber([&](Fiber& fiber) { response = api.handle(fiber, what); });
        return response;
    }
    json::value parsed(const Request& what, unsigned status = 200) {
        const auto response = ask(what);
        EXPECT_EQ(response.status, status) << response.body;
        EXPECT_EQ(response.content_type, "application/json");
        EXPECT_TRUE(response.body.ends_with('\n') && count(response.body, "\n") == 1) << response.body;
        return json::parse(response.body);
    }
    std::string page() { return ask(request("GET", "/", Reach::loopback)).body; }

    test::FakeControl control;
    std::vector<MinuteOfTraffic> history;
    AdminApi api{control, [] { return "popgate_sessions 1\n"; }, [this] { return history; }};
};

TEST_F(AdminApiTest, EachWayInGivesItsOwn) {
    struct Case {
        const char* path;
        Reach least;
    };
    constexpr Case cases[] = {{"/healthz", Reach::network},     {"/readyz", Reach::network},
                              {"/metrics", Reach::network},     {"/", Reach::loopback},
                              {"/style.css", Reach::loopback},  {"/status.json", Reach::loopback},
                              {"/sessions", Reach::unix_socket}};
    for (const auto& [path, least] : cases)
        for (const auto reach : {Reach::network, Reach::loopback, Reach::unix_socket})
            EXPECT_EQ(ask(request("GET", path, reach)).status, reach >= least ? 200u : 403u) << path;
    for (const auto* path : {"/kick", "/drain", "/reload", "/trace"})
        for (const auto reach : {Reach::network, Reach::loopback})
            EXPECT_EQ(ask(request("POST", path, reach)).status, 403u) << path;
    EXPECT_FALSE(control.now.draining);
}

TEST_F(AdminApiTest, WhatIsNotThereAndWhatIsAskedWrongly) {
    EXPECT_EQ(ask(request("GET", "/nothing")).status, 404u);
    EXPECT_EQ(ask(request("GET", "/sessions/")).status, 404u);
    const auto posted = ask(request("POST", "/metrics"));
    EXPECT_EQ(posted.status, 405u);
    EXPECT_EQ(header(posted, "Allow"), "GET, HEAD");
    const auto got = ask(request("GET", "/drain"));
    EXPECT_EQ(got.status, 405u);
    EXPECT_EQ(header(got, "Allow"), "POST");
    EXPECT_EQ(header(ask(request("DELETE", "/trace")), "Allow"), "GET, HEAD, POST");
    EXPECT_FALSE(control.now.draining);
}

TEST_F(AdminApiTest, OnLoopbackNobodyComesByTheNameOfAStrangersHost) {
    const auto status = [&](const char* path, const char* host, Reach reach) {
        auto asked = request("GET", path, reach);
        asked.headers.add("host", host);
        return ask(asked).status;
    };
    for (const auto* host : {"127.0.0.1", "127.0.0.1:9110", "[::1]:9110", "[::1]", "localhost", "localhost:9110"})
        EXPECT_EQ(status("/", host, Reach::loopback), 200u) << host;
    for (const auto* host : {"evil.example", "evil.example:9110", "localhost.evil.example", "127.0.0.1.evil.example",
                             "", ":9110", "::1:x", "[evil.example]:9110"})
        for (const auto* path : {"/", "/metrics", "/nothing"})
            EXPECT_EQ(status(path, host, Reach::loopback), 421u) << host;
    EXPECT_EQ(status("/sessions", "whatever", Reach::unix_socket), 200u);
    EXPECT_EQ(status("/metrics", "popgate.mail.svc", Reach::network), 200u) << "Prometheus asks by name";
    auto twice = request("GET", "/", Reach::loopback);
    twice.headers.add("host", "localhost");
    twice.headers.add("host", "evil.example");
    EXPECT_EQ(ask(twice).status, 421u);
}

TEST_F(AdminApiTest, ReadyUnlessItDrainsOrSomethingStopsIt) {
    EXPECT_EQ(ask(request("GET", "/readyz")).body, "ready\n");
    control.now.troubles = {{"the upstream is slow", "", false}};
    EXPECT_EQ(ask(request("GET", "/readyz")).status, 200u);
    control.now.troubles.push_back({"the state store cannot be written", "No space left\non device", true});
    control.now.draining = true;
    const auto response = ask(request("GET", "/readyz"));
    EXPECT_EQ(response.status, 503u);
    EXPECT_EQ(response.body, "draining: no new sessions\nthe state store cannot be written: No space left on device\n");
    EXPECT_EQ(ask(request("GET", "/healthz")).body, "ok\n");
}

TEST_F(AdminApiTest, MetricsHaveTheirFormat) {
    const auto response = ask(request("GET", "/metrics", Reach::network));
    EXPECT_EQ(response.body, "popgate_sessions 1\n");
    EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(AdminApiTest, StatusAsJson) {
    control.now.version = "0.1.0";
    control.now.started = system_clock::time_point(1'790'000'000s);
    control.now.sessions = 12;
    control.now.listeners = {"0.0.0.0:995 implicit"};
    control.now.routes = {"* → imaps://imap.example.com"};
    control.now.troubles = {{"a certificate has expired", "on \xff 1 May", false}};
    history = {{system_clock::time_point(1'790'000'040s), 3, 2, 1, 5, 6000, 4}};
    const auto said = parsed(request("GET", "/status.json", Reach::loopback)).as_object();
    EXPECT_EQ(said.at("version"), "0.1.0");
    EXPECT_EQ(said.at("started"), "2026-09-21T14:13:20Z");
    EXPECT_EQ(said.at("ready"), true);
    EXPECT_EQ(said.at("draining"), false);
    EXPECT_EQ(said.at("under_stress"), false);
    EXPECT_EQ(said.at("sessions"), 12);
    EXPECT_EQ(said.at("max_sessions"), 10'000);
    EXPECT_EQ(said.at("listeners"), json::array({"0.0.0.0:995 implicit"}));
    EXPECT_EQ(said.at("routes"), json::array({"* → imaps://imap.example.com"}));
    EXPECT_EQ(said.at("troubles"), json::parse(R"([{"what": "a certificate has expired", "why": "on \ufffd 1 May",
                                                    "stops_service": false}])"));
    EXPECT_EQ(said.at("history"),
              json::parse(R"([{"time": "2026-09-21T14:14:00Z", "sessions": 3, "logins": 2, "failed_logins": 1,
                               "messages": 5, "octets": 6000, "upstream_failures": 4}])"));
}

TEST_F(AdminApiTest, SessionsAsJson) {
    EXPECT_EQ(parsed(request("GET", "/sessions")), json::array());
    OpenSession session;
    session.id = 7;
    session.user = "bob\"@example.com";
    session.from = "192.0.2.7:4711";
    session.state = "transaction";
    session.command = "RETR";
    session.age = 61'500ms;
    session.idle = 20ms;
    session.messages = 40;
    session.retrieved = 3;
    session.octets_sent = 5'000'000'000;
    control.open = {session};
    EXPECT_EQ(parsed(request("GET", "/sessions")),
              json::parse(R"([{"id": 7, "user": "bob\"@example.com", "from": "192.0.2.7:4711", "listener": "",
                               "tls": "", "backend": "", "state": "transaction", "command": "RETR", "age_ms": 61500,
                               "idle_ms": 20, "messages": 40, "retrieved": 3, "octets_sent": 5000000000}])"));
}

TEST_F(AdminApiTest, Kicks) {
    control.open.resize(3);
    control.open[0] = {.id = 1, .user = "ann"};
    control.open[1] = {.id = 2, .user = "bob"};
    control.open[2] = {.id = 3, .user = "ann"};
    EXPECT_EQ(parsed(form("/kick", {{"id", "2"}})), json::parse(R"({"kicked": 1})"));
    EXPECT_EQ(parsed(form("/kick", {{"user", "ann"}})), json::parse(R"({"kicked": 2})"));
    EXPECT_EQ(parsed(form("/kick", {{"id", "2"}})), json::parse(R"({"kicked": 0})"));
    const auto before = control.kicked.size();
    EXPECT_EQ(ask(form("/kick", {})).status, 400u);
    EXPECT_EQ(ask(form("/kick", {{"id", "2"}, {"user", "ann"}})).status, 400u);
    EXPECT_EQ(ask(form("/kick", {{"id", "-2"}})).status, 400u);
    EXPECT_EQ(ask(form("/kick", {{"id", ""}})).status, 400u);
    EXPECT_EQ(ask(form("/kick", {{"user", ""}})).status, 400u);
    EXPECT_EQ(ask(form("/kick", {{"id", "18446744073709551616"}})).status, 400u);
    EXPECT_EQ(control.kicked.size(), before);
}

TEST_F(AdminApiTest, Drains) {
    EXPECT_EQ(parsed(form("/drain", {}), 202), json::parse(R"({"draining": true})"));
    EXPECT_TRUE(control.now.draining);
}

TEST_F(AdminApiTest, ReloadsOrSaysWhyNot) {
    control.reloaded = std::vector<std::string>{"limits.workers: only a restart changes it"};
    EXPECT_EQ(parsed(form("/reload", {})),
              json::parse(R"({"remarks": ["limits.workers: only a restart changes it"]})"));
    control.reloaded = Error{Errc::permanent, "a:1: bad\n\nb:2: worse\n", {}};
    EXPECT_EQ(parsed(form("/reload", {}), 422), json::parse(R"({"problems": ["a:1: bad", "b:2: worse"]})"));
}

TEST_F(AdminApiTest, SwitchesTracesOnAndOff) {
    EXPECT_EQ(parsed(form("/trace", {{"user", "ann"}, {"seconds", "15"}})),
              json::parse(R"({"user": "ann", "seconds": 15})"));
    EXPECT_EQ(parsed(form("/trace", {{"user", "ann"}, {"seconds", "0"}})),
              json::parse(R"({"user": "ann", "seconds": 0})"));
    const std::vector<std::pair<std::string, std::chrono::seconds>> told = {{"ann", 15s}, {"ann", 0s}};
    EXPECT_EQ(control.traced, told);
    for (const auto* seconds : {"", "x", "-1", "3601", "1.5"})
        EXPECT_EQ(ask(form("/trace", {{"user", "ann"}, {"seconds", seconds}})).status, 400u) << seconds;
    EXPECT_EQ(ask(form("/trace", {{"seconds", "1"}})).status, 400u);
    EXPECT_EQ(control.traced, told);
    control.can_trace = false;
    EXPECT_EQ(ask(form("/trace", {{"user", "bob"}, {"seconds", "1"}})).status, 409u);
}

TEST_F(AdminApiTest, GivesTracedLines) {
    control.lines = {{8, system_clock::time_point(1'790'000'000'007ms), 3, "client", "> PASS <hidden>\x1b"}};
    EXPECT_EQ(parsed(query("/trace", {{"user", "ann"}, {"after", "7"}, {"wait", "2"}})),
              json::parse(R"([{"number": 8, "time": "2026-09-21T14:13:20.007Z", "session": 3, "side": "client",
                               "text": "> PASS <hidden>\u001b"}])"));
    EXPECT_EQ(control.asked.user, "ann");
    EXPECT_EQ(control.asked.number, 7u);
    EXPECT_EQ(control.asked.patience, 2s);
    EXPECT_EQ(parsed(query("/trace", {{"user", "ann"}})), json::array());
    EXPECT_EQ(control.asked.number, 0u);
    EXPECT_EQ(control.asked.patience, 20s);
    for (const auto* wait : {"21", "", "-1"})
        EXPECT_EQ(ask(query("/trace", {{"user", "ann"}, {"wait", wait}})).status, 400u) << wait;
    EXPECT_EQ(ask(query("/trace", {{"user", "ann"}, {"after", "x"}})).status, 400u);
    EXPECT_EQ(ask(query("/trace", {})).status, 400u);
}

TEST_F(AdminApiTest, ThePageIsSafeAndWantsNothingFromElsewhere) {
    control.now.version = "<1>";
    control.now.troubles = {{"<script>alert(1)</script>", "\"&", true}};
    control.now.routes = {"<img src=x>"};
    const auto response = ask(request("GET", "/", Reach::loopback));
    EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
    EXPECT_TRUE(has(header(response, "Content-Security-Policy"), "default-src 'none'"));
    EXPECT_FALSE(has(header(response, "Content-Security-Policy"), "unsafe"));
    EXPECT_FALSE(has(response.body, "<script") || has(response.body, "<img") || has(response.body, "<1>"));
    EXPECT_FALSE(has(response.body, "//") || has(response.body, "style=")) << response.body;
    EXPECT_TRUE(has(response.body, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    EXPECT_EQ(header(response, "Cache-Control"), "no-store");
    EXPECT_FALSE(has(response.body, "http-equiv"));
    EXPECT_TRUE(has(ask(query("/", {{"refresh", ""}})).body, "http-equiv=\"refresh\""));
}

TEST_F(AdminApiTest, ThePageSaysWhatIsWrongFirst) {
    EXPECT_TRUE(has(page(), "nothing is known to be wrong"));
    control.now.troubles = {{"a certificate expires soon", "in 3 days", false}};
    EXPECT_TRUE(has(page(), "Running, with 1 trouble<"));
    control.now.troubles.push_back({"the state store cannot be written", "no space", true});
    const auto said = page();
    EXPECT_TRUE(has(said, "Not serving") && has(said, "class=\"banner bad\"")) << said;
    EXPECT_LT(said.find("the state store cannot be written"), said.find("a certificate expires soon"));
    EXPECT_LT(said.find("a certificate expires soon"), said.find("Sessions now"));
    control.now.troubles.clear();
    control.now.draining = true;
    EXPECT_TRUE(has(page(), "<h1>Draining</h1>"));
}

TEST_F(AdminApiTest, ThePagePlotsTheLastHour) {
    EXPECT_EQ(count(page(), "none in the last hour"), 2u);
    EXPECT_EQ(count(page(), "class=\"bar\""), 0u);
    const auto now = std::chrono::floor<std::chrono::minutes>(system_clock::now());
    history = {
        {now - 2h, 999, 0, 0, 0, 999, 0}, {now - 30min, 1500, 0, 0, 0, 0, 0}, {now - 5min, 3, 2, 1, 5, 64'000, 4}};
    const auto said = page();
    EXPECT_EQ(count(said, "class=\"bar\""), 3u) << said;
    EXPECT_TRUE(has(said, "1\u202f503 in the last hour, 1\u202f500 in the busiest minute")) << said;
    EXPECT_TRUE(has(said, "64\u202f000 in the last hour")) << said;
    EXPECT_TRUE(has(said, ">2\u202fk</text>") && has(said, ">1\u202fk</text>")) << "the axis of sessions";
    EXPECT_TRUE(has(said, ">80\u202fk</text>") && has(said, ">40\u202fk</text>")) << "the axis of octets";
    EXPECT_TRUE(has(said, "UTC: 3 sessions</title>"));
    EXPECT_TRUE(has(said, "<dt>Failed logins</dt><dd><b>1</b>"));
}

TEST_F(AdminApiTest, NumbersAtTheirEnds) {
    control.now.sessions = ~std::uint64_t{0};
    control.now.max_sessions = 0;
    control.now.started = system_clock::now() + 1h;
    const auto now = std::chrono::floor<std::chrono::minutes>(system_clock::now());
    history = {{now, ~std::uint64_t{0}, 0, 0, 0, ~std::uint64_t{0}, 0}, {now + 5min, 1, 0, 0, 0, 0, 0}};
    const auto said = page();
    EXPECT_TRUE(has(said, "less than a minute")) << said;
    EXPECT_FALSE(has(said, "nan") || has(said, "inf<")) << said;
}

}  // namespace
}  // namespace popgate::admin
