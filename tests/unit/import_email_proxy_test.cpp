#include "gateway/commands/import_email_proxy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace popgate::commands {
namespace {

ImportedConfig imported(std::string_view text) {
    auto made = import_email_proxy(text);
    if (made) return *made;
    ADD_FAILURE() << made.error().text;
    return {};
}

std::string refused(std::string_view text) {
    const auto made = import_email_proxy(text);
    return made ? "taken: " + made->configuration : made.error().text;
}

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool is_noted(const ImportedConfig& made, std::string_view part) {
    return std::ranges::any_of(made.notes, [&](const std::string& note) { return holds(note, part); });
}

TEST(ImportEmailProxy, ReadsWhatConfigparserReads) {
    const auto made = imported(
        "\xEF\xBB\xBF# a comment\r\n[a@x.example]\r\n; another\r\nToken_URL: https://id.example/token\r\n"
        "client_id=1\r\nclient_secret = 100%% \"of\" it\\#;\r\noauth2_scope = one\r\n\ttwo\r\n\r\n  three = 3\r\n");
    EXPECT_TRUE(holds(made.configuration, "token_url = \"https://id.example/token\"\n")) << made.configuration;
    EXPECT_TRUE(holds(made.configuration, "client_secret = \"100%% \\\"of\\\" it\\\\#;\"\n")) << made.configuration;
    EXPECT_TRUE(holds(made.configuration, "scopes = \"one two three = 3\"\n")) << made.configuration;
}

TEST(ImportEmailProxy, SaysWhatIsBrokenAndWhere) {
    EXPECT_EQ(refused("x\n"), "line 1: is neither a [section] nor key = value");
    EXPECT_EQ(refused("x = 1\n"), "line 1: stands before the first [section]");
    EXPECT_EQ(refused("\n  x\n"), "line 2: goes on from nothing");
    EXPECT_EQ(refused("[a@x\n"), "line 1: is no [section]");
    EXPECT_EQ(refused("[a@x]\nk = 1\nK = 2\n"), "line 3: this key is in its [section] twice");
    EXPECT_EQ(refused("[a@x]\n[b@x]\n[a@x]\n"), "line 3: this [section] is there twice");
    EXPECT_EQ(refused(std::string_view("[a@x]\nk = \0\n", 12)), "is no text");
    EXPECT_EQ(refused(std::string(5'000'000, 'a')), "is longer than 4 MiB");
    EXPECT_EQ(refused(""), "there is no account in it");
    EXPECT_EQ(refused("[emailproxy]\nk = 1\n"), "there is no account in it");
}

TEST(ImportEmailProxy, ListensOnAddresses) {
    const std::string account = "[a@x.example]\ntoken_url = https://id.example/token\n";
    const auto listens = [&](const std::string& local) {
        return imported("[POP-1995]\n" + (local.empty() ? "" : "local_address = " + local + '\n') + account);
    };
    for (const char* const here : {"", "localhost", "127.0.0.1", "::", "host.example"})
        EXPECT_TRUE(holds(listens(here).configuration, "address = \"127.0.0.1:1995\"\n")) << here;
    EXPECT_TRUE(holds(listens("::1").configuration, "address = \"[::1]:1995\"\n"));
    EXPECT_TRUE(holds(listens("0.0.0.0").configuration, "address = \"0.0.0.0:1995\"\n"));
    EXPECT_TRUE(is_noted(listens("::"), "for this machine alone"));
    EXPECT_TRUE(is_noted(listens("host.example"), "for this machine alone"));
    EXPECT_FALSE(is_noted(listens("localhost"), "for this machine alone"));
    EXPECT_TRUE(is_noted(imported("[POP-x]\n" + account), "names no port"));
    EXPECT_TRUE(is_noted(imported(account), "no POP server"));
}

TEST(ImportEmailProxy, LeadsATokenToNobodyElsesServer) {
    const std::string outlook = "[IMAP-1993]\nserver_address = outlook.office365.com\nserver_port = 993\n";
    const std::string own = "[IMAP-1143]\nserver_address = mail.x.example\nserver_port = 143\nserver_starttls = True\n";
    const std::string account = "[a@x.example]\ntoken_url = https://id.x.example/token\n";
    EXPECT_TRUE(holds(imported(outlook + own + account).configuration, "backend = \"imap://mail.x.example:143\"\n"));
    // Servers may stand behind accounts.
    EXPECT_TRUE(holds(imported(account + own).configuration, "backend = \"imap://mail.x.example:143\"\n"));
    const auto unknown = imported(outlook + account);
    EXPECT_FALSE(holds(unknown.configuration, "office365")) << unknown.configuration;
    EXPECT_TRUE(is_noted(unknown, "its mail server is not known"));
    const auto one_of_two = imported(own + "[IMAP-2143]\nserver_address = mail.y.example\n" + account);
    EXPECT_TRUE(is_noted(one_of_two, "its mail server is not known"));
}

TEST(ImportEmailProxy, AsksMicrosoftForImapWhateverTheProxyAskedFor) {
    const auto made = imported(
        "[a@x.example]\ntoken_url = https://login.microsoftonline.com/common/oauth2/v2.0/token\n"
        "oauth2_scope = https://outlook.office365.com/POP.AccessAsUser.All offline_access\nclient_id = 1\n");
    EXPECT_TRUE(holds(made.configuration, "provider = \"microsoft\"\n"));
    EXPECT_FALSE(holds(made.configuration, "scopes")) << made.configuration;
    EXPECT_FALSE(holds(made.configuration, "tenant")) << made.configuration;
}

TEST(ImportEmailProxy, TheRouteOfADomainComesLast) {
    const std::string url = "token_url = https://login.microsoftonline.com/t.example/oauth2/v2.0/token\n";
    const auto made = imported("[@x.example]\n" + url + "oauth2_flow = client_credentials\n[a@x.example]\n" + url);
    const auto& text = made.configuration;
    EXPECT_LT(text.find("match = \"a@x.example\""), text.find("match = \"*@x.example\"")) << text;
    EXPECT_TRUE(is_noted(made, "popgate account login a@x.example"));
    EXPECT_TRUE(is_noted(made, "popgate account add USER@x.example --app-password LABEL"));
}

TEST(ImportEmailProxy, ItsOwnSectionsAreNoSurprise) {
    const auto made = imported(
        "[Server setup]\ndocumentation = a\n  b\n[emailproxy]\nx = 1\n[a@x.example]\ntoken_url = https://id.example/t\n"
        "[surprise]\nx = 1\n");
    EXPECT_FALSE(is_noted(made, "Server setup"));
    EXPECT_FALSE(is_noted(made, "emailproxy"));
    EXPECT_TRUE(is_noted(made, "[surprise] was not understood"));
}

}  // namespace
}  // namespace popgate::commands
