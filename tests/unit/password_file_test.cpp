#include "gateway/accounts/password_file.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <crypt.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>

namespace popgate {
namespace {

using namespace std::string_literals;

/// By the kinds of hash that other programs make; as cheap as each allows.
std::string hash_with(const char* prefix, const std::string& password, unsigned long cost = 0) {
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    EXPECT_NE(crypt_gensalt_rn(prefix, cost, nullptr, 0, setting, sizeof setting), nullptr) << prefix;
    crypt_data data{};
    return crypt_r(password.c_str(), setting, &data);
}

TEST(PasswordFile, EveryUsualKindOfHashMatches) {
    for (const auto* prefix : {"$y$", "$gy$", "$7$", "$2b$", "$6$", "$5$", "$1$"}) {
        const auto file = "ann:" + hash_with(prefix, "right horse") + "\n";
        EXPECT_TRUE(password_matches(file, "ann", "right horse")) << prefix;
        EXPECT_FALSE(password_matches(file, "ann", "right hors")) << prefix;
        EXPECT_FALSE(password_matches(file, "ann", "")) << prefix;
        EXPECT_FALSE(password_matches(file, "bob", "right horse")) << prefix;
    }
}

TEST(PasswordFile, AKnownHashOfAnotherProgramMatches) {
    // openssl passwd -6 -salt popgate secret
    const std::string hash =
        "$6$popgate$m.47o54hvk67cyTCKpKwxB.v/PZIwIrawq8DTtg2OL8SfgLhQ"
        "os9iLk2OGEObbeVNBsiGeKbCdMy.bf4iJeWM0";
    EXPECT_TRUE(password_matches("ann:" + hash, "ann", "secret"));
}

TEST(PasswordFile, WhatLocksAnAccountNeverMatches) {
    const auto hash = hash_with("$5$", "secret");
    const auto des = hash_with("", "secret");
    ASSERT_EQ(des.size(), 13U);
    const auto bsdi = hash_with("_", "secret");
    for (const auto& field :
         {""s, "*"s, "!"s, "!!"s, "x"s, "*0"s, "*1"s, "!" + hash, "*" + hash, "secret"s, "$secret"s, "$"s, "$6$"s,
          "$6$salt"s, des, bsdi, hash.substr(0, hash.size() - 1), hash + "a", " " + hash}) {
        const auto file = "ann:" + field + "\n";
        for (const auto& password : {"secret"s, ""s, "*0"s, "*1"s, "*"s, "!"s, "x"s, field})
            EXPECT_FALSE(password_matches(file, "ann", password)) << '"' << field << "\" \"" << password << '"';
    }
}

TEST(PasswordFile, LinesAreReadAsDocumented) {
    const auto hash = hash_with("$5$", "secret");
    const auto other = hash_with("$5$", "other");
    const auto file = "# ann:" + hash + "\n\n#bob:" + hash + "\nno colon\n:" + hash + "\ncarl:" + hash +
                      ":1000:100:further:fields\r\ndora:" + hash + "\r\neve:*\neve:" + hash + "\nfay:" + hash +
                      "\nfay:" + other + "\nlast:" + hash;
    for (const auto* user : {"carl", "dora", "fay", "last"})
        EXPECT_TRUE(password_matches(file, user, "secret")) << user;
    // Comments, nobody, and those whose first line says otherwise.
    for (const auto* user :
         {"ann", "# ann", "bob", "#bob", "", "no colon", "eve", "car", "carl:", "Carl", "carl\n", " carl"})
        EXPECT_FALSE(password_matches(file, user, "secret")) << user;
    EXPECT_FALSE(password_matches(file, "fay", "other"));
}

TEST(PasswordFile, PasswordsAreNotCutAtANul) {
    const auto file = "ann:" + hash_with("$5$", "secret") + "\n";
    EXPECT_FALSE(password_matches(file, "ann", "secret\0more"s));
    EXPECT_FALSE(password_matches(file, "ann", "secret\0"s));
    EXPECT_FALSE(password_matches("ann:" + hash_with("$5$", "") + "\n", "ann", "\0"s));
}

TEST(PasswordFile, PasswordsMayHoldAnyOtherByte) {
    for (const auto& password : {" secret "s, "a:b"s, "gr\xc3\xbc\xc3\x9f"s, "\xff\x01\t"s, std::string(400, 'x')})
        EXPECT_TRUE(password_matches("ann:" + hash_with("$5$", password), "ann", password));
    EXPECT_FALSE(password_matches("ann:" + hash_with("$5$", "x"), "ann", std::string(100'000, 'x')));
}

TEST(PasswordFile, AnUnknownUserCostsAsMuchAsAWrongPassword) {
    const auto file = "locked:!\nann:" + hash_with("$2b$", "secret", 10) + "\n";
    const auto time = [&](std::string_view text, std::string_view user) {
        // Of this process alone, whatever else the machine does.
        auto best = std::numeric_limits<std::clock_t>::max();
        for (int i = 0; i < 5; ++i) {
            const auto begin = std::clock();
            EXPECT_FALSE(password_matches(text, user, "wrong"));
            best = std::min(best, std::clock() - begin);
        }
        return static_cast<double>(best) / CLOCKS_PER_SEC;
    };
    const double known = time(file, "ann");
    for (const auto* user : {"unknown", "locked", ""}) {
        EXPECT_GT(time(file, user), 0.5 * known) << user;
        EXPECT_LT(time(file, user), 2 * known) << user;
    }
    EXPECT_GT(time("", "ann"), 0.001);  // not even without any hash in the file is the answer free
}

TEST(PasswordFile, OwnHashesMatchAndDiffer) {
    const auto hash = hash_password("secret");
    EXPECT_EQ(hash.substr(0, 3), "$y$");
    EXPECT_TRUE(password_matches("ann:" + hash, "ann", "secret"));
    EXPECT_NE(hash_password("secret"), hash);
    EXPECT_THROW(hash_password("sec\0ret"s), std::invalid_argument);
    EXPECT_THROW(hash_password(std::string(1000, 'x')), std::invalid_argument);
}

struct PasswordFileOnDisk : testing::Test {
    PasswordFileOnDisk() {
        auto pattern = (std::filesystem::temp_directory_path() / "popgate-test-XXXXXX").string();
        directory = mkdtemp(pattern.data());
        write("ann:" + hash_with("$5$", "secret") + "\n");
    }
    ~PasswordFileOnDisk() override { std::filesystem::remove_all(directory); }

    void write(const std::string& text) const { std::ofstream(path()) << text; }
    std::string path() const { return directory / "passwords"; }

    static Status check(const std::string& file, const std::string& user, const std::string& password,
                        std::size_t queue = 10) {
        Status status;
        test::on_fiber([&](Fiber& fiber) { status = check_password_file(fiber, file, user, Secret(password)); }, 1,
                       queue);
        return status;
    }

    std::filesystem::path directory;
};

TEST_F(PasswordFileOnDisk, AcceptsAndRefuses) {
    EXPECT_TRUE(check(path(), "ann", "secret"));
    const auto wrong = check(path(), "ann", "wrong");
    const auto unknown = check(path(), "bob", "secret");
    ASSERT_FALSE(wrong);
    ASSERT_FALSE(unknown);
    EXPECT_EQ(wrong.error().code, Errc::auth);
    EXPECT_EQ(unknown.error().code, Errc::auth);
    EXPECT_EQ(wrong.error().text, unknown.error().text);
    EXPECT_EQ(wrong.error().detail, unknown.error().detail);
}

TEST_F(PasswordFileOnDisk, AnEditHoldsAtOnce) {
    write("bob:" + hash_with("$5$", "new") + "\n");
    EXPECT_FALSE(check(path(), "ann", "secret"));
    EXPECT_TRUE(check(path(), "bob", "new"));
}

TEST_F(PasswordFileOnDisk, AFileThatCannotBeReadIsNoWrongPassword) {
    for (const auto& file : {path() + "-not-there", directory.string(), "/dev/zero"s}) {
        const auto status = check(file, "ann", "secret");
        ASSERT_FALSE(status) << file;
        EXPECT_EQ(status.error().code, Errc::temporary) << file;
        EXPECT_EQ(status.error().text.find(directory.string()), std::string::npos);
    }
}

TEST_F(PasswordFileOnDisk, ABusyPoolIsNoWrongPassword) {
    const auto status = check(path(), "ann", "secret", 0);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::temporary);
}

}  // namespace
}  // namespace popgate
