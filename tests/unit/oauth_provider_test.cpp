#include "gateway/accounts/secret_file.hpp"
#include "gateway/oauth/jwt.hpp"
#include "gateway/oauth/presets.hpp"
#include "gateway/oauth/provider.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
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
        const std::string canary = "CANARY-20-octets-long";
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

TEST_F(OauthProvider, WhileAProviderIsAwayNobodyWaitsForItsDocument) {
    bool is_away = false;
    int documents = 0;
    answer = [&](const ScriptedHttp::Asked& asked, std::size_t) {
        if (asked.target() != "/.well-known/openid-configuration") return ScriptedHttp::say("200 OK", good_answer);
        ++documents;
        if (is_away) return std::string(ScriptedHttp::hang_up);
        return ScriptedHttp::say(
            "200 OK", R"({"issuer":")" + server.origin() + R"(","token_endpoint":")" + server.origin() + R"(/token"})");
    };
    on_fiber([&](Fiber& fiber) {
        auto discovering = settings();
        discovering.token_url = discovering.device_url = discovering.authorization_url = "";
        discovering.issuer = server.origin();
        auto now = Clock::now();
        const auto made = Provider::make(discovering, "imaps://imap.example.com", [&] { return now; });
        ASSERT_TRUE(made) << made.error().text;
        const auto& asks = *made;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_EQ(documents, 1);
        now += 2h;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_EQ(documents, 2);
        is_away = true;
        now += 2h;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old"))) << "the old one will do";
        const auto after_one = documents;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_EQ(documents, after_one) << "not asked for each login";
        is_away = false;
        now += 2min;
        EXPECT_TRUE(asks->refresh(fiber, Secret("old")));
        EXPECT_EQ(documents, after_one + 1);
    });
}

TEST_F(OauthProvider, ItIsAskedWhoHasAToken) {
    answer = [&](const ScriptedHttp::Asked& asked, std::size_t number) {
        if (asked.target() == "/.well-known/openid-configuration")
            return ScriptedHttp::say("200 OK", R"({"issuer":")" + server.origin() + R"(","token_endpoint":")" +
                                                   server.origin() + R"(/token","userinfo_endpoint":")" +
                                                   server.origin() + R"(/me"})");
        if (number == 2) return ScriptedHttp::say("200 OK", R"({"sub":"42","email":"ann@example.com"})");
        return ScriptedHttp::say("307 Temporary Redirect", "", "Location: /elsewhere\r\n");
    };
    on_fiber([&](Fiber& fiber) {
        auto discovering = settings();
        discovering.token_url = discovering.device_url = discovering.authorization_url = "";
        discovering.issuer = server.origin();
        const auto asks = provider(discovering);
        const auto identity = asks->identify(fiber, Secret("access"));
        ASSERT_TRUE(identity) << identity.error().detail;
        EXPECT_EQ(identity->subject, "42");
        EXPECT_EQ(identity->email, "ann@example.com");
        EXPECT_EQ(identity->issuer, server.origin());
        EXPECT_TRUE(server.asked().back().has("Authorization: Bearer access\r\n"));
        EXPECT_EQ(asks->identify(fiber, Secret("access")).error().kind, Kind::later);
        EXPECT_EQ(server.asked().back().target(), "/me") << "the token goes nowhere else";
        EXPECT_EQ(provider(settings())->identify(fiber, Secret("access")).error().kind, Kind::setup);
    });
}

/// The value of a field of a form.
std::string field(const std::string& form, const std::string& key) {
    const auto at = ('&' + form).find('&' + key + '=');
    if (at == std::string::npos) return {};
    const auto begin = at + key.size() + 1;
    return form.substr(begin, form.find('&', begin) - begin);
}

boost::json::value claims_of(const std::string& token) {
    const auto first = token.find('.') + 1;
    return boost::json::parse(*decode_base64url(token.substr(first, token.rfind('.') - first)));
}

/// RSA keys are slow to make.
class OauthProviderWithKey : public OauthProvider {
protected:
    static void SetUpTestSuite() {
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048U), EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
        X509_set_pubkey(certificate.get(), key.get());
        X509_sign(certificate.get(), key.get(), EVP_sha256());
        const auto text = [](auto write) {
            const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
            write(bio.get());
            char* data = nullptr;
            const auto size = BIO_get_mem_data(bio.get(), &data);
            return std::string(data, static_cast<std::size_t>(size));
        };
        key_pem =
            text([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
        certificate_pem = text([&](BIO* bio) { PEM_write_bio_X509(bio, certificate.get()); });
    }
    OauthProviderWithKey() { std::filesystem::create_directory(folder); }
    ~OauthProviderWithKey() override { std::filesystem::remove_all(folder); }
    std::string file(const std::string& name, const std::string& text) const {
        std::ofstream(folder / name) << text;
        std::filesystem::permissions(folder / name, std::filesystem::perms::owner_read);
        return folder / name;
    }

    static inline std::string key_pem;
    static inline std::string certificate_pem;
    std::filesystem::path folder = std::filesystem::temp_directory_path() / ("provider-" + std::to_string(::getpid()));
};

TEST_F(OauthProviderWithKey, AServiceAccountActsForTheMailboxsOwner) {
    auto google = settings();
    google.grant = Grant::service_account;
    google.client_id = google.client_secret = google.scopes = "";
    google.scopes = "https://mail.google.com/";
    boost::json::object account{{"type", "service_account"},
                                {"client_email", "robot@project.iam.gserviceaccount.com"},
                                {"private_key_id", "key-7"},
                                {"private_key", key_pem}};
    google.service_account_file = file("account.json", boost::json::serialize(account));
    on_fiber([&](Fiber& fiber) {
        const auto tokens = provider(google)->for_application(fiber, "ann@example.com");
        ASSERT_TRUE(tokens) << tokens.error().detail;
        const auto asked = server.asked().back();
        EXPECT_EQ(field(asked.body, "grant_type"), "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        const auto assertion = field(asked.body, "assertion");
        const auto claims = claims_of(assertion);
        EXPECT_EQ(claims.at("iss"), "robot@project.iam.gserviceaccount.com");
        EXPECT_EQ(claims.at("sub"), "ann@example.com");
        EXPECT_EQ(claims.at("scope"), "https://mail.google.com/");
        EXPECT_EQ(claims.at("aud"), boost::json::value(server.origin() + "/token"));
        EXPECT_EQ(claims.at("exp").as_int64() - claims.at("iat").as_int64(), 3600);
        const auto header = boost::json::parse(*decode_base64url(assertion.substr(0, assertion.find('.'))));
        EXPECT_EQ(header.at("alg"), "RS256");
        EXPECT_EQ(header.at("kid"), "key-7");
    });
    google.service_account_file = file("other.json", R"({"client_email":"robot@example.com","private_key":"CANARY"})");
    const auto refused = Provider::make(google, "imaps://imap.example.com");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text.find("service_account_file: "), std::string::npos) << refused.error().text;
    EXPECT_EQ(refused.error().text.find("CANARY"), std::string::npos);
}

TEST_F(OauthProviderWithKey, ACertificateProvesTheClient) {
    auto certified = settings();
    certified.grant = Grant::client_credentials;
    certified.client_secret = "";
    certified.client_certificate = file("client.pem", certificate_pem);
    certified.client_key = file("client.key", key_pem);
    on_fiber([&](Fiber& fiber) {
        const auto asks = provider(certified);
        ASSERT_TRUE(asks->for_application(fiber, "ann@example.com"));
        const auto body = server.asked().back().body;
        EXPECT_EQ(field(body, "grant_type"), "client_credentials");
        EXPECT_EQ(field(body, "client_id"), "client");
        EXPECT_EQ(field(body, "client_assertion_type"),
                  "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer");
        const auto claims = claims_of(field(body, "client_assertion"));
        EXPECT_EQ(claims.at("iss"), "client");
        EXPECT_EQ(claims.at("aud"), boost::json::value(server.origin() + "/token"));
        EXPECT_EQ(field(body, "client_secret"), "");
        answer = [](const ScriptedHttp::Asked& asked, std::size_t) {
            return ScriptedHttp::say("400 Bad Request", R"({"error":"invalid_client","error_description":")" +
                                                            field(asked.body, "client_assertion") + "\"}");
        };
        const auto refused = asks->for_application(fiber, "ann@example.com").error();
        EXPECT_EQ(refused.kind, Kind::setup);
        EXPECT_EQ(refused.detail.find("eyJ"), std::string::npos) << refused.detail;
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
