#include "gateway/accounts/authenticator.hpp"

#include "gateway/accounts/password_file.hpp"
#include "gateway/accounts/vault.hpp"
#include "tests/support/memory_state_store.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace popgate {
namespace {

using namespace std::chrono_literals;
using Method = Proof::Method;
using test::ScriptedHttp;

constexpr auto challenge = "<1896.697170952@dbc.mtview.ca.us>";
constexpr auto apop_of_tanstaaf = "c4c9334bac560ecc979e58001b3e22fb";

/// Routes to Maildirs, which take whoever is let in, unless a test says otherwise.
class AuthenticatorTest : public testing::Test {
protected:
    AuthenticatorTest() {
        std::filesystem::remove_all(directory);
        std::filesystem::create_directories(directory);
        EXPECT_TRUE(vault.create());
        config.login.longest_delay = 0ms;  // a refusal takes its second all the same
    }
    ~AuthenticatorTest() override { std::filesystem::remove_all(directory); }

    RouteConfig& route(ClientAuth auth, const std::string& match = "*") {
        auto& made = config.routes.emplace_back();
        made.match = match;
        made.backend.url = "maildir:" + (directory / "%u").string();
        made.auth = auth;
        return made;
    }

    void add_mailbox(const std::string& user) {
        for (const auto* folder : {"cur", "new", "tmp"}) std::filesystem::create_directories(directory / user / folder);
    }

    std::string file(const std::string& name, const std::string& text) {
        std::ofstream(directory / name) << text;
        return (directory / name).string();
    }

    void change(Fiber& fiber, const std::string& user, const std::function<void(Account&)>& how) {
        const auto status = accounts.change_account(fiber, user, [&](Account& account) {
            how(account);
            return true;
        });
        ASSERT_TRUE(status) << status.error().text;
    }

    Authenticator& authenticator() {
        if (!made_) {
            auto router = Router::make(config);
            if (!router) throw std::runtime_error(router.error().text);
            router_.emplace(std::move(*router));
            made_ = std::make_unique<Authenticator>(config, *router_, accounts, tokens, history);
        }
        return *made_;
    }

    Result<LoggedIn> log_in(Fiber& fiber, const Proof& proof, const ClientInfo& client = {"192.0.2.1", {}, 1}) {
        return authenticator().log_in(fiber, proof, client);
    }

    static Proof password(std::string user, std::string_view secret) {
        return {Method::password, std::move(user), Secret(secret), {}};
    }

    static void expect_refused(const Result<LoggedIn>& result, const std::string& why) {
        ASSERT_FALSE(result) << why;
        EXPECT_EQ(result.error().code, Errc::auth) << result.error().text;
        EXPECT_EQ(result.error().text, "wrong user name or password");
        EXPECT_NE(result.error().detail.find(why), std::string::npos) << result.error().detail;
    }

    std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("popgate-authenticator-test-" + std::to_string(::getpid()));
    Config config;
    test::MemoryStateStore store;
    Vault vault{(directory / "secrets.key").string()};
    AccountStore accounts{store, vault};
    TokenKeeper tokens{store, accounts, [] {
                           TokenKeeper::Options options;
                           options.now = [] { return std::int64_t{1'790'000'000}; };
                           return options;
                       }()};

private:
    std::optional<Router> router_;
    LoginHistory history;
    std::unique_ptr<Authenticator> made_;
};

TEST_F(AuthenticatorTest, AnAppPasswordLetsInWhereverTheAccountsPasswordIsStored) {
    auto& to = route(ClientAuth::app_passwords);
    to.upstream_auth = UpstreamAuth::stored;
    to.upstream_user = "%n@upstream.example";
    add_mailbox("ann@upstream.example");
    test::on_fiber([&](Fiber& fiber) {
        Secret given;
        change(fiber, "ann@x", [&](Account& account) {
            auto made = make_app_password("phone", 1);
            given = std::move(made.password);
            account.app_passwords.push_back(std::move(made.kept));
            account.upstream_password = Secret("stored");
        });
        auto entered = log_in(fiber, password("ann@x", given.reveal()));
        ASSERT_TRUE(entered) << entered.error().text;
        const auto& admitted = entered->admitted;
        EXPECT_EQ(admitted.user, "ann@x");
        EXPECT_EQ(admitted.login.user, "ann@upstream.example");
        EXPECT_EQ(admitted.login.password.reveal(), "stored");
        EXPECT_FALSE(admitted.is_clients_own);
        const auto kept = accounts.account(fiber, "ann@x");
        ASSERT_TRUE(kept && *kept);
        EXPECT_EQ((*kept)->app_passwords.front().last_address, "192.0.2.1")
            << "when and from where it was used is kept";
        EXPECT_GT((*kept)->app_passwords.front().last_used, 0);

        expect_refused(log_in(fiber, password("ann@x", "stored")), "no such app password");
        expect_refused(log_in(fiber, password("bob@x", given.reveal())), "no such account");
    });
}

TEST_F(AuthenticatorTest, TheAccountsNameUpstreamCountsBeforeTheRoutes) {
    auto& to = route(ClientAuth::app_passwords);
    to.upstream_auth = UpstreamAuth::stored;
    to.upstream_user = "%n@upstream.example";
    test::on_fiber([&](Fiber& fiber) {
        change(fiber, "ann@x", [](Account& account) {
            account.upstream_user = "box-7";
            account.upstream_password = Secret("stored");
        });
        const auto admitted = authenticator().vouch(fiber, "ann@x", Secret());
        ASSERT_TRUE(admitted);
        EXPECT_EQ(admitted->login.user, "box-7");
        EXPECT_EQ(admitted->login.password.reveal(), "stored");
    });
}

TEST_F(AuthenticatorTest, WithoutWhatTheUpstreamWantsNoOtherPasswordWouldHelp) {
    auto& to = route(ClientAuth::password_file);
    to.upstream_auth = UpstreamAuth::stored;
    to.password_file = file("passwords", "ann:" + hash_password("right") + "\n");
    test::on_fiber([&](Fiber& fiber) {
        const auto none = log_in(fiber, password("ann", "right"));
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error().code, Errc::permanent);
    });
}

TEST_F(AuthenticatorTest, AMasterUserOpensWithItsOwnPassword) {
    auto& to = route(ClientAuth::password_file);
    to.password_file = file("passwords", "ann:" + hash_password("right") + "\n");
    to.upstream_auth = UpstreamAuth::master;
    to.master_user = "gateway";
    to.master_password_file = file("master", "m4ster\n");
    add_mailbox("ann");
    test::on_fiber([&](Fiber& fiber) {
        const auto entered = log_in(fiber, password("ann", "right"));
        ASSERT_TRUE(entered) << entered.error().text;
        EXPECT_EQ(entered->admitted.login.user, "ann");
        EXPECT_EQ(entered->admitted.login.authentication_user, "gateway");
        EXPECT_EQ(entered->admitted.login.password.reveal(), "m4ster");
        std::filesystem::remove(to.master_password_file);
        const auto none = log_in(fiber, password("ann", "right"));
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error().code, Errc::permanent);
    });
}

TEST_F(AuthenticatorTest, ApopAndCramMd5GoByTheSharedSecret) {
    route(ClientAuth::app_passwords);
    add_mailbox("ann");
    test::on_fiber([&](Fiber& fiber) {
        change(fiber, "ann", [](Account& account) { account.shared_secret = Secret("tanstaaf"); });
        change(fiber, "bob", [](Account& account) { account.upstream_password = Secret("tanstaaf"); });
        EXPECT_TRUE(log_in(fiber, {Method::apop, "ann", Secret(apop_of_tanstaaf), challenge}));
        expect_refused(log_in(fiber, {Method::apop, "ann", Secret(apop_of_tanstaaf), "<other@challenge>"}),
                       "shared secret");
        expect_refused(
            log_in(fiber, {Method::cram_md5, "ann", Secret(apop_of_tanstaaf), challenge}, {"192.0.2.2", {}, 1}),
            "shared secret");
        expect_refused(log_in(fiber, {Method::apop, "bob", Secret(apop_of_tanstaaf), challenge}), "shared secret");
        expect_refused(log_in(fiber, {Method::apop, "nobody", Secret(apop_of_tanstaaf), challenge}), "shared secret");
    });
}

TEST_F(AuthenticatorTest, ASharedSecretOpensNoUpstreamThatWantsTheClientsPassword) {
    route(ClientAuth::passthrough);
    test::on_fiber([&](Fiber& fiber) {
        change(fiber, "ann", [](Account& account) { account.shared_secret = Secret("tanstaaf"); });
        expect_refused(log_in(fiber, {Method::apop, "ann", Secret(apop_of_tanstaaf), challenge}), "no shared secrets");
    });
}

TEST_F(AuthenticatorTest, ATokenGoesUpstreamOnTokenRoutesAlone) {
    route(ClientAuth::oauth, "token-*");
    route(ClientAuth::app_passwords);
    add_mailbox("token-ann");
    test::on_fiber([&](Fiber& fiber) {
        const auto entered = log_in(fiber, {Method::token, "token-ann", Secret("tok3n"), {}});
        ASSERT_TRUE(entered) << entered.error().text;
        auto& source = entered->admitted.login.tokens;
        ASSERT_TRUE(source);
        EXPECT_EQ(source->token(fiber)->reveal(), "tok3n");
        EXPECT_FALSE(*source->renew(fiber, Secret("tok3n")));
        EXPECT_TRUE(entered->admitted.is_clients_own);
        EXPECT_TRUE(entered->admitted.login.password.reveal().empty());

        expect_refused(log_in(fiber, password("token-ann", "tok3n!")), "tokens only");
        expect_refused(log_in(fiber, {Method::token, "ann", Secret("tok3n"), {}}), "no tokens");
    });
}

TEST_F(AuthenticatorTest, ACertificateMustNameTheUser) {
    route(ClientAuth::certificate, "cert-*");
    route(ClientAuth::app_passwords);
    for (const auto* user : {"cert-ann", "ann"}) add_mailbox(user);
    const ClientInfo shown{"192.0.2.1", {"cert-ann", "ANN"}, 1};
    test::on_fiber([&](Fiber& fiber) {
        // A password that came without the certificate is not what was wrong.
        expect_refused(log_in(fiber, password("cert-ann", "any")), "no certificate");
        EXPECT_TRUE(log_in(fiber, password("cert-ann", "any"), shown));
        EXPECT_TRUE(log_in(fiber, {Method::certificate, "cert-ann", {}, {}}, shown));
        const auto unnamed = log_in(fiber, {Method::certificate, "", {}, {}}, shown);
        ASSERT_TRUE(unnamed) << unnamed.error().text;
        EXPECT_EQ(unnamed->admitted.user, "cert-ann");
        expect_refused(log_in(fiber, {Method::certificate, "cert-bob", {}, {}}, shown), "no certificate");
        expect_refused(log_in(fiber, {Method::certificate, "", {}, {}}), "no ");
        expect_refused(log_in(fiber, {Method::certificate, "ann", {}, {}}, shown), "takes no certificates");
    });
}

TEST_F(AuthenticatorTest, ATrustedHostNeedsAnUpstreamThatWantsNoPassword) {
    route(ClientAuth::app_passwords, "local-*");
    for (const auto& [match, auth] :
         {std::pair{"pass-*", ClientAuth::passthrough}, {"token-*", ClientAuth::oauth}, {"hook-*", ClientAuth::http}}) {
        auto& remote = route(auth, match);
        remote.backend.url = "imap://127.0.0.1:9";
        remote.auth_url = "http://127.0.0.1:9/";
    }
    add_mailbox("local-ann");
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(log_in(fiber, {Method::trusted_host, "local-ann", {}, {}}));
        for (const auto* user : {"pass-ann", "token-ann", "hook-ann"})
            expect_refused(log_in(fiber, {Method::trusted_host, user, {}, {}}), "RPOP");
    });
}

TEST_F(AuthenticatorTest, TheWebHookIsToldTheCanonicalNameAndMayNameAnother) {
    std::string said = "Auth-Status: OK\r\nAuth-User: box-7\r\nAuth-Pass: theirs\r\n";
    ScriptedHttp server([&](const auto&, std::size_t) { return ScriptedHttp::say("200 OK", "", said); });
    config.login.default_domain = "example.com";
    route(ClientAuth::http).auth_url = server.origin() + "/auth";
    add_mailbox("box-7");
    test::on_fiber([&](Fiber& fiber) {
        const auto entered = log_in(fiber, password("ann", "hers"));
        ASSERT_TRUE(entered) << entered.error().text << entered.error().detail;
        EXPECT_EQ(entered->admitted.user, "ann@example.com");
        EXPECT_EQ(entered->admitted.login.user, "box-7");
        EXPECT_EQ(entered->admitted.login.password.reveal(), "theirs");
        EXPECT_TRUE(server.asked().front().has("Auth-User: ann@example.com\r\n"));
        said = "Auth-Status: Invalid login or password\r\n";
        expect_refused(log_in(fiber, password("ann", "wrong")), "Invalid login");
        const auto asked = server.asked().size();
        expect_refused(log_in(fiber, password("ann", "wrong"), {"192.0.2.7", {}, 1}), "the same password as just now");
        EXPECT_EQ(server.asked().size(), asked) << "not asked about what it has just refused";
        said = "Auth-Status: temporary\r\n";
        const auto later = log_in(fiber, password("ann", "another"));
        ASSERT_FALSE(later);
        EXPECT_EQ(later.error().code, Errc::temporary);
        said = "Auth-Status: OK\r\nAuth-User: box-7\r\n";
        EXPECT_TRUE(log_in(fiber, password("ann", "another"))) << "trouble is no refusal";
    });
}

TEST_F(AuthenticatorTest, TheWebHookMustGiveThePasswordThatTheClientDidNotShow) {
    std::string said = "Auth-Status: OK\r\n";
    ScriptedHttp server([&](const auto&, std::size_t) { return ScriptedHttp::say("200 OK", "", said); });
    auto& to = route(ClientAuth::http);
    to.auth_url = server.origin() + "/auth";
    to.backend.url = "imap://127.0.0.1:9";
    test::on_fiber([&](Fiber& fiber) {
        const auto without = log_in(fiber, {Method::apop, "ann", Secret(apop_of_tanstaaf), challenge});
        ASSERT_FALSE(without);
        EXPECT_EQ(without.error().code, Errc::permanent) << without.error().text;
        const auto other_name = log_in(fiber, {Method::certificate, "bob", {}, {}}, {"192.0.2.1", {"ann"}, 1});
        expect_refused(other_name, "no certificate");
        EXPECT_EQ(server.asked().size(), 1u) << "a name that the certificate does not hold is not even asked about";
    });
}

TEST_F(AuthenticatorTest, AnUnknownUserAndAWrongPasswordAreToldTheSameAtTheSameTime) {
    route(ClientAuth::password_file, "*@x").password_file = file("passwords", "ann@x:" + hash_password("right") + "\n");
    route(ClientAuth::app_passwords, "*@y");
    test::on_fiber([&](Fiber& fiber) {
        change(fiber, "ann@y",
               [](Account& account) { account.app_passwords.push_back(make_app_password("phone", 1).kept); });
        for (const auto* user : {"ann@x", "bob@x", "ann@y", "bob@y", "ann@nowhere"}) {
            const auto asked = Clock::now();
            expect_refused(log_in(fiber, password(user, "wrong"), {std::string("192.0.2.") + user[4], {}, 1}), "");
            EXPECT_GE(Clock::now() - asked, 1s) << user;
        }
    });
}

TEST_F(AuthenticatorTest, ADamagedAccountIsNoWrongPassword) {
    route(ClientAuth::app_passwords);
    test::on_fiber([&](Fiber& fiber) {
        change(fiber, "ann", [](Account& account) { account.shared_secret = Secret("tanstaaf"); });
        ASSERT_EQ(store.records.size(), 1u);
        store.records.begin()->second.octets.back() ^= 1;
        const auto damaged = log_in(fiber, password("ann", "any"));
        ASSERT_FALSE(damaged);
        EXPECT_EQ(damaged.error().code, Errc::permanent);
        store.failure = Error{Errc::temporary, "the store is busy", {}};
        const auto busy = log_in(fiber, password("ann", "other"));
        ASSERT_FALSE(busy);
        EXPECT_EQ(busy.error().code, Errc::temporary);
    });
}

}  // namespace
}  // namespace popgate
