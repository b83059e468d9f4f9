#include "backends/http/client.hpp"

#include "backends/http/exchange.hpp"
#include "backends/registry.hpp"
#include "gateway/net/stream.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <zlib.h>

#include <fstream>
#include <limits>

namespace popgate::http {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;

class Sink final : public BodySink {
public:
    explicit Sink(std::size_t limit = std::numeric_limits<std::size_t>::max()) : limit_(limit) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return text.size() < limit_;
    }
    std::string text;

private:
    std::size_t limit_;
};

std::string gzip(const std::string& plain) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(plain.size() + 100, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

struct Setting {
    UpstreamLimits limits{};
    std::chrono::milliseconds command_timeout = 5s;
    std::chrono::milliseconds patience = 3s;
    std::string form = "basic";
    std::string proxy{};
};

std::unique_ptr<Client> make_client(Fiber& fiber, const Setting& setting = {}) {
    BackendOptions options;
    options.command_timeout = setting.command_timeout;
    options.http_proxy = setting.proxy;
    auto upstream = *Upstream::make(options, setting.limits);
    upstream->patience = setting.patience;
    upstream->longest_answer = 100'000;
    auto credential = make_credential(*CredentialForm::parse(setting.form), "", {"user", Secret("pass")});
    return std::make_unique<Client>(fiber, std::move(upstream), "user", std::move(*credential));
}

Request get(const ScriptedHttp& server, const std::string& target = "/x") {
    Request request;
    request.url = *parse_url(server.origin() + target);
    return request;
}

TEST(HttpClient, KeepsItsConnectionAndSendsItsCredential) {
    ScriptedHttp server([](const auto& asked, auto) { return ScriptedHttp::say("200 OK", asked.target()); });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        EXPECT_EQ(client->send(get(server, "/a%2Fb?$x='(1)'|&y=%20"))->body, "/a%2Fb?$x='(1)'|&y=%20");
        EXPECT_EQ(client->send(get(server, "/2"))->body, "/2");
    });
    const auto asked = server.asked();
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_EQ(asked[1].connection, 1u);
    EXPECT_TRUE(asked[1].has("Authorization: Basic dXNlcjpwYXNz\r\n")) << asked[1].head;
    EXPECT_TRUE(asked[1].has("Host: 127.0.0.1:" + server.port() + "\r\n"));
    EXPECT_TRUE(asked[1].has("User-Agent: popgate/"));
}

TEST(HttpClient, SendsABodyAndHeaders) {
    ScriptedHttp server([](const auto& asked, auto) { return ScriptedHttp::say("200 OK", asked.body); });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber, {.form = "header X-Token"});
        auto request = get(server);
        request.method = "POST";
        request.body = "{}";
        request.content_type = "application/json";
        request.headers = {{"Prefer", "IdType=\"ImmutableId\""}};
        EXPECT_EQ(client->send(request)->body, "{}");
        request.headers = {{"Prefer", "a\r\nX: y"}};
        EXPECT_EQ(client->send(request).error().code, Errc::permanent);
    });
    ASSERT_EQ(server.asked().size(), 1u);
    EXPECT_TRUE(server.asked()[0].has("X-Token: pass\r\n"));
    EXPECT_FALSE(server.asked()[0].has("Authorization"));
    EXPECT_TRUE(server.asked()[0].has("Prefer: IdType=\"ImmutableId\"\r\n"));
    EXPECT_TRUE(server.asked()[0].has("Content-Type: application/json\r\n"));
}

TEST(HttpClient, StreamsBodiesHoweverTheyAreFramed) {
    const std::string text(100'000, 'm');
    const auto packed = gzip(text);
    ScriptedHttp server([&](const auto& asked, auto) {
        const auto target = asked.target();
        if (target == "/length") return ScriptedHttp::say("200 OK", text);
        if (target == "/gzip") return ScriptedHttp::say("200 OK", packed, "Content-Encoding: gzip\r\n");
        return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ScriptedHttp::chunk(text.substr(0, 1)) +
               ScriptedHttp::chunk(text.substr(1)) + "0\r\n\r\n";
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        for (const char* target : {"/length", "/gzip", "/chunked", "/length"}) {
            Sink sink;
            const auto response = client->stream(get(server, target), sink);
            ASSERT_TRUE(response) << target << response.error().detail;
            EXPECT_TRUE(sink.text == text) << target << sink.text.size();
            EXPECT_EQ(response->body, "");
        }
    });
    EXPECT_EQ(server.asked().back().connection, 1u);
}

TEST(HttpClient, NeverTakesACutBodyForAWhole) {
    const std::string text(30'000, 'm');
    const auto packed = gzip(text);
    const auto cut = packed.substr(0, packed.size() - 4);
    const std::string head = "HTTP/1.1 200 OK\r\n";
    const std::pair<const char*, std::string> cases[] = {
        {"/length", head + "Content-Length: 30001\r\n\r\n" + text + ScriptedHttp::hang_up},
        {"/chunk", head + "Transfer-Encoding: chunked\r\n\r\n7531\r\n" + text + ScriptedHttp::hang_up},
        {"/no-last-chunk",
         head + "Transfer-Encoding: chunked\r\n\r\n" + ScriptedHttp::chunk(text) + ScriptedHttp::hang_up},
        {"/gzip", ScriptedHttp::say("200 OK", cut, "Content-Encoding: gzip\r\n")},
        {"/gzip-of-nothing-like-it", ScriptedHttp::say("200 OK", text, "Content-Encoding: gzip\r\n")},
        {"/unframed", head + "\r\n" + text + ScriptedHttp::hang_up},
        {"/two-lengths", head + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nmmmmm"},
        {"/length-and-chunks", head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n0\r\n\r\n"},
        {"/bad-length", head + "Content-Length: -3\r\n\r\nmmm" + ScriptedHttp::hang_up},
        {"/bad-chunk", head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nmmm\r\n0\r\n\r\n" + ScriptedHttp::hang_up},
        {"/chunk-without-its-end", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmmXX\r\n" + ScriptedHttp::hang_up},
        {"/chunk-with-a-page-in-it", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmm500 oops\r\n\r\n"},
        {"/chunk-of-half-a-number", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n0oops\r\n\r\n"},
        {"/no-chunk-size", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n-0\r\n\r\n"},
        {"/chunk-longer-than-it-says",
         head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmmmm\r\n0\r\n\r\n" + ScriptedHttp::hang_up},
        {"/chunk-of-0zz", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n0zz\r\n\r\n"},
        {"/chunk-of-minus-0", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n-0\r\n\r\n"},
        {"/chunk-of-0x3", head + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nmmm\r\n0\r\n\r\n"},
        {"/chunk-without-size", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nmmm\r\n;x\r\n\r\n"},
        {"/two-transfer-codings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n" +
                                      ScriptedHttp::chunk("mmm") + "0\r\n\r\n"},
        {"/two-codings",
         ScriptedHttp::say("200 OK", gzip(packed), "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n")},
        {"/page", ScriptedHttp::say("200 OK", text, "Content-Type: Text/HTML; charset=utf-8\r\n")},
        {"/unasked-coding", ScriptedHttp::say("200 OK", text, "Content-Encoding: br\r\n")},
    };
    ScriptedHttp server([&](const auto& asked, auto) {
        return std::ranges::find_if(cases, [&](const auto& each) { return asked.target() == each.first; })->second;
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        for (const auto& [target, answer] : cases) {
            Sink sink;
            const auto response = client->stream(get(server, target), sink);
            ASSERT_FALSE(response) << target;
            EXPECT_EQ(response.error().code, Errc::temporary) << target;
        }
    });
}

TEST(HttpClient, SurvivesAnswersThatAreMeantToHurt) {
    const std::string head = "HTTP/1.1 200 OK\r\n";
    const std::string endless(200'000, 'x');
    const std::string answers[] = {
        "HTTP/1.1 200 " + endless + "\r\nContent-Length: 2\r\n\r\nok",
        head + "X: " + endless + "\r\nContent-Length: 2\r\n\r\nok",
        head + endless,
        "HTTP/1.1 20x\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 041 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
        "SSH-2.0-OpenSSH\r\n\r\n",
        std::string("\0\0\0\0\r\n\r\n", 8),
        head + "Transfer-Encoding: chunked\r\n\r\n1;" + endless + "\r\nx\r\n0\r\n\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        head + "Content-Length: 99999999999999999999\r\n\r\nx",
        [] {
            std::string flood;
            for (int i = 0; i < 1000; ++i) flood += "HTTP/1.1 100 Continue\r\n\r\n";
            return flood + ScriptedHttp::say("200 OK", "ok");
        }(),
        ScriptedHttp::say("200 OK", std::string(200'000, 'y')),
        ScriptedHttp::say("200 OK", gzip(std::string(20'000'000, 'z')), "Content-Encoding: gzip\r\n"),
    };
    ScriptedHttp server(
        [&](const auto& asked, auto) { return answers[std::stoul(asked.target().substr(1))] + ScriptedHttp::hang_up; });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        for (std::size_t i = 0; i < std::size(answers); ++i) {
            const auto response = client->send(get(server, "/" + std::to_string(i)));
            ASSERT_FALSE(response) << i;
            EXPECT_EQ(response.error().code, Errc::temporary) << i;
        }
    });
}

TEST(HttpClient, ReadsChunksHoweverTheyAreWritten) {
    ScriptedHttp server([](const auto&, auto) {
        return std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n") +
               "0003;a=\"b\"\r\nabc\r\n00A  \r\n0123456789\r\na\r\n9876543210\r\n00;x\r\n\r\n";
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        Sink sink;
        ASSERT_TRUE(client->stream(get(server), sink));
        EXPECT_EQ(sink.text, "abc01234567899876543210");
        EXPECT_EQ(client->send(get(server))->body, sink.text);
        EXPECT_EQ(server.asked().back().connection, 1u);
    });
}

TEST(HttpClient, KeepsNoConnectionOnWhichABodyMayStillCome) {
    ScriptedHttp server([](const auto& asked, auto) {
        return asked.target() == "/odd" ? std::string("HTTP/1.1 204 Done\r\nContent-Length: 2\r\n\r\n")
                                        : ScriptedHttp::say("200 OK", "ok");
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        EXPECT_EQ(client->send(get(server, "/odd"))->status, 204);
        EXPECT_EQ(client->send(get(server))->body, "ok");
        EXPECT_EQ(server.asked().back().connection, 2u);
    });
}

TEST(HttpClient, PassesOverInterimAnswersAndLongReasons) {
    ScriptedHttp server([](const auto&, auto) {
        return "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 " + std::string(20'000, 'r') +
               "\r\nContent-Length: 2\r\n\r\nok";
    });
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(make_client(fiber)->send(get(server))->body, "ok"); });
}

TEST(HttpClient, RepeatsOnceWhatWasLostUnlessThatCouldHarm) {
    ScriptedHttp server([](const auto& asked, auto number) {
        if (asked.target() == "/always") return std::string();
        return number % 2 == 1 ? std::string() : ScriptedHttp::say("200 OK", "ok");
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        EXPECT_EQ(client->send(get(server))->body, "ok");
        auto request = get(server);
        request.may_repeat = false;
        EXPECT_EQ(client->send(request).error().code, Errc::temporary);
        EXPECT_EQ(server.asked().size(), 3u);
        EXPECT_EQ(client->send(get(server, "/always")).error().code, Errc::temporary);
        EXPECT_EQ(server.asked().size(), 5u);
    });
}

TEST(HttpClient, RepeatsNothingAfterTheFirstOctet) {
    ScriptedHttp server([](const auto&, auto) {
        return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun") + ScriptedHttp::hang_up;
    });
    on_fiber([&](Fiber& fiber) {
        Sink sink;
        EXPECT_EQ(make_client(fiber)->stream(get(server), sink).error().code, Errc::temporary);
        EXPECT_EQ(sink.text, "begun");
    });
    EXPECT_EQ(server.asked().size(), 1u);
}

TEST(HttpClient, StopsWhenTheSinkWantsNoMore) {
    ScriptedHttp server([](const auto&, auto) { return ScriptedHttp::say("200 OK", std::string(1'000'000, 'm')); });
    on_fiber([&](Fiber& fiber) {
        Sink sink(10);
        EXPECT_EQ(make_client(fiber)->stream(get(server), sink).error().code, Errc::sink_closed);
        EXPECT_LT(sink.text.size(), 20'000u);
    });
}

TEST(HttpClient, TakesNoCredentialToAnotherOrigin) {
    ScriptedHttp other([](const auto& asked, auto) {
        return asked.target() == "/closed" ? ScriptedHttp::say("401 No", "") : ScriptedHttp::say("200 OK", "elsewhere");
    });
    ScriptedHttp server([&](const auto& asked, auto) {
        if (asked.target() == "/here") return ScriptedHttp::say("302 F", "", "Location: /there?x\r\n");
        if (asked.target() == "/there?x") return ScriptedHttp::say("200 OK", "there");
        if (asked.target() == "/loop") return ScriptedHttp::say("302 F", "", "Location: /loop\r\n");
        return ScriptedHttp::say("307 F", "", "Location: " + other.origin() + asked.target() + "\r\n");
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        EXPECT_EQ(client->send(get(server, "/here"))->body, "there");
        EXPECT_EQ(client->send(get(server, "/away"))->body, "elsewhere");
        EXPECT_EQ(client->send(get(server, "/closed")).error().code, Errc::permanent);
        EXPECT_EQ(client->send(get(server, "/loop")).error().code, Errc::temporary);
        auto post = get(server, "/away");
        post.method = "POST";
        EXPECT_EQ(client->send(post)->status, 307);
    });
    for (const auto& asked : other.asked()) EXPECT_FALSE(asked.has("Authorization")) << asked.head;
    EXPECT_TRUE(server.asked()[1].has("Authorization"));
}

TEST(HttpClient, RenewsATokenOnceAndRepeats) {
    const auto path = testing::TempDir() + "popgate-token-" + std::to_string(::getpid());
    std::ofstream(path) << "old\n";
    ScriptedHttp server([&](const auto& asked, auto) {
        if (asked.has("Bearer new\r\n")) return ScriptedHttp::say("200 OK", "ok");
        std::ofstream(path) << "new\n";
        return ScriptedHttp::say("401 No", "<html>");
    });
    on_fiber([&](Fiber& fiber) {
        BackendOptions options;
        auto credential = make_credential(*CredentialForm::parse("bearer"), path, {"user", Secret()});
        Client client(fiber, *Upstream::make(options, {}), "user", std::move(*credential));
        EXPECT_EQ(client.send(get(server))->body, "ok");
        EXPECT_EQ(server.asked().size(), 2u);
    });
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(make_client(fiber, {.form = "bearer"})->send(get(server))->status, 401);  // nothing to renew
        EXPECT_EQ(server.asked().size(), 3u);
    });
    std::remove(path.c_str());
}

TEST(HttpClient, WaitsAsTold) {
    ScriptedHttp server([](const auto& asked, auto number) {
        if (asked.target() == "/long") return ScriptedHttp::say("429 Slow", "", "Retry-After: 3600\r\n");
        if (number == 1) return ScriptedHttp::say("429 Slow", "", "Retry-After: 1\r\n");
        if (number == 2) return ScriptedHttp::say("503 Down", "<html>");
        return ScriptedHttp::say("200 OK", "ok");
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber, {.patience = 8s});
        const auto begin = Clock::now();
        EXPECT_EQ(client->send(get(server))->body, "ok");
        EXPECT_GE(Clock::now() - begin, 1s);
        const auto refused = client->send(get(server, "/long"));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::temporary);
        EXPECT_EQ(refused.error().text, "the mail server is asked too much");
        // Nobody asks before that time, whoever it is.
        const auto count = server.asked().size();
        EXPECT_EQ(client->send(get(server)).error().code, Errc::temporary);
        EXPECT_EQ(server.asked().size(), count);
    });
}

TEST(HttpClient, GivesOtherAnswersToItsCaller) {
    ScriptedHttp server([](const auto& asked, auto) {
        return ScriptedHttp::say(asked.target().substr(1) + " X", std::string(200'000, 'e'),
                                 "Content-Type: text/html\r\n");
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber);
        const std::pair<const char*, Errc> cases[] = {
            {"/401", Errc::auth},      {"/403", Errc::permanent}, {"/404", Errc::gone},     {"/410", Errc::gone},
            {"/500", Errc::temporary}, {"/408", Errc::temporary}, {"/400", Errc::permanent}};
        for (const auto& [target, code] : cases) {
            Sink sink;
            const auto response = client->stream(get(server, target), sink);
            ASSERT_TRUE(response) << target << response.error().detail;
            EXPECT_FALSE(response->ok());
            EXPECT_FALSE(response->is_json());
            EXPECT_EQ(response->body.size(), 64u * 1024);
            EXPECT_EQ(sink.text, "");
            EXPECT_EQ(to_error(*response, "it cannot be had").code, code) << target;
        }
    });
}

TEST(HttpClient, GivesUpASilentServer) {
    ScriptedHttp server(
        [](const auto&, auto) { return std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"); });
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(make_client(fiber, {.command_timeout = 300ms})->send(get(server)).error().code, Errc::temporary);
    });
    EXPECT_EQ(server.asked().size(), 1u);
}

TEST(HttpClient, GoesThroughAProxy) {
    ScriptedHttp proxy([](const auto& asked, auto) {
        if (asked.head.starts_with("CONNECT refused.example:443 ")) return ScriptedHttp::say("403 No", "");
        return ScriptedHttp::say("200 OK", asked.target());
    });
    on_fiber([&](Fiber& fiber) {
        const auto client = make_client(fiber, {.proxy = "http://me:secret@127.0.0.1:" + proxy.port()});
        Request request;
        request.url = *parse_url("http://mail.example/x");
        EXPECT_EQ(client->send(request)->body, "http://mail.example:80/x");
        request.url = *parse_url("https://refused.example/x");
        EXPECT_EQ(client->send(request).error().code, Errc::temporary);
    });
    for (const auto& asked : proxy.asked()) EXPECT_TRUE(asked.has("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
    EXPECT_TRUE(proxy.asked()[0].has("Host: mail.example\r\n"));
    // A password for the upstream is not for the proxy's eyes.
    EXPECT_FALSE(proxy.asked()[1].has("\r\nAuthorization:"));
}

}  // namespace
}  // namespace popgate::http
