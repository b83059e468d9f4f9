#include "gateway/accounts/vault.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace popgate {
namespace {

class VaultTest : public testing::Test {
protected:
    VaultTest() { std::filesystem::create_directory(folder); }
    ~VaultTest() override { std::filesystem::remove_all(folder); }
    std::string key_text() const {
        std::ifstream file(key_file);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }
    void write_key(const std::string& text) const { std::ofstream(key_file) << text; }

    std::filesystem::path folder =
        std::filesystem::temp_directory_path() /
        ("vault-" + std::to_string(::getpid()) + "-" + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::string key_file = folder / "secrets.key";
    Vault vault{key_file};
};

TEST_F(VaultTest, WhatIsSealedOpensInItsPlaceAlone) {
    ASSERT_TRUE(vault.create());
    const auto sealed = vault.seal("account/ann", Secret("canary"));
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->find("canary"), std::string::npos);
    EXPECT_EQ(vault.open("account/ann", *sealed)->reveal(), "canary");
    EXPECT_FALSE(vault.open("account/bob", *sealed));
    EXPECT_FALSE(vault.open("tokens/ann", *sealed));
    EXPECT_NE(*vault.seal("account/ann", Secret("canary")), *sealed) << "another nonce";
    EXPECT_EQ(vault.open("x", *vault.seal("x", Secret("")))->reveal(), "");
}

TEST_F(VaultTest, NoOctetMayBeAnotherAndNoneMayBeMissing) {
    ASSERT_TRUE(vault.create());
    const auto sealed = *vault.seal("account/ann", Secret("canary"));
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        for (const int bit : {1, 128}) {
            auto flipped = sealed;
            flipped[i] = static_cast<char>(flipped[i] ^ bit);
            const auto opened = vault.open("account/ann", flipped);
            ASSERT_FALSE(opened) << i;
            EXPECT_EQ(opened.error().code, Errc::permanent);
        }
        EXPECT_FALSE(vault.open("account/ann", sealed.substr(0, i)));
    }
    EXPECT_FALSE(vault.open("account/ann", sealed + "x"));
}

TEST_F(VaultTest, OneOfManyThatMakeAKeyAtOnceMakesIt) {
    for (int round = 0; round < 50; ++round) {
        std::filesystem::remove(key_file);
        std::atomic<int> made = 0, none = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                Vault own(key_file);
                if (own.create()) ++made;
                if (!own.seal("x", Secret("y"))) ++none;
            });
        for (auto& each : threads) each.join();
        EXPECT_EQ(made, 1);
        EXPECT_EQ(none, 0) << "whoever was too late finds the key that was made";
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1) << "and nothing beside it";
    }
}

TEST_F(VaultTest, AKeyIsMadeOnceAndForItsOwnerAlone) {
    EXPECT_FALSE(vault.exists());
    EXPECT_FALSE(vault.seal("x", Secret("y"))) << "there is no key yet";
    ASSERT_TRUE(vault.create());
    EXPECT_TRUE(vault.exists());
    EXPECT_EQ(std::filesystem::status(key_file).permissions() & std::filesystem::perms::all,
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto before = key_text();
    EXPECT_FALSE(vault.create());
    EXPECT_EQ(key_text(), before);
}

TEST_F(VaultTest, AnotherKeyOpensNothing) {
    ASSERT_TRUE(vault.create());
    const auto sealed = *vault.seal("x", Secret("y"));
    std::filesystem::remove(key_file);
    EXPECT_FALSE(vault.open("x", sealed)) << "no key";
    ASSERT_TRUE(vault.create());
    const auto opened = vault.open("x", sealed);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().text.find(key_file), std::string::npos);
}

TEST_F(VaultTest, KeysAreRotatedAndTheOldOneStaysForAWhile) {
    ASSERT_TRUE(vault.create());
    const auto first = *vault.seal("x", Secret("y"));
    Vault running(key_file);  // another process
    EXPECT_TRUE(running.open("x", first));
    ASSERT_TRUE(vault.add_key());
    EXPECT_FALSE(vault.is_current(first));
    const auto second = *running.seal("x", Secret("y"));
    EXPECT_TRUE(vault.is_current(second)) << "the file is read again";
    EXPECT_TRUE(vault.open("x", first));
    ASSERT_TRUE(vault.drop_old_keys());
    EXPECT_TRUE(vault.open("x", first)) << "one before is kept";
    ASSERT_TRUE(vault.add_key());
    ASSERT_TRUE(vault.drop_old_keys());
    EXPECT_FALSE(vault.open("x", first));
    EXPECT_TRUE(vault.open("x", second));
}

TEST_F(VaultTest, ABadFileIsNamedWithItsLineAndWithoutItsText) {
    for (const auto* text :
         {"", "# nothing\n", "CANARY\n", "# x\nAAAA\n", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\nCANARY\n"}) {
        write_key(text);
        const auto sealed = vault.seal("x", Secret("y"));
        ASSERT_FALSE(sealed) << text;
        EXPECT_NE(sealed.error().text.find(key_file), std::string::npos);
        EXPECT_EQ(sealed.error().text.find("CANARY"), std::string::npos);
        std::filesystem::remove(key_file);
    }
    write_key("# of mine\r\nQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\r\n");
    EXPECT_TRUE(vault.seal("x", Secret("y")));
}

TEST_F(VaultTest, ACredentialIsReadAndNotChanged) {
    ASSERT_TRUE(vault.create());
    ::setenv("CREDENTIALS_DIRECTORY", folder.c_str(), 1);
    Vault given("credential:secrets.key");
    EXPECT_TRUE(given.exists());
    EXPECT_TRUE(given.open("x", *vault.seal("x", Secret("y"))));
    EXPECT_FALSE(given.add_key());
    EXPECT_FALSE(given.drop_old_keys());
    EXPECT_FALSE(given.create());
    ::unsetenv("CREDENTIALS_DIRECTORY");
    EXPECT_FALSE(given.exists());
}

}  // namespace
}  // namespace popgate
