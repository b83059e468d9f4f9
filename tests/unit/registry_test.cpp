#include "backends/registry.hpp"
#include "backends/user_path.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace popgate {
namespace {

using namespace std::string_view_literals;

Result<std::unique_ptr<Backend>> make(std::string url) {
    BackendOptions options;
    options.url = std::move(url);
    return make_backend(options);
}

TEST(Registry, MakesEachKind) {
    for (const auto* url :
         {"imaps://imap.example.com", "imaps://imap.example.com:993", "imap://imap.example.com/",
          "imap://192.0.2.1:143", "imaps://[2001:db8::1]:993", "maildir:/var/mail/%u", "mbox:/var/mail/%n"}) {
        const auto backend = make(url);
        ASSERT_TRUE(backend) << url << ": " << backend.error().text;
        ASSERT_NE(*backend, nullptr);
    }
}

TEST(Registry, TheUpstreamChecksPasswordsAndFilesDoNot) {
    EXPECT_TRUE((*make("imaps://imap.example.com"))->checks_password());
    EXPECT_FALSE((*make("maildir:/var/mail/%u"))->checks_password());
    EXPECT_FALSE((*make("mbox:/var/mail/%u"))->checks_password());
}

TEST(Registry, RefusesOthersAndSaysWhich) {
    for (const auto* url :
         {"", "imap", "maildir", "gopher://example.com", "IMAPX://a", "://", ":", "imaps//example.com", " imaps://a"}) {
        const auto backend = make(url);
        ASSERT_TRUE(backend.has_error()) << url;
        EXPECT_EQ(backend.error().code, Errc::permanent);
        EXPECT_NE(backend.error().text.find(url), std::string::npos) << backend.error().text;
    }
}

TEST(Registry, RefusesImapUrlsThatSayTooMuchOrTooLittle) {
    for (const auto* url :
         {"imaps:", "imaps://", "imaps://:993", "imaps://bob:secret@imap.example.com", "imaps://imap.example.com/INBOX",
          "imaps://imap.example.com?x=y", "imaps://imap.example.com#x", "imaps://imap.example.com:0",
          "imaps://imap.example.com:65536", "imaps://imap.example.com:99999999999", "imaps://imap.example.com:x",
          "imaps://a b"})
        EXPECT_TRUE(make(url).has_error()) << url;
}

TEST(Registry, TwoNamesOfOneMailboxHaveOneLock) {
    const auto backend = make("imaps://imap.example.com");
    ASSERT_TRUE(backend);
    EXPECT_EQ((*backend)->mailbox_key("Bob"), (*backend)->mailbox_key("bob"));
    EXPECT_NE((*backend)->mailbox_key("bob"), (*backend)->mailbox_key("bobby"));
    const auto other = make("imaps://other.example.com");
    ASSERT_TRUE(other);
    EXPECT_NE((*backend)->mailbox_key("bob"), (*other)->mailbox_key("bob"));
}

TEST(Registry, AnImapServerThatIsRenamedKeepsItsMailboxes) {
    BackendOptions options;
    options.url = "imaps://old.example.com";
    options.state_name = "corp";
    const auto before = make_backend(options);
    options.url = "imaps://new.example.com:1993";
    const auto after = make_backend(options);
    ASSERT_TRUE(before && after);
    EXPECT_EQ((*before)->mailbox_key("bob"), (*after)->mailbox_key("bob"));
    options.folder = "Other";
    EXPECT_NE((*before)->mailbox_key("bob"), (*make_backend(options))->mailbox_key("bob"));
}

TEST(Registry, NamesOfImapFoldersMustBeUtf8) {
    for (auto name : {&BackendOptions::trash_folder, &BackendOptions::archive_folder}) {
        BackendOptions options;
        options.url = "imaps://imap.example.com";
        options.*name = "Ko\u0161";
        EXPECT_TRUE(make_backend(options));
        options.*name = "Trash\r\n1 DELETE INBOX";
        const auto made = make_backend(options);
        ASSERT_TRUE(made.has_error());
        EXPECT_NE(made.error().text.find("_folder"), std::string::npos) << made.error().text;
    }
}

TEST(ExpandUserPath, ReplacesTheParts) {
    EXPECT_EQ(*expand_user_path("/mail/%u", "bob"), "/mail/bob");
    EXPECT_EQ(*expand_user_path("/mail/%d/%n/Maildir", "bob@corp.example"), "/mail/corp.example/bob/Maildir");
    EXPECT_EQ(*expand_user_path("/mail/%u", "bob@corp.example"), "/mail/bob@corp.example");
    EXPECT_EQ(*expand_user_path("/mail/%n", "bob"), "/mail/bob");
    EXPECT_EQ(*expand_user_path("/mail/%n/%d", "a@b@c"), "/mail/a@b/c") << "the last @ counts";
    EXPECT_EQ(*expand_user_path("/mail/100%%/%u", "bob"), "/mail/100%/bob");
    EXPECT_EQ(*expand_user_path("/mail/fixed", "bob"), "/mail/fixed");
    EXPECT_EQ(*expand_user_path("%u%u", "ab"), "abab");
}

TEST(ExpandUserPath, AUserNameIsNoPattern) {
    EXPECT_EQ(*expand_user_path("/mail/%u", "%d"), "/mail/%d");
    EXPECT_EQ(*expand_user_path("/mail/%u", "a%%b"), "/mail/a%%b");
    EXPECT_EQ(*expand_user_path("/mail/%u", "{{x}}"), "/mail/{{x}}");
    EXPECT_EQ(*expand_user_path("/mail/%u", "a\\b"), "/mail/a\\b");
}

TEST(ExpandUserPath, NothingLeavesTheDirectory) {
    for (const auto user : {""sv, "."sv, ".."sv, "../../etc/passwd"sv, "a/b"sv, "/"sv, "/etc/passwd"sv, ".hidden"sv,
                            "a\0b"sv, "a\nb"sv, "a\rb"sv, "\x7F"sv, "a\x1B"sv, "a/../b"sv})
        for (const auto* pattern : {"/mail/%u", "/mail/%n", "/mail/%d/%n", "/mail/x%u", "/mail/fixed"}) {
            const auto path = expand_user_path(pattern, user);
            ASSERT_TRUE(path.has_error()) << testing::PrintToString(user);
            EXPECT_EQ(path.error().code, Errc::auth);
        }
}

TEST(ExpandUserPath, APartThatIsMissingOrHidesIsRefused) {
    EXPECT_EQ(expand_user_path("/mail/%d/%n", "bob").error().code, Errc::auth) << "no domain: the path of another";
    EXPECT_EQ(expand_user_path("/mail/%d/%n", "bob@").error().code, Errc::auth);
    EXPECT_EQ(expand_user_path("/mail/%n", "@corp.example").error().code, Errc::auth);
    EXPECT_EQ(expand_user_path("/mail/%d/%n", "bob@..").error().code, Errc::auth);
    EXPECT_EQ(expand_user_path("/mail/%d/%n", "bob@.git").error().code, Errc::auth);
}

TEST(ExpandUserPath, APatternMustBeKnown) {
    EXPECT_EQ(expand_user_path("/mail/%x", "bob").error().code, Errc::permanent);
    EXPECT_EQ(expand_user_path("/mail/%U", "bob").error().code, Errc::permanent);
}

}  // namespace
}  // namespace popgate
