#include "gateway/oauth/jwt.hpp"
#include "gateway/oauth/wire.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace popgate::oauth {
namespace {

using Kind = Refusal::Kind;
using namespace std::chrono_literals;

Refusal refusal(int status, std::string_view body, Asked asked = Asked::refresh) {
    const auto answer = read_tokens({status, body}, asked, "Example");
    EXPECT_FALSE(answer) << body;
    return answer ? Refusal{} : answer.error();
}

TEST(OauthForm, IsEncodedAndLeavesOutWhatIsEmpty) {
    EXPECT_EQ(encode_form({{"a", "x y&=+/ñ"}, {"none", ""}, {"b", "~._-"}}), "a=x%20y%26%3D%2B%2F%C3%B1&b=~._-");
    EXPECT_EQ(encode_form({}), "");
}

TEST(OauthTokens, GoogleAndMicrosoftAnswersAreRead) {
    const auto google = read_tokens({200, R"({
  "access_token": "ya29.a0AfH6SM",
  "expires_in": 3599,
  "scope": "https://mail.google.com/",
  "token_type": "Bearer"
})"},
                                    Asked::refresh, "Google");
    ASSERT_TRUE(google);
    EXPECT_EQ(google->access_token.reveal(), "ya29.a0AfH6SM");
    EXPECT_EQ(google->refresh_token.reveal(), "") << "the old one stays";
    EXPECT_EQ(google->lifetime, 3599s);
    EXPECT_EQ(google->scope, "https://mail.google.com/");

    const auto microsoft = read_tokens(
        {200,
         R"({"token_type":"Bearer","scope":"https://outlook.office.com/IMAP.AccessAsUser.All","expires_in":"4199",)"
         R"("ext_expires_in":4199,"access_token":"EwBw.x","refresh_token":"0.AX.new"})"},
        Asked::refresh, "Microsoft");
    ASSERT_TRUE(microsoft);
    EXPECT_EQ(microsoft->refresh_token.reveal(), "0.AX.new");
    EXPECT_EQ(microsoft->lifetime, 4199s) << "a number in quotes";
}

TEST(OauthTokens, LifetimesAreWithinBounds) {
    const auto lifetime = [](const std::string& text) {
        const auto tokens =
            read_tokens({200, R"({"access_token":"a","expires_in":)" + text + "}"}, Asked::refresh, "Example");
        return tokens ? tokens->lifetime : 0s;
    };
    EXPECT_EQ(lifetime("0"), 3600s);
    EXPECT_EQ(lifetime("-5"), 3600s);
    EXPECT_EQ(lifetime("null"), 3600s);
    EXPECT_EQ(lifetime("\"soon\""), 3600s);
    EXPECT_EQ(lifetime("18446744073709551615"), 24h * 365);
    EXPECT_EQ(lifetime("7200"), 7200s);
}

TEST(OauthTokens, OnlyAPersonCanHelp) {
    for (
        const auto* body :
        {R"({"error": "invalid_grant", "error_description": "Token has been expired or revoked."})",
         R"({"error":"invalid_grant","error_description":"AADSTS70008: The refresh token has expired due to inactivity.",)"
         R"("error_codes":[70008],"timestamp":"2026-11-28 09:00:00Z","trace_id":"11111111-2222-3333-4444-555555555555",)"
         R"("correlation_id":"aaaaaaaa-2222-3333-4444-555555555555","error_uri":"https://login.microsoftonline.com/error?code=70008"})",
         R"({"error":"interaction_required","error_description":"AADSTS50076: multi-factor","suberror":"basic_action"})",
         R"({"error":"consent_required"})", R"({"error":"login_required"})", R"({"error":"access_denied"})"})
        EXPECT_EQ(refusal(400, body).kind, Kind::sign_in) << body;
    EXPECT_EQ(refusal(401, R"({"error":"invalid_grant"})").kind, Kind::sign_in);
    EXPECT_EQ(refusal(400, R"({"error":"invalid_grant"})").code, "invalid_grant");
}

TEST(OauthTokens, TroubleIsNoVerdict) {
    const std::string html = "<!DOCTYPE html><html><title>Error</title></html>";
    for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
             {500, R"({"error":"invalid_grant"})"},
             {503, R"({"error":"invalid_grant"})"},
             {429, R"({"error":"invalid_grant"})"},
             {400, R"({"error":"temporarily_unavailable"})"},
             {400, R"({"error":"server_error"})"},
             {400, R"({"error":"slow_down"})"},
             {400, R"({"error":"never_heard_of"})"},
             {400, R"({"error":{"code":400}})"},
             {400, ""},
             {400, "[]"},
             {404, html},
             {403, html},
             {502, html},
             {200, html},
             {200, ""},
             {200, "{"},
             {200, R"({"access_token":""})"},
             {200, R"({"access_token":null})"},
             {200, R"({"access_token":{"a":1}})"},
             {200, R"({"access_token":42})"},
             {200, R"({"access_token":"a","refresh_token":7})"},
             {200, R"({"access_token":"a","refresh_token":false})"},
             {200, R"({"access_token":"a","refresh_token":["b"]})"},
             {200, R"({"access_token":"a\r\nX: y"})"},
             {200, R"({"access_token":"a b"})"},
             {200, R"({"access_token":"a","refresh_token":"b\u0001"})"},
             {204, ""},
             {302, ""},
             {408, ""},
         })
        EXPECT_EQ(refusal(status, body).kind, Kind::later) << status << ' ' << body;
    const auto told = read_tokens({429, "", 17s}, Asked::refresh, "Example");
    EXPECT_EQ(told.error().wait, 17s);
}

TEST(OauthTokens, TheAdministratorMustHelp) {
    for (const auto* code : {"invalid_client", "invalid_scope", "invalid_request", "unsupported_grant_type"})
        EXPECT_EQ(refusal(400, R"({"error":")" + std::string(code) + "\"}").kind, Kind::setup) << code;
    EXPECT_EQ(refusal(401, R"({"error":"invalid_client","error_description":"AADSTS7000215"})").kind, Kind::setup);
    // Of a service account nobody can sign in.
    EXPECT_EQ(
        refusal(400, R"({"error":"invalid_grant","error_description":"Invalid email or User ID"})", Asked::other).kind,
        Kind::setup);
    for (const auto asked : {Asked::refresh, Asked::other})
        EXPECT_EQ(refusal(401, R"({"error":"unauthorized_client"})", asked).kind, Kind::setup);
    EXPECT_EQ(refusal(200, R"({"error":"invalid_scope"})").kind, Kind::setup) << "some say it with 200";
}

TEST(OauthTokens, ADeviceIsWaitedForOrGivenUp) {
    const auto poll = [](const std::string& code) {
        return refusal(400, R"({"error":")" + code + "\"}", Asked::device_poll);
    };
    EXPECT_EQ(poll("authorization_pending").kind, Kind::pending);
    EXPECT_FALSE(poll("authorization_pending").wait);
    EXPECT_EQ(poll("slow_down").kind, Kind::pending);
    EXPECT_EQ(poll("slow_down").wait, 5s);
    for (const auto* code : {"access_denied", "authorization_declined", "expired_token", "bad_verification_code"})
        EXPECT_EQ(poll(code).kind, Kind::declined) << code;
    EXPECT_EQ(refusal(400, R"({"error":"invalid_grant"})", Asked::code).kind, Kind::declined);
}

TEST(OauthTokens, ARefusalHoldsNoSecret) {
    const std::string canary = "CANARY" + std::string(60, 'x');
    for (const auto& said :
         {refusal(400, R"({"error":"invalid_grant","error_description":"bad token )" + canary + "\"}"),
          refusal(500, "you sent " + canary), refusal(400, canary), refusal(200, canary),
          refusal(400, R"({"error":")" + canary + "\"}")}) {
        EXPECT_EQ((said.text + said.detail + said.code).find("CANARY"), std::string::npos) << said.detail;
        EXPECT_LT(said.detail.size(), 1200U);
    }
    const auto with_lines = refusal(400, R"({"error":"invalid_grant","error_description":"one\r\ntwo"})");
    EXPECT_EQ(with_lines.detail.find_first_of("\r\n"), std::string::npos);
    EXPECT_NE(
        refusal(400, R"({"error":"invalid_grant","error_description":"trace 11111111-2222-3333-4444-555555555555"})")
            .detail.find("11111111-2222"),
        std::string::npos)
        << "what a provider's support asks for stays";
}

TEST(OauthTokens, SecretsOfFewSignsAreStruckInTime) {
    std::vector<Secret> sent;
    for (const auto* secret : {"*", "***", "", "a", "aab"}) sent.emplace_back(secret);
    const std::string flood(256 * 1024, 'a');
    EXPECT_EQ(read_tokens({400, flood, {}, sent}, Asked::refresh, "Example").error().kind, Kind::later);
    const auto said = read_tokens({400, R"({"error":"invalid_grant","error_description":"* aab ***"})", {}, sent},
                                  Asked::refresh, "Example")
                          .error();
    EXPECT_EQ(said.detail.find("aab"), std::string::npos) << said.detail;
}

TEST(OauthTokens, WhatWasSentIsNeverRepeated) {
    std::vector<Secret> sent;
    sent.emplace_back("short/CANARY");
    for (const auto* body : {R"({"error":"invalid_grant","error_description":"no such token: short/CANARY."})",
                             R"({"error":"invalid_grant","error_description":"no such token: short\/CANARY."})",
                             R"({"error":"invalid_grant","error_description":"no such token: short%2FCANARY."})",
                             R"({"error":"short/CANARY"})", "<html>token=short/CANARY</html>"})
        for (const int status : {400, 500, 200}) {
            const auto said = read_tokens({status, body, {}, sent}, Asked::refresh, "Example").error();
            EXPECT_EQ((said.text + said.detail + said.code).find("CANARY"), std::string::npos) << said.detail;
        }
}

TEST(OauthDevice, AnswersAreReadWithDefaults) {
    const auto code = read_device_code(
        {200, R"({"user_code":"ABCD-EFGH","device_code":"dev","verification_uri":"https://microsoft.com/devicelogin",)"
              R"("expires_in":900,"message":"To sign in, use a web browser"})"},
        "Microsoft");
    ASSERT_TRUE(code);
    EXPECT_EQ(code->interval, 5s);
    EXPECT_EQ(code->user_code, "ABCD-EFGH");
    EXPECT_EQ(code->complete_verification_url, "");
    for (const auto* body :
         {R"({"user_code":"A","device_code":"","verification_uri":"https://x.example/"})",
          R"({"user_code":"","device_code":"d","verification_uri":"https://x.example/"})",
          R"({"user_code":"A","device_code":"d","verification_uri":"javascript:alert"})",
          R"({"user_code":"A","device_code":"d","verification_uri":"http://x.example/"})",
          R"({"user_code":"A\u001b[2J","device_code":"d","verification_uri":"https://x.example/"})", "<html>"})
        EXPECT_FALSE(read_device_code({200, body}, "Example")) << body;
}

TEST(OauthDiscovery, TheDocumentMustBeTheIssuers) {
    const std::string good =
        R"({"issuer":"https://id.example/","authorization_endpoint":"https://id.example/a","token_endpoint":"https://id.example/t",)"
        R"("userinfo_endpoint":"https://id.example/u","token_endpoint_auth_methods_supported":["client_secret_basic"]})";
    const auto found = read_discovery({200, good}, "https://id.example", "Example");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->token, "https://id.example/t");
    EXPECT_TRUE(found->basic_only);
    EXPECT_EQ(found->device, "");
    EXPECT_EQ(read_discovery({200, good}, "https://other.example", "Example").error().kind, Kind::setup);
    for (const auto* bad : {R"({"issuer":"https://id.example"})",
                            R"({"issuer":"https://id.example","token_endpoint":"http://id.example/t"})"})
        EXPECT_EQ(read_discovery({200, bad}, "https://id.example", "Example").error().kind, Kind::setup) << bad;
    EXPECT_EQ(read_discovery({500, good}, "https://id.example", "Example").error().kind, Kind::later);
    EXPECT_EQ(read_discovery({200, "<html>"}, "https://id.example", "Example").error().kind, Kind::later);
}

class OauthIdToken : public testing::Test {
protected:
    Answer<Identity> read(const std::string& claims) const {
        return read_id_token(base64url(R"({"alg":"RS256"})") + '.' + base64url(claims) + ".c2lnbmF0dXJl", expected,
                             "Example");
    }
    static std::string claims(const std::string& more = "") {
        return R"({"iss":"https://id.example","sub":"42","aud":"client","exp":2000,"nonce":"n","email":"ann@example.com")" +
               more + "}";
    }
    Expected expected{"https://id.example", "client", "n", 1000, false};
};

TEST_F(OauthIdToken, SaysWhoItIs) {
    const auto identity = read(claims());
    ASSERT_TRUE(identity) << identity.error().detail;
    EXPECT_EQ(identity->subject, "42");
    EXPECT_EQ(identity->email, "ann@example.com");
    EXPECT_TRUE(identity->email_verified);
    EXPECT_FALSE(read(claims(R"(,"email_verified":false)"))->email_verified);
    EXPECT_FALSE(read(claims(R"(,"email_verified":"false")"))->email_verified);
}

TEST_F(OauthIdToken, IsNotTakenFromElsewhere) {
    EXPECT_TRUE(read(R"({"iss":"https://id.example","sub":"42","aud":["x","client"],"exp":2000,"nonce":"n"})"));
    for (const auto* wrong :
         {R"({"iss":"https://evil.example","sub":"42","aud":"client","exp":2000,"nonce":"n"})",
          R"({"iss":"https://id.example","aud":"client","exp":2000,"nonce":"n"})",
          R"({"iss":"https://id.example","sub":"42","aud":"another","exp":2000,"nonce":"n"})",
          R"({"iss":"https://id.example","sub":"42","exp":2000,"nonce":"n"})",
          R"({"iss":"https://id.example","sub":"42","aud":"client","exp":600,"nonce":"n"})",
          R"({"iss":"https://id.example","sub":"42","aud":"client","nonce":"n"})",
          R"({"iss":"https://id.example","sub":"42","aud":"client","exp":2000})",
          R"({"iss":"https://id.example","sub":"42","aud":"client","exp":2000,"nonce":"other"})",
          R"({"iss":"https://id.example","sub":"42","aud":["client","x"],"azp":"x","exp":2000,"nonce":"n"})", "[]", ""})
        EXPECT_FALSE(read(wrong)) << wrong;
    for (const auto* text : {"", "a.b", "..", "a.!!.c"}) EXPECT_FALSE(read_id_token(text, expected, "Example")) << text;
}

TEST_F(OauthIdToken, GooglesIssuerIsWrittenInTwoWays) {
    expected.issuer = "https://accounts.google.com";
    for (const auto* issuer : {"accounts.google.com", "https://accounts.google.com"}) {
        const auto identity =
            read(R"({"sub":"42","aud":"client","exp":2000,"nonce":"n","iss":")" + std::string(issuer) + "\"}");
        ASSERT_TRUE(identity) << issuer;
        EXPECT_EQ(identity->issuer, "https://accounts.google.com") << "as one, so that a person stays the same";
    }
    EXPECT_FALSE(read(R"({"sub":"42","aud":"client","exp":2000,"nonce":"n","iss":"http://accounts.google.com"})"));
}

TEST_F(OauthIdToken, MicrosoftsIssuersHoldTheTenant) {
    expected.issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
    expected.names_by_preferred_username = true;
    const std::string begin =
        R"({"sub":"42","aud":"client","exp":2000,"nonce":"n","preferred_username":"ann@corp.example",)";
    const auto identity = read(begin + R"("tid":"t-1","iss":"https://login.microsoftonline.com/t-1/v2.0"})");
    ASSERT_TRUE(identity);
    EXPECT_EQ(identity->email, "ann@corp.example");
    EXPECT_FALSE(read(begin + R"("tid":"t-2","iss":"https://login.microsoftonline.com/t-1/v2.0"})"));
    EXPECT_FALSE(read(begin + R"("iss":"https://login.microsoftonline.com/t-1/v2.0"})"));
}

}  // namespace
}  // namespace popgate::oauth
