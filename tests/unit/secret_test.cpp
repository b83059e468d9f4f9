#include "gateway/accounts/secret.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

namespace popgate {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
    out << value;
};

static_assert(!Printable<Secret>, "a log line must not be able to hold one");
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<std::string, Secret>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);

TEST(Secret, RevealsWhatItWasGiven) {
    EXPECT_EQ(Secret("pass word").reveal(), "pass word");
    EXPECT_EQ(Secret(std::string_view("a\0b", 3)).reveal(), std::string("a\0b", 3));
    EXPECT_EQ(Secret().reveal(), "");
}

// Long ones live on the heap, short ones inside the string itself.
TEST(Secret, MovingLeavesNothingBehind) {
    for (const auto& text : {std::string("short"), std::string(1000, 'x')}) {
        Secret from(text);
        const char* const left = from.reveal().data();
        const Secret to(std::move(from));
        EXPECT_EQ(to.reveal(), text);
        EXPECT_EQ(from.reveal(), "");
        EXPECT_EQ(from.reveal().data(), left);
        EXPECT_TRUE(std::all_of(left, left + text.size(), [](char c) { return c == '\0'; }));

        Secret assigned("before");
        Secret other(text);
        assigned = std::move(other);
        EXPECT_EQ(assigned.reveal(), text);
        EXPECT_EQ(other.reveal(), "");
    }
}

TEST(Secret, AssigningToItselfKeepsIt) {
    Secret secret("text");
    auto& same = secret;
    secret = std::move(same);
    EXPECT_EQ(secret.reveal(), "text");
}

TEST(Secret, WipeOverwritesTheWholeMemory) {
    std::string text(1000, 'x');
    text.resize(10);
    const char* const memory = text.data();
    const auto size = text.capacity();
    Secret::wipe(text);
    EXPECT_TRUE(text.empty());
    ASSERT_EQ(text.data(), memory);
    EXPECT_TRUE(std::all_of(memory, memory + size, [](char c) { return c == '\0'; }));
}

}  // namespace
}  // namespace popgate
