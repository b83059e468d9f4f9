#include "backends/imap/imap_connection.hpp"
#include "gateway/net/standby.hpp"
#include "tests/support/on_fiber.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace popgate::imap {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using test::on_fiber;

/// An IMAP server on loopback, one connection after another, that takes any password, and the token "good" alone.
class TokenServer {
public:
    TokenServer() {
        thread_ = std::thread([this] { accept(); });
    }
    ~TokenServer() {
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        thread_.join();
    }

    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }

    std::string capabilities = "IMAP4rev1 SASL-IR AUTH=OAUTHBEARER";
    std::string refusal = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)";
    std::atomic<unsigned> connections = 0;

private:
    /// "auth=Bearer good^A^A" ends so, whatever stands before it.
    static bool shows_good(const std::string& base64) {
        return base64.ends_with("YXV0aD1CZWFyZXIgZ29vZAEB") || base64.ends_with("F1dGg9QmVhcmVyIGdvb2QBAQ==") ||
               base64.ends_with("hdXRoPUJlYXJlciBnb29kAQE=");
    }

    void accept() {
        for (;;) {
            boost::system::error_code error;
            tcp::socket socket(context_);
            acceptor_.accept(socket, error);
            if (error) return;
            ++connections;
            serve(socket);
        }
    }

    void serve(tcp::socket& socket) {
        boost::system::error_code error;
        std::string input;
        const auto say = [&](const std::string& text) {
            boost::asio::write(socket, boost::asio::buffer(text + "\r\n"), error);
        };
        const auto next = [&] {
            const auto end = boost::asio::read_until(socket, boost::asio::dynamic_buffer(input), "\r\n", error);
            auto line = error ? std::string() : input.substr(0, end - 2);
            input.erase(0, error ? input.size() : end);
            return line;
        };
        say("* OK [CAPABILITY " + capabilities + "] ready");
        for (auto line = next(); !error; line = next()) {
            const auto tag = line.substr(0, line.find(' '));
            if (line.find(" LOGIN ") != std::string::npos) {
                say(tag + " OK [CAPABILITY IMAP4rev1] Logged in");
            } else if (line.find("AUTHENTICATE") == std::string::npos) {
                say(tag + " OK done");
            } else if (shows_good(line)) {
                say(tag + " OK [CAPABILITY IMAP4rev1] Logged in");
            } else {
                say("+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=");
                EXPECT_EQ(next(), "AQ==");
                say(tag + " " + refusal);
            }
        }
    }

    boost::asio::io_context context_;
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::thread thread_;
};

/// Gives its tokens in turn; renewing goes to the next.
class Tokens final : public TokenSource {
public:
    explicit Tokens(std::vector<std::string> what) : texts(std::move(what)) {}
    Result<Secret> token(Fiber&) override {
        ++asked;
        return Secret(texts.at(place));
    }
    Result<bool> renew(Fiber&, const Secret& refused) override {
        ++renewed;
        EXPECT_EQ(refused.reveal(), texts.at(place));
        if (failure) return *failure;
        if (place + 1 == texts.size()) return false;
        ++place;
        return true;
    }
    std::vector<std::string> texts;
    std::size_t place = 0;
    int asked = 0, renewed = 0;
    std::optional<Error> failure;
};

ImapSettings settings_of(const TokenServer& server) {
    ImapSettings settings;
    settings.host = "127.0.0.1";
    settings.port = server.port();
    settings.implicit_tls = false;
    settings.connect_timeout = settings.command_timeout = 20s;
    return settings;
}

/// What became of it; the connection is closed again.
Status open(Fiber& fiber, const TokenServer& server, const std::shared_ptr<TokenSource>& tokens) {
    auto connection = ImapConnection::open(fiber, settings_of(server), {"ann@example.com", tokens});
    if (!connection) return connection.error();
    (*connection)->close();
    return {};
}

TEST(ImapConnection, EachLoginAsksForATokenAnew) {
    TokenServer server;
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"good"});
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(open(fiber, server, tokens));
        EXPECT_TRUE(open(fiber, server, tokens));
    });
    EXPECT_EQ(tokens->asked, 2);
    EXPECT_EQ(tokens->renewed, 0);
    EXPECT_EQ(server.connections, 2u);
}

TEST(ImapConnection, ARefusedTokenIsRenewedOnce) {
    TokenServer server;
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"expired", "good"});
    on_fiber([&](Fiber& fiber) { EXPECT_TRUE(open(fiber, server, tokens)); });
    EXPECT_EQ(tokens->renewed, 1);
    EXPECT_EQ(server.connections, 2u);
}

TEST(ImapConnection, ASecondRefusalIsFinal) {
    TokenServer server;
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"expired", "worse", "good"});
    on_fiber([&](Fiber& fiber) {
        const auto status = open(fiber, server, tokens);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::auth);
        EXPECT_NE(status.error().detail.find("invalid_token"), std::string::npos) << "for the log";
        EXPECT_EQ(status.error().text.find("invalid_token"), std::string::npos) << "not for the client";
    });
    EXPECT_EQ(tokens->renewed, 1);
    EXPECT_EQ(server.connections, 2u);
}

TEST(ImapConnection, WithoutAnotherTokenTheServerIsNotAskedAgain) {
    TokenServer server;
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"expired"});
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(open(fiber, server, tokens).error().code, Errc::auth); });
    EXPECT_EQ(server.connections, 1u);
}

TEST(ImapConnection, AProviderInTroubleIsNoWrongPassword) {
    TokenServer server;
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"expired", "good"});
    tokens->failure = Error{Errc::temporary, "the provider is down", {}};
    on_fiber([&](Fiber& fiber) {
        const auto status = open(fiber, server, tokens);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::temporary);
        EXPECT_EQ(status.error().text, "the provider is down");
    });
    EXPECT_EQ(server.connections, 1u);
}

TEST(ImapConnection, AThrottledLoginRenewsNothing) {
    TokenServer server;
    server.refusal = "NO [UNAVAILABLE] Temporary authentication failure";
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"any", "good"});
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(open(fiber, server, tokens).error().code, Errc::temporary); });
    EXPECT_EQ(tokens->renewed, 0);
    EXPECT_EQ(server.connections, 1u);
}

TEST(ImapConnection, AServerWithoutTokensIsToldApart) {
    TokenServer server;
    server.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN";
    const auto tokens = std::make_shared<Tokens>(std::vector<std::string>{"good"});
    on_fiber([&](Fiber& fiber) { EXPECT_EQ(open(fiber, server, tokens).error().code, Errc::permanent); });
    EXPECT_EQ(tokens->renewed, 0);
}

std::shared_ptr<const ImapSettings> settings_with_reuse(const TokenServer& server,
                                                        std::chrono::milliseconds reuse_upstream) {
    auto settings = settings_of(server);
    settings.reuse_upstream = reuse_upstream;
    return std::make_shared<const ImapSettings>(std::move(settings));
}

UpstreamLogin with_password(std::string user, const std::string& password, std::string authentication_user = {}) {
    UpstreamLogin login(std::move(user), Secret(password));
    login.authentication_user = std::move(authentication_user);
    return login;
}

/// A session that ends at once.
void visit(Fiber& fiber, const std::shared_ptr<const ImapSettings>& settings, const UpstreamLogin& login) {
    auto connection = ImapConnection::open(fiber, *settings, login);
    ASSERT_TRUE(connection) << connection.error().text;
    ImapConnection::leave(fiber, std::move(*connection), settings);
}

TEST(ImapConnection, OnlyTheVerySameLoginFindsWhatWasKept) {
    TokenServer server;
    const auto settings = settings_with_reuse(server, 1min);
    const auto other_route = settings_with_reuse(server, 1min);
    on_fiber([&](Fiber& fiber) {
        auto& standby = Standby::of(fiber.context());
        standby.begin();
        visit(fiber, settings, with_password("ann", "right"));
        const auto reuse = [&](const UpstreamLogin& login) { return ImapConnection::reuse(fiber, *settings, login); };
        EXPECT_FALSE(reuse(with_password("ann", "wrong")));
        EXPECT_FALSE(reuse(with_password("ann", "")));
        EXPECT_FALSE(reuse(with_password("bob", "right")));
        EXPECT_FALSE(reuse(with_password("Ann", "right"))) << "which a server may tell apart";
        EXPECT_FALSE(reuse(with_password("ann", "right", "master")));
        EXPECT_FALSE(ImapConnection::reuse(fiber, *other_route, with_password("ann", "right")));
        auto connection = reuse(with_password("ann", "right"));
        ASSERT_TRUE(connection);
        EXPECT_TRUE(connection->is_reused());
        EXPECT_FALSE(reuse(with_password("ann", "right"))) << "it is in use";
        ImapConnection::leave(fiber, std::move(connection), settings);
        EXPECT_TRUE(connection = reuse(with_password("ann", "right")));
        EXPECT_TRUE(connection->session().command("NOOP"));
        settings->limiter->set_proved(
            connection->owner().account + std::string(1, '\0') + connection->owner().credential, false);
        ImapConnection::leave(fiber, std::move(connection), settings);
        EXPECT_FALSE(reuse(with_password("ann", "right"))) << "refused elsewhere since";
        standby.end();
    });
    EXPECT_EQ(server.connections, 1u);
}

TEST(ImapConnection, TheTimeOfWhatIsKeptBeginsWithItsLogin) {
    TokenServer server;
    const auto settings = settings_with_reuse(server, 1s);
    on_fiber([&](Fiber& fiber) {
        auto& standby = Standby::of(fiber.context());
        standby.begin();
        const auto login = with_password("ann", "right");
        visit(fiber, settings, login);
        const auto end = Clock::now() + 1s;
        int uses = 0;
        for (auto asked = Clock::now();; asked = Clock::now()) {
            auto connection = ImapConnection::reuse(fiber, *settings, login);
            if (!connection) break;
            EXPECT_LT(asked, end);
            ++uses;
            ImapConnection::leave(fiber, std::move(connection), settings);
            fiber.sleep_until(Clock::now() + 10ms);
        }
        EXPECT_GT(uses, 0);
        visit(fiber, settings, login);
        standby.end();
    });
    EXPECT_EQ(server.connections, 2u);
}

TEST(ImapConnection, NothingIsKeptOfATokenOrWhereNothingMayStay) {
    TokenServer server;
    const auto settings = settings_with_reuse(server, 1min);
    on_fiber([&](Fiber& fiber) {
        visit(fiber, settings, with_password("ann", "right"));
        EXPECT_FALSE(ImapConnection::reuse(fiber, *settings, with_password("ann", "right")));
        auto& standby = Standby::of(fiber.context());
        standby.begin();
        const UpstreamLogin with_token("ann", std::make_shared<Tokens>(std::vector<std::string>{"good"}));
        visit(fiber, settings, with_token);
        EXPECT_FALSE(ImapConnection::reuse(fiber, *settings, with_token));
        EXPECT_FALSE(ImapConnection::reuse(fiber, *settings, with_password("ann", "good")));
        visit(fiber, settings, with_password("ann", "right"));
        standby.end();
        EXPECT_FALSE(ImapConnection::reuse(fiber, *settings, with_password("ann", "right")));
    });
    EXPECT_EQ(server.connections, 3u);
}

}  // namespace
}  // namespace popgate::imap
