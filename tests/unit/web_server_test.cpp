#include "gateway/web/web_server.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>

namespace popgate::web {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

/// A server that repeats what it was asked, and what it answers to raw octets.
struct Served {
    explicit Served(bool behind_proxy = false, std::uint32_t an_address = 32) : server(64, an_address) {
        auto status =
            server.listen("127.0.0.1:0", nullptr, behind_proxy, [](Fiber&, const Request& request) -> Response {
                if (request.path == "/throw") throw std::runtime_error("broken");
                return {200,
                        "text/plain",
                        request.method + " " + request.path + " q=" + request.query.get("q") +
                            " f=" + request.form.get("f") + " from=" + request.address + "\n",
                        {}};
            });
        EXPECT_TRUE(status.has_value());
        server.start();
    }
    tcp::socket connect() {
        tcp::socket socket(context);
        socket.connect(server.local_endpoint(0));
        const timeval patience{30, 0};
        setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return socket;
    }
    static std::string rest(tcp::socket& socket) {
        std::string text;
        boost::system::error_code error;
        asio::read(socket, asio::dynamic_buffer(text), error);
        EXPECT_NE(error, asio::error::would_block) << "the server said no end";
        return text;
    }
    std::string ask(const std::string& octets) {
        auto socket = connect();
        boost::system::error_code ignored;
        asio::write(socket, asio::buffer(octets), ignored);
        return rest(socket);
    }
    asio::io_context context;
    WebServer server;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const std::string last = "Host: x\r\nConnection: close\r\n\r\n";

TEST(WebServer, AnswersAndKeepsTheConnection) {
    Served served;
    const auto text = served.ask("GET /a?q=1%202 HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n" + last);
    EXPECT_TRUE(has(text, "GET /a q=1 2 f= from=127.0.0.1\n")) << text;
    EXPECT_TRUE(has(text, "GET /b")) << text;
}

TEST(WebServer, ReadsForms) {
    Served served;
    const auto text = served.ask(
        "POST /f HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 5\r\n" +
        last + "f=a+b");
    EXPECT_TRUE(has(text, "POST /f q= f=a b")) << text;
    EXPECT_TRUE(has(served.ask("POST /f HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n" + last + "f=a"),
                    "f= from"));
    EXPECT_TRUE(has(served.ask("POST /f HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                               "Transfer-Encoding: chunked\r\n" +
                               last + "3\r\nf=a\r\n0\r\n\r\n"),
                    "f=a from"));
    EXPECT_TRUE(has(served.ask("GET /?a=%zz HTTP/1.1\r\n" + last), " 400 "));
}

TEST(WebServer, HeadHasNoBody) {
    Served served;
    const auto text = served.ask("HEAD / HTTP/1.1\r\n" + last);
    EXPECT_TRUE(text.ends_with("\r\n\r\n")) << text;
    EXPECT_FALSE(has(text, "Content-Length: 0"));
}

TEST(WebServer, WhatIsTooMuchIsRefused) {
    Served served;
    EXPECT_TRUE(has(served.ask("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n" + last), " 431 "));
    EXPECT_TRUE(has(served.ask("POST / HTTP/1.1\r\nContent-Length: 70000\r\n" + last), " 413 "));
    EXPECT_TRUE(has(
        served.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + last + "11170\r\n" + std::string(70'000, 'a')),
        " 413 "));
    EXPECT_TRUE(has(served.ask("rubbish\r\n\r\n"), " 400 "));
    EXPECT_TRUE(
        has(served.ask("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n" + last + "0\r\n\r\n"),
            " 400 "))
        << "two lengths";
}

TEST(WebServer, AHandlerThatThrowsIsAnErrorOfItsRequestAlone) {
    Served served;
    EXPECT_TRUE(has(served.ask("GET /throw HTTP/1.1\r\n" + last), " 500 "));
    EXPECT_TRUE(has(served.ask("GET /a HTTP/1.1\r\n" + last), " 200 "));
}

TEST(WebServer, AnAddressHasSoManyConnections) {
    Served served(false, 2);
    auto first = served.connect();
    auto second = served.connect();
    asio::write(first, asio::buffer(std::string("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")));
    std::array<char, 8> answer;
    asio::read(first, asio::buffer(answer));
    asio::write(second, asio::buffer(std::string("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")));
    asio::read(second, asio::buffer(answer));
    EXPECT_EQ(served.ask("GET /a HTTP/1.1\r\n" + last), "");
}

TEST(WebServer, OnlyBehindAProxyIsTheAddressWhatAHeaderSays) {
    const std::string asked = "GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n" + last;
    EXPECT_TRUE(has(Served(true).ask(asked), "from=198.51.100.7"));
    EXPECT_TRUE(has(Served(false).ask(asked), "from=127.0.0.1"));
    EXPECT_TRUE(has(Served(true).ask("GET / HTTP/1.1\r\nX-Forwarded-For: <b>\r\n" + last), "from=127.0.0.1"));
}

TEST(WebServer, EndsAtOnceWhenNothingIsUnderWay) {
    Served served;
    auto idle = served.connect();
    asio::write(idle, asio::buffer(std::string("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")));
    std::array<char, 8> answer;
    asio::read(idle, asio::buffer(answer));
    auto ended = std::async(std::launch::async, [&] { served.server.stop(60s); });
    EXPECT_EQ(ended.wait_for(20s), std::future_status::ready);
}

TEST(WebServer, AnAddressThatIsTakenIsNamed) {
    Served served;
    WebServer other;
    const auto address = "127.0.0.1:" + std::to_string(served.server.local_endpoint(0).port());
    const auto status = other.listen(address, nullptr, false, {});
    ASSERT_TRUE(status.has_error());
    EXPECT_TRUE(has(status.error().text, address)) << status.error().text;
}

/// A server on a Unix socket that says how it was reached.
struct ServedLocally {
    ServedLocally() : path("/tmp/popgate-web-server-" + std::to_string(getpid())) { std::filesystem::remove(path); }
    ~ServedLocally() { std::filesystem::remove(path); }
    Status listen(WebServer& server) const {
        return server.listen("unix:" + path, nullptr, false, [](Fiber&, const Request& request) -> Response {
            return {200, "text/plain", request.reach == Reach::unix_socket ? "locally" : "otherwise", {}};
        });
    }
    std::string ask() const {
        asio::io_context context;
        asio::local::stream_protocol::socket socket(context);
        boost::system::error_code error;
        socket.connect(path, error);
        if (error) return error.message();
        const timeval patience{30, 0};
        setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        asio::write(socket, asio::buffer("GET / HTTP/1.1\r\n" + last), error);
        std::string text;
        asio::read(socket, asio::dynamic_buffer(text), error);
        EXPECT_NE(error, asio::error::would_block) << "the server said no end";
        return text;
    }
    std::string path;
};

TEST(WebServer, ServesOnAUnixSocket) {
    const ServedLocally place;
    WebServer server;
    ASSERT_TRUE(place.listen(server).has_value());
    EXPECT_EQ(server.local_address(0), "unix:" + place.path);
    const auto mode = std::filesystem::status(place.path).permissions();
    EXPECT_EQ(static_cast<unsigned>(mode), 0660u);
    server.start();
    EXPECT_TRUE(has(place.ask(), "locally"));
    server.stop(0ms);
    EXPECT_FALSE(std::filesystem::exists(place.path));
}

TEST(WebServer, TakesADeadServersSocketAndNoOther) {
    const ServedLocally place;
    {
        asio::io_context context;
        asio::local::stream_protocol::acceptor left(context, place.path);
    }
    ASSERT_TRUE(std::filesystem::is_socket(place.path));
    WebServer server;
    ASSERT_TRUE(place.listen(server).has_value());
    server.start();
    {
        WebServer second;
        const auto status = place.listen(second);
        ASSERT_TRUE(status.has_error());
        EXPECT_TRUE(has(status.error().text, place.path) && has(status.error().text, "in use")) << status.error().text;
    }
    EXPECT_TRUE(has(place.ask(), "locally")) << "the second one must not take the file away";
}

TEST(WebServer, LeavesAFileThatIsNoSocket) {
    const ServedLocally place;
    std::ofstream(place.path) << "mail";
    WebServer server;
    EXPECT_TRUE(place.listen(server).has_error());
    EXPECT_EQ(std::filesystem::file_size(place.path), 4u);
}

TEST(WebServer, LeavesTheFileOfTheServerAfterIt) {
    const ServedLocally place;
    asio::io_context context;
    {
        WebServer server;
        ASSERT_TRUE(place.listen(server).has_value());
        std::filesystem::remove(place.path);
        asio::local::stream_protocol::acceptor next(context, place.path);
    }
    EXPECT_TRUE(std::filesystem::exists(place.path));
}

TEST(WebServer, APathThatIsTooLongIsRefused) {
    WebServer server;
    EXPECT_TRUE(server.listen("unix:/" + std::string(107, 'a'), nullptr, false, {}).has_error());
    EXPECT_TRUE(server.listen("unix:relative", nullptr, false, {}).has_error());
}

TEST(WebServer, KnowsItsReach) {
    WebServer server;
    const auto handler = [](Fiber&, const Request& request) -> Response {
        return {200, "text/plain", request.reach == Reach::loopback ? "loopback" : "network", {}};
    };
    ASSERT_TRUE(server.listen("127.0.0.1:0", nullptr, false, handler).has_value());
    ASSERT_TRUE(server.listen("0.0.0.0:0", nullptr, false, handler).has_value());
    server.start();
    for (const auto& [index, reach] : {std::pair{0u, "loopback"}, std::pair{1u, "network"}}) {
        asio::io_context context;
        tcp::socket socket(context);
        socket.connect({asio::ip::address_v4::loopback(), server.local_endpoint(index).port()});
        asio::write(socket, asio::buffer("GET / HTTP/1.1\r\n" + last));
        EXPECT_TRUE(has(Served::rest(socket), reach));
    }
}

}  // namespace
}  // namespace popgate::web
