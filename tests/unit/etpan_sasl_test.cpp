#include "backends/imap/etpan_session.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/fuzz/scripted_transport.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace popgate::imap {
namespace {

using test::ScriptedTransport;
using test::Turn;
using Turns = std::vector<Turn>;

Turn greeting(const std::string& capabilities) {
    return {"", "* OK [CAPABILITY IMAP4rev1 " + capabilities + "] ready\r\n"};
}

// base64("n,a=ann@example.com,^Ahost=imap.example.com^Aport=993^Aauth=Bearer tok3n.abc^A^A")
const std::string bearer =
    "bixhPWFubkBleGFtcGxlLmNvbSwBaG9zdD1pbWFwLmV4YW1wbGUuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHRvazNuLmFiYwEB";
// base64("user=ann@example.com^Aauth=Bearer tok3n.abc^A^A")
const std::string xoauth2 = "dXNlcj1hbm5AZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgdG9rM24uYWJjAQE=";
const std::string welcome = "<tag> OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n";

struct Outcome {
    Status status;
    std::string sent;
};

Outcome with_token(Turns turns, const std::string& user = "ann@example.com", const std::string& token = "tok3n.abc") {
    ScriptedTransport transport(std::move(turns));
    EtpanSession session(transport);
    EXPECT_FALSE(session.read_greeting().has_error());
    auto status = session.login_with_token(user, Secret(token), "imap.example.com", "993");
    EXPECT_EQ(transport.surprise(), "");
    EXPECT_EQ(session.has_capability("IDLE"), status.has_value()) << "what it can do after login";
    return {std::move(status), transport.sent()};
}

TEST(EtpanToken, OauthbearerGoesFirst) {
    EXPECT_TRUE(with_token({greeting("SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER"),
                            {"<tag> AUTHENTICATE OAUTHBEARER " + bearer + "\r\n", welcome}})
                    .status);
}

TEST(EtpanToken, Xoauth2WhereThatIsAll) {
    EXPECT_TRUE(with_token({greeting("SASL-IR AUTH=PLAIN AUTH=XOAUTH2"),
                            {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", welcome}})
                    .status);
}

TEST(EtpanToken, WithoutInitialResponse) {
    EXPECT_TRUE(
        with_token(
            {greeting("AUTH=XOAUTH2"), {"<tag> AUTHENTICATE XOAUTH2\r\n", "+ \r\n"}, {xoauth2 + "\r\n", welcome}})
            .status);
}

TEST(EtpanToken, ARefusalIsHeardToItsEnd) {
    // base64({"status":"401","schemes":"bearer","scope":"mail"})
    const std::string why = "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=\r\n";
    auto refused = with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                               {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", why},
                               {"\r\n", "<tag> NO AUTHENTICATE failed.\r\n"}});
    ASSERT_FALSE(refused.status);
    EXPECT_EQ(refused.status.error().code, Errc::auth);
    EXPECT_NE(refused.status.error().detail.find(R"("status":"401")"), std::string::npos);

    refused = with_token({greeting("SASL-IR AUTH=OAUTHBEARER"),
                          {"<tag> AUTHENTICATE OAUTHBEARER " + bearer + "\r\n", why},
                          {"AQ==\r\n", "<tag> NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n"}});
    EXPECT_EQ(refused.status.error().code, Errc::auth);
}

TEST(EtpanToken, ARefusalForAnotherReasonIsTemporary) {
    for (const auto* said : {"NO [UNAVAILABLE] try later", "NO [LIMIT] too many", "BAD Request is throttled"}) {
        const auto refused =
            with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                        {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", "<tag> " + std::string(said) + "\r\n"}});
        EXPECT_EQ(refused.status.error().code, Errc::temporary) << said;
    }
}

TEST(EtpanToken, ATokenIsNotRepeatedToAnybody) {
    // The last are base64 of "tok3n.abc" alone, and of it behind one and two other octets.
    for (const auto& echo : {std::string("tok3n.abc"), xoauth2, xoauth2.substr(20, 12), std::string("dG9rM24uYWJj"),
                             std::string("eHRvazNuLmFiYw=="), std::string("eHh0b2szbi5hYmM=")}) {
        const auto refused = with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                                         {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n",
                                          "<tag> NO [AUTHENTICATIONFAILED] bad " + echo + "\r\n"}});
        const auto& error = refused.status.error();
        EXPECT_EQ((error.text + error.detail).find(echo), std::string::npos);
    }
    // base64("you sent tok3n.abc")
    const auto refused =
        with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                    {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", "+ eW91IHNlbnQgdG9rM24uYWJj\r\n"},
                    {"\r\n", "<tag> NO no\r\n"}});
    EXPECT_EQ(refused.status.error().detail.find("tok3n"), std::string::npos);
}

// As Exchange does where a mailbox is being moved, or the tenant asks too much.
TEST(EtpanToken, AnAccountThatIsNotConnectedIsTemporary) {
    ScriptedTransport transport({greeting("SASL-IR AUTH=XOAUTH2"),
                                 {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", welcome},
                                 {"<tag> SELECT INBOX\r\n", "<tag> BAD User is authenticated but not connected.\r\n"}});
    EtpanSession session(transport);
    EXPECT_TRUE(session.read_greeting());
    EXPECT_TRUE(session.login_with_token("ann@example.com", Secret("tok3n.abc"), "imap.example.com", "993"));
    const auto selected = session.select("INBOX");
    ASSERT_FALSE(selected);
    EXPECT_EQ(selected.error().code, Errc::temporary);
    EXPECT_EQ(transport.surprise(), "");
}

TEST(EtpanToken, ARefusalInWordsAloneIsARefusal) {
    for (const auto* said : {"NO AUTHENTICATE failed.", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                             "NO [AUTHENTICATIONFAILED] Authentication is temporarily not as you think"}) {
        const auto refused =
            with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                        {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", "<tag> " + std::string(said) + "\r\n"}});
        EXPECT_EQ(refused.status.error().code, Errc::auth) << said;
    }
}

TEST(EtpanToken, AChallengeIsCleanedAndBounded) {
    // base64 of {"status":"4^[[31m01"}, and of far too much.
    for (const auto& challenge : {std::string("eyJzdGF0dXMiOiI0G1szMW0wMSJ9"), std::string(40'000, 'Q')}) {
        const auto refused = with_token({greeting("SASL-IR AUTH=XOAUTH2"),
                                         {"<tag> AUTHENTICATE XOAUTH2 " + xoauth2 + "\r\n", "+ " + challenge + "\r\n"},
                                         {"\r\n", "<tag> NO AUTHENTICATE failed.\r\n"}});
        EXPECT_EQ(refused.status.error().code, Errc::auth);
        const auto& detail = refused.status.error().detail;
        EXPECT_NE(detail.find(challenge.size() > 100 ? "A" : R"({"status":"4[31m01"})"), std::string::npos);
        EXPECT_LT(detail.size(), 2'000u);
        EXPECT_EQ(detail.find('\x1b'), std::string::npos);
        EXPECT_EQ(detail.find('\x10'), std::string::npos);
    }
}

TEST(EtpanToken, NothingIsSentWhereItIsNotTaken) {
    auto refused = with_token({greeting("AUTH=PLAIN")});
    EXPECT_EQ(refused.status.error().code, Errc::permanent);
    EXPECT_EQ(refused.sent, "");
    refused = with_token({greeting("AUTH=XOAUTH2")},
                         "ann\x01"
                         "auth=Bearer other");
    EXPECT_EQ(refused.status.error().code, Errc::permanent);
    EXPECT_EQ(refused.sent, "");
    EXPECT_EQ(with_token({greeting("AUTH=XOAUTH2")}, "ann", "a\r\nb").sent, "");
}

TEST(EtpanToken, NamesAreEscaped) {
    // base64("n,a=a=2Cb=3Dc,^Ahost=imap.example.com^Aport=993^Aauth=Bearer t^A^A")
    EXPECT_TRUE(
        with_token({greeting("SASL-IR AUTH=OAUTHBEARER"),
                    {"<tag> AUTHENTICATE OAUTHBEARER bixhPWE9MkNiPTNEYywBaG9zdD1pbWFwLmV4YW1wbGUuY29tAXBvcnQ9OTkzAWF1"
                     "dGg9QmVhcmVyIHQBAQ==\r\n",
                     welcome}},
                   "a,b=c", "t")
            .status);
}

TEST(EtpanMasterUser, LogsInAsSomebodyElse) {
    // base64("ann\0master\0secret")
    ScriptedTransport transport(
        {greeting("SASL-IR AUTH=PLAIN"), {"<tag> AUTHENTICATE PLAIN YW5uAG1hc3RlcgBzZWNyZXQ=\r\n", welcome}});
    EtpanSession session(transport);
    EXPECT_TRUE(session.read_greeting());
    EXPECT_TRUE(session.login_as("ann", "master", Secret("secret")));
    EXPECT_EQ(transport.surprise(), "");
}

TEST(EtpanMasterUser, AMasterUsersPasswordIsNotRepeatedToAnybody) {
    // base64("ann\0master\0s3cret words"), and of the password alone
    const std::string sent = "YW5uAG1hc3RlcgBzM2NyZXQgd29yZHM=";
    for (const auto& echo : {std::string("s3cret words"), sent, std::string("czNjcmV0IHdvcmRz")}) {
        ScriptedTransport transport(
            {greeting("SASL-IR AUTH=PLAIN"),
             {"<tag> AUTHENTICATE PLAIN " + sent + "\r\n", "<tag> NO [AUTHENTICATIONFAILED] bad " + echo + "\r\n"}});
        EtpanSession session(transport);
        EXPECT_TRUE(session.read_greeting());
        const auto status = session.login_as("ann", "master", Secret("s3cret words"));
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::auth);
        EXPECT_EQ((status.error().text + status.error().detail).find(echo), std::string::npos);
        EXPECT_EQ(transport.surprise(), "");
    }
}

TEST(EtpanMasterUser, WithoutInitialResponse) {
    ScriptedTransport transport({greeting("AUTH=PLAIN"),
                                 {"<tag> AUTHENTICATE PLAIN\r\n", "+ \r\n"},
                                 {"YW5uAG1hc3RlcgBzZWNyZXQ=\r\n", welcome}});
    EtpanSession session(transport);
    EXPECT_TRUE(session.read_greeting());
    EXPECT_TRUE(session.login_as("ann", "master", Secret("secret")));
    EXPECT_EQ(transport.surprise(), "");
}

TEST(EtpanMasterUser, NeverByAnOrdinaryLogin) {
    ScriptedTransport transport({greeting("IDLE")});
    EtpanSession session(transport);
    EXPECT_TRUE(session.read_greeting());
    EXPECT_EQ(session.login_as("ann", "master", Secret("secret")).error().code, Errc::permanent);
    EXPECT_EQ(transport.sent(), "");
}

}  // namespace
}  // namespace popgate::imap
