#include "gateway/accounts/secret_file.hpp"
#include "gateway/oauth/presets.hpp"
#include "gateway/oauth/provider.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>

namespace popgate::oauth {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;
using Kind = Refusal::Kind;

const std::string good_answer = R"({"access_token":"access","expires_in":3600,"refresh_token":"next"})";

class OauthProvider : public testing::Test {
protected:
    std::shared_ptr<const Provider> provider(Settings settings, std::string_view backend = "imaps://imap.example.com") {
        auto made = Provider::make(settings, backend);
        EXPECT_TRUE(made) << made.error().text;
        return made ? std::move(*made) : nullptr;
    }
    Settings settings() const {
        Settings settings;
        settings.name = "example";
        settings.token_url = server.origin() + "/token";
        settings.device_url = server.origin() + "/device";
        settings.authorization_url = server.origin() + "/authorize?x=1";
        settings.client_id = "client";
        settings.client_secret = "s3cret&";
        settings.scopes = "mail offline_access";
        settings.timeout = 2s;
        return settings;
    }

    std::function<std::string(const ScriptedHttp::Asked&, std::size_t)> answer = [](const auto&, std::size_t) {
        return ScriptedHttp::say("200 OK", good_answer, "Content-Type: application/json\r\n");
    };
    ScriptedHttp server{[this](const ScriptedHttp::Asked& asked, std::size_t number) { return answer(asked, number); }};
};

TEST_F(OauthProvider, ARefreshSaysWhatItMust) {
    on_fiber([&](Fiber& fiber) {
        const auto tokens = provider(settings())->refresh(fiber, Secret("old+token"));
        ASSERT_TRUE(tokens) << tokens.error().detail;
        EXPECT_EQ(tokens->access_token.reveal(), "access");
        EXPECT_EQ(tokens->refresh_token.reveal(), "next");
    });
    const auto asked = server.asked();
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(asked[0].target(), "/token");
    EXPECT_TRUE(asked[0].has("Content-Type: application/x-www-form-urlencoded\r\n"));
    EXPECT_EQ(asked[0].body,
              "grant_type=refresh_token&refresh_token=old%2Btoken&client_id=client&client_secret=s3cret%26");
}

TEST_F(OauthProvider, ARefreshThatWasLostIsNotRepeatedHere) {
    // The provider may have taken the old token already: the keeper decides what comes next.
    answer = [](const auto&, std::size_t) { return std::string(ScriptedHttp::hang_up); };
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(provider(settings())->refresh(fiber, Secret("old")).error().kind, Kind::later);
    });
    EXPECT_EQ(server.asked().size(), 1U);
}

TEST_F(OauthProvider, RedirectsAreNotFollowed) {
    answer = [](const auto&, std::size_t) {
        return ScriptedHttp::say("307 Temporary Redirect", "", "Location: /elsewhere\r\n");
    };
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(provider(settings())->refresh(fiber, Secret("old")).error().kind, Kind::later);
    });
    EXPECT_EQ(server.asked().size(), 1U);
}

TEST_F(OauthProvider, AProviderThatIsBusyIsNotWaitedForLong) {
    answer = [](const auto&, std::size_t) {
        return ScriptedHttp::say("429 Too Many Requests", "", "Retry-After: 3000\r\n");
    };
    on_fiber([&](Fiber& fiber) {
        const auto same = provider(settings());
        EXPECT_EQ(same->refresh(fiber, Secret("one")).error().kind, Kind::later);
        EXPECT_EQ(same->refresh(fiber, Secret("one")).error().kind, Kind::later);
        EXPECT_EQ(server.asked().size(), 1U) << "it said for how long";
        answer = [](const auto&, std::size_t) { return ScriptedHttp::say("200 OK", good_answer); };
        EXPECT_TRUE(same->refresh(fiber, Secret("two"))) << "another account is not kept from it";
    });
}

TEST_F(OauthProvider, NoSecretIsInARefusal) {
    answer = [](const ScriptedHttp::Asked& asked, std::size_t number) {
        return ScriptedHttp::say(number == 1 ? "400 Bad Request" : "500 Oops",
                                 R"({"error":"invalid_grant","error_description":")" + asked.body + "\"}");
    };
    on_fiber([&](Fiber& fiber) {
        auto with_canary = settings();
        const std::string canary = "CANARY" + std::string(50, 'c');
        with_canary.client_secret = canary;
        const auto asks = provider(with_canary);
        for (int i = 0; i < 2; ++i) {
            const auto refused = asks->refresh(fiber, Secret(canary)).error();
            EXPECT_EQ((refused.text + refused.detail).find("CANARY"), std::string::npos) << refused.detail;
        }
        EXPECT_TRUE(asks->settings().client_secret.empty()) << "kept where it is wiped";
    });
}

TEST_F(OauthProvider, TheBrowserIsSentWithAllThatIsNeeded) {
    on_fiber([&](Fiber& fiber) {
        const auto asks = provider(settings());
        const auto one = asks->begin_browser_flow(fiber, "http://127.0.0.1:5000/callback", "ann@example.com");
        const auto two = asks->begin_browser_flow(fiber, "http://127.0.0.1:5000/callback", "");
        ASSERT_TRUE(one && two);
        EXPECT_TRUE(one->url.starts_with(server.origin() + "/authorize?x=1&response_type=code&client_id=client&"))
            << one->url;
        for (const auto& part :
             {std::string("redirect_uri=http%3A%2F%2F127.0.0.1%3A5000%2Fcallback"), "state=" + one->state,
              "nonce=" + one->nonce, std::string("code_challenge_method=S256"),
              std::string("login_hint=ann%40example.com"), std::string("scope=mail%20offline_access")})
            EXPECT_NE(one->url.find(part), std::string::npos) << part;
        EXPECT_EQ(one->url.find(one->verifier.reveal()), std::string::npos);
        EXPECT_NE(one->state, two->state);
        EXPECT_NE(one->verifier.reveal(), two->verifier.reveal());

        EXPECT_TRUE(asks->finish_browser_flow(fiber, *one, "the code"));
        EXPECT_EQ(server.asked().back().body,
                  "grant_type=authorization_code&code=the%20code&redirect_uri=http%3A%2F%2F127.0.0.1%3A5000%2Fcallback"
                  "&code_verifier=" +
                      one->verifier.reveal() + "&client_id=client&client_secret=s3cret%26");
    });
}

TEST_F(OauthProvider, ADeviceIsPolled) {
    answer = [](const ScriptedHttp::Asked& asked, std::size_t number) {
        if (asked.target() == "/device")
            return ScriptedHttp::say("200 OK", R"({"device_code":"dev","user_code":"AB-CD","interval":1,)"
                                               R"("verification_uri":"https://id.example/device","expires_in":600})");
        return number == 2 ? ScriptedHttp::say("400 Bad Request", R"({"error":"authorization_pending"})")
                           : ScriptedHttp::say("200 OK", good_answer);
    };
    on_fiber([&](Fiber& fiber) {
        const auto asks = provider(settings());
        EXPECT_TRUE(*asks->offers_device_flow(fiber));
        const auto code = asks->begin_device_flow(fiber);
        ASSERT_TRUE(code);
        EXPECT_EQ(asks->poll_device_flow(fiber, *code).error().kind, Kind::pending);
        EXPECT_TRUE(asks->poll_device_flow(fiber, *code));
        EXPECT_NE(server.asked().back().body.find("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
                                                  "&device_code=dev&client_id=client"),
                  std::string::npos);
    });
}

TEST_F(OauthProvider, DiscoveryIsAskedOnceAndAnOldOneIsBetterThanNone) {
    bool broken = false;
    answer = [&](const ScriptedHttp::Asked& asked, std::size_t) {
        if (asked.target() != "/tenant/.well-known/openid-configuration")
            return ScriptedHttp::say("200 OK", good_answer);
        if (broken) return ScriptedHttp::say("500 Oops", "");
        const auto at = server.origin() + "/tenant";
        return ScriptedHttp::say("200 OK", R"({"issuer":")" + at + R"(","token_endpoint":")" + at + R"(/token"})");
    };
    on_fiber([&](Fiber& fiber) {
        auto discovering = settings();
        discovering.token_url = discovering.device_url = discovering.authorization_url = "";
        discovering.issuer = server.origin() + "/tenant";
        const auto asks = provider(discovering);
        broken = true;
        EXPECT_EQ(asks->refresh(fiber, Secret("old")).error().kind, Kind::later);
        broken = false;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_EQ(server.asked().size(), 4U);
        EXPECT_TRUE(server.asked().back().has("Authorization: Basic ")) << "the standard, where nothing is said";
        EXPECT_EQ(server.asked().back().body.find("s3cret"), std::string::npos);
        EXPECT_FALSE(*asks->offers_device_flow(fiber));
        EXPECT_EQ(asks->begin_device_flow(fiber).error().kind, Kind::setup);
    });
}

TEST(OauthPresets, ScopesAreThoseOfTheBackend) {
    Settings settings;
    settings.provider = "microsoft";
    EXPECT_EQ(scopes_for(settings, "imaps"), "https://outlook.office.com/IMAP.AccessAsUser.All offline_access");
    EXPECT_EQ(scopes_for(settings, "graph"), "https://graph.microsoft.com/Mail.ReadWrite offline_access");
    EXPECT_EQ(sign_in_scopes(settings, "a offline_access"), "a offline_access openid email profile");
    settings.grant = Grant::client_credentials;
    EXPECT_EQ(scopes_for(settings, "graph"), "https://graph.microsoft.com/.default");
    settings = {};
    settings.provider = "google";
    EXPECT_EQ(scopes_for(settings, "imaps"), "https://mail.google.com/");
    EXPECT_EQ(scopes_for(settings, "gmail"), "https://mail.google.com/");
    settings.scopes = "own";
    EXPECT_EQ(scopes_for(settings, "gmail"), "own");
    settings.tenant = "corp.example";
    settings.provider = "microsoft";
    EXPECT_EQ(known_endpoints(settings)->token, "https://login.microsoftonline.com/corp.example/oauth2/v2.0/token");
}

std::set<std::string> wrong_keys(const std::function<void(Settings&)>& change) {
    Settings settings;
    settings.name = "name";
    settings.provider = "microsoft";
    settings.client_id = "id";
    change(settings);
    std::set<std::string> keys;
    for (const auto& problem : check(settings)) keys.insert(problem.key);
    return keys;
}

TEST(OauthSettings, EachFaultIsToldUnderItsKey) {
    using Keys = std::set<std::string>;
    EXPECT_EQ(wrong_keys([](Settings&) {}), Keys());
    EXPECT_EQ(wrong_keys([](Settings& s) { s.name = ""; }), Keys{"name"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.provider = "yahoo"; }), Keys{"provider"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.provider = ""; }), Keys{"provider"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.client_id = ""; }), Keys{"client_id"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.tenant = "a/../b"; }), Keys{"tenant"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.issuer = "https://id.example"; }), Keys{"issuer"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.provider = "", s.issuer = "http://id.example"; }), Keys{"issuer"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.provider = "", s.issuer = "http://127.0.0.1:1"; }), Keys());
    EXPECT_EQ(wrong_keys([](Settings& s) { s.client_certificate = "c"; }), Keys{"client_key"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.client_secret = "a", s.client_secret_file = "b"; }),
              Keys{"client_secret_file"});
    EXPECT_EQ(wrong_keys([](Settings& s) { s.grant = Grant::client_credentials; }),
              (Keys{"tenant", "client_secret_file"}));
    EXPECT_EQ(wrong_keys([](Settings& s) { s.grant = Grant::service_account; }),
              (Keys{"service_account_file", "grant"}));
    EXPECT_EQ(wrong_keys([](Settings& s) {
                  s.provider = "google", s.grant = Grant::service_account, s.service_account_file = "f",
                  s.client_id = "";
              }),
              Keys());
    EXPECT_EQ(wrong_keys([](Settings& s) { s.service_account_file = "f"; }), Keys{"service_account_file"});
}

TEST(SecretFile, IsReadWithoutItsLastLineEnd) {
    const auto folder = std::filesystem::temp_directory_path() / ("secret-file-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    const auto file = (folder / "name").string();
    std::ofstream(file) << "two\nlines\r\n";
    EXPECT_EQ(read_secret_file(file)->reveal(), "two\nlines");
    ::setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
    EXPECT_EQ(read_secret_file("credential:name")->reveal(), "two\nlines");
    EXPECT_FALSE(read_secret_file("credential:../name"));
    EXPECT_FALSE(read_secret_file("credential:"));
    ::unsetenv("CREDENTIALS_DIRECTORY");
    EXPECT_FALSE(read_secret_file("credential:name"));
    std::ofstream(file) << "\n";
    EXPECT_NE(read_secret_file(file).error().text.find(file + ": is empty"), std::string::npos);
    std::ofstream(file) << std::string(70'000, 'x');
    EXPECT_FALSE(read_secret_file(file));
    EXPECT_FALSE(read_secret_file((folder / "none").string()));
    EXPECT_FALSE(read_secret_file(folder.string()));
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace popgate::oauth
