#include "gateway/accounts/account_store.hpp"
#include "gateway/accounts/account_records.hpp"
#include "gateway/accounts/vault.hpp"
#include "gateway/state/sqlite_store.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <set>
#include <string>

namespace popgate {
namespace {

class AccountStoreTest : public testing::Test {
protected:
    AccountStoreTest() { std::filesystem::create_directory(folder); }
    ~AccountStoreTest() override { std::filesystem::remove_all(folder); }
    void store_password(Fiber& fiber, const std::string& user, const std::string& password) {
        EXPECT_TRUE(accounts.change_account(fiber, user, [&](Account& account) {
            account.upstream_password = Secret(password);
            return true;
        }));
    }

    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("accounts-" + std::to_string(::getpid()) + "-" +
                                                  testing::UnitTest::GetInstance()->current_test_info()->name());
    SqliteStore store{folder / "state.db"};
    Vault vault{folder / "secrets.key"};
    AccountStore accounts{store, vault};
};

TEST_F(AccountStoreTest, WhatIsKeptComesBack) {
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_FALSE((*accounts.account(fiber, "ann")).has_value());
        EXPECT_FALSE((*accounts.tokens(fiber, "ann")).has_value());
        const auto made = make_app_password("téléphone", 1234);
        EXPECT_TRUE(accounts.change_account(fiber, "ann", [&](Account& account) {
            account.created = 17;
            account.upstream_user = "ann@up";
            account.upstream_password = Secret("pass");
            account.shared_secret = Secret("shared");
            account.issuer = "https://id";
            account.subject = "42";
            account.app_passwords.push_back(made.kept);
            return true;
        }));
        EXPECT_TRUE(accounts.change_tokens(fiber, "ann", [&](AccountTokens& tokens) {
            tokens.provider = "id";
            tokens.refresh_token = Secret("refresh");
            tokens.access_token = Secret("access");
            tokens.expires = 100;
            tokens.refreshed = 50;
            tokens.scope = "mail";
            tokens.refusal = "no";
            tokens.refused = 60;
            return true;
        }));
        auto loaded = accounts.account(fiber, "ann");
        const Account account = std::move(**loaded);
        EXPECT_EQ(account.created, 17);
        EXPECT_EQ(account.upstream_user, "ann@up");
        EXPECT_EQ(account.upstream_password.reveal(), "pass");
        EXPECT_EQ(account.shared_secret.reveal(), "shared");
        EXPECT_EQ(account.subject, "42");
        ASSERT_EQ(account.app_passwords.size(), 1U);
        EXPECT_EQ(account.app_passwords[0].label, "téléphone");
        EXPECT_EQ(find_app_password(&account, made.password)->id, made.kept.id);
        auto kept = accounts.tokens(fiber, "ann");
        const auto& tokens = *kept;
        EXPECT_EQ(tokens->refresh_token.reveal(), "refresh");
        EXPECT_EQ(tokens->expires, 100);
        EXPECT_EQ(tokens->refusal, "no");
        EXPECT_EQ(*accounts.users(fiber), std::vector<std::string>{"ann"});
        EXPECT_TRUE(*accounts.remove(fiber, "ann"));
        EXPECT_FALSE(*accounts.remove(fiber, "ann"));
        EXPECT_FALSE((*accounts.tokens(fiber, "ann")).has_value());
    });
}

TEST_F(AccountStoreTest, AChangeThatIsNoneMakesNothing) {
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(accounts.change_account(fiber, "ann", [](Account&) { return false; }));
        EXPECT_TRUE((*accounts.users(fiber)).empty());
        EXPECT_FALSE(vault.exists());
    });
}

TEST_F(AccountStoreTest, AKeyThatIsGoneIsNotReplaced) {
    test::on_fiber([&](Fiber& fiber) {
        store_password(fiber, "zoe", "pass");
        std::filesystem::remove(folder / "secrets.key");
        EXPECT_FALSE(accounts.change_account(fiber, "bob", [](Account&) { return true; }));
        EXPECT_FALSE(vault.exists());
        const auto lost = accounts.account(fiber, "zoe");
        ASSERT_FALSE(lost);
        EXPECT_NE(lost.error().detail.find("zoe"), std::string::npos);
        EXPECT_EQ(lost.error().text.find("zoe"), std::string::npos) << "the client hears no name";
    });
}

TEST_F(AccountStoreTest, ARecordOfAnotherAccountIsNone) {
    test::on_fiber([&](Fiber& fiber) {
        store_password(fiber, "ann", "pass");
        const auto of_ann = *store.record(fiber, "account", "ann");
        EXPECT_TRUE(*store.keep_record(fiber, "account", "bob", of_ann.octets, 0));
        EXPECT_FALSE(accounts.account(fiber, "bob"));
        EXPECT_TRUE(accounts.account(fiber, "ann"));
    });
}

TEST_F(AccountStoreTest, AllIsSealedAnewAndWhatCannotBeReadIsNamed) {
    test::on_fiber([&](Fiber& fiber) {
        store_password(fiber, "ann", "pass");
        store_password(fiber, "bob", "word");
        EXPECT_TRUE(vault.add_key());
        EXPECT_EQ(*accounts.seal_anew(fiber), 2U);
        EXPECT_TRUE(vault.is_current((*store.record(fiber, "account", "ann")).octets));
        EXPECT_TRUE(*store.keep_record(fiber, "account", "eve", "garbage", 0));
        EXPECT_TRUE(vault.add_key());
        const auto sealed = accounts.seal_anew(fiber);
        ASSERT_FALSE(sealed);
        EXPECT_NE(sealed.error().text.find("eve"), std::string::npos);
        EXPECT_TRUE(vault.is_current((*store.record(fiber, "account", "bob")).octets)) << "the others are done";
    });
}

TEST(AppPasswords, AreRandomGroupedAndForgiving) {
    std::set<std::string> all;
    for (int i = 0; i < 200; ++i) {
        const auto made = make_app_password("x", 1);
        const auto& text = made.password.reveal();
        ASSERT_EQ(text.size(), 19U);
        EXPECT_EQ(text.find_first_of("lo01 "), std::string::npos) << text;
        all.insert(text);
    }
    EXPECT_EQ(all.size(), 200U);

    Account account;
    const auto one = make_app_password("one", 1);
    const auto two = make_app_password("two", 1);
    account.app_passwords = {one.kept, two.kept};
    EXPECT_EQ(find_app_password(&account, two.password)->label, "two");
    auto typed = one.password.reveal();
    for (char& c : typed) c = c == '-' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(find_app_password(&account, Secret(typed))->label, "one");
    EXPECT_EQ(find_app_password(&account, Secret("")), nullptr);
    EXPECT_EQ(find_app_password(&account, Secret(one.password.reveal() + "a")), nullptr);
    EXPECT_EQ(find_app_password(nullptr, one.password), nullptr);
    const Account empty;
    EXPECT_EQ(find_app_password(&empty, one.password), nullptr);
}

TEST(AccountRecords, OnlyWhatWasWrittenIsRead) {
    Account account;
    account.upstream_password = Secret("pass");
    account.app_passwords = {make_app_password("x", 1).kept};
    const auto packed = pack_account(account);
    EXPECT_TRUE(unpack_account(packed.reveal()));
    for (std::size_t i = 0; i < packed.reveal().size(); ++i) EXPECT_FALSE(unpack_account(packed.reveal().substr(0, i)));
    EXPECT_FALSE(unpack_account(packed.reveal() + "x"));
    EXPECT_FALSE(unpack_account("\x02" + packed.reveal().substr(1))) << "of a newer version";
    const auto tokens = pack_tokens(AccountTokens{});
    EXPECT_TRUE(unpack_tokens(tokens.reveal()));
    EXPECT_FALSE(unpack_tokens(tokens.reveal() + "x"));
}

}  // namespace
}  // namespace popgate
