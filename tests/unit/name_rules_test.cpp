#include "gateway/accounts/name_rules.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate {
namespace {

std::string canonical(const LoginConfig& rules, std::string_view user) {
    const auto name = canonical_user(rules, user);
    return name ? *name : "error " + std::to_string(static_cast<int>(name.error().code));
}

const auto refused = "error " + std::to_string(static_cast<int>(Errc::auth));

TEST(NameRules, WithoutRulesANameIsAsItWasGiven) {
    for (const auto* user : {"Ann", "ann@Example.COM", " ann ", "ann%u", "/etc/passwd"})
        EXPECT_EQ(canonical({}, user), user);
}

TEST(NameRules, TheDomainIsAddedBeforeTheCaseChanges) {
    LoginConfig rules;
    rules.default_domain = "Example.com";
    EXPECT_EQ(canonical(rules, "Ann"), "Ann@Example.com");
    EXPECT_EQ(canonical(rules, "Ann@other.example"), "Ann@other.example");
    EXPECT_EQ(canonical(rules, "Ann@"), "Ann@");
    rules.lower_case = true;
    EXPECT_EQ(canonical(rules, "Ann"), "ann@example.com");
    EXPECT_EQ(canonical(rules, "ÄNN@X"), "Änn@x") << "letters of ASCII alone";
}

TEST(NameRules, TheFirstAliasThatMatchesIsTakenOnce) {
    LoginConfig rules;
    rules.default_domain = "example.com";
    rules.lower_case = true;
    rules.aliases = {{"info@example.com", "ann@example.com"},
                     {"*@old.example", "%n@example.com"},
                     {"*@old.example", "never@example.com"},
                     {"ann@example.com", "bob@example.com"}};
    EXPECT_EQ(canonical(rules, "INFO"), "ann@example.com") << "which is an alias too, and leads nowhere";
    EXPECT_EQ(canonical(rules, "Carol@Old.Example"), "carol@example.com");
    EXPECT_EQ(canonical(rules, "ann"), "bob@example.com");
}

TEST(NameRules, ANameThatAnAliasCannotHoldIsRefused) {
    LoginConfig rules;
    rules.aliases = {{"*@old.example", "%n@example.com"}};
    for (const auto* user : {"../ann@old.example", "a/b@old.example", "a\nb@old.example"})
        EXPECT_EQ(canonical(rules, user), refused) << user;
}

}  // namespace
}  // namespace popgate
