#include "gateway/config/state_url.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate {
namespace {

TEST(StateUrl, OfAFileOrOfMemory) {
    for (const std::string_view good : {"sqlite:", "sqlite::memory:", "sqlite:/state.db", "sqlite:/srv/a b/state.db"}) {
        EXPECT_EQ(why_bad_state_url(good), "") << good;
    }
    EXPECT_TRUE(is_state_in_memory("sqlite::memory:"));
    EXPECT_FALSE(is_state_in_memory("sqlite:"));
    EXPECT_FALSE(is_state_in_memory("sqlite:/:memory:"));
}

TEST(StateUrl, ABadOneIsToldWhy) {
    const auto says = [](std::string_view url, std::string_view words) {
        const std::string problem = why_bad_state_url(url);
        EXPECT_NE(problem.find(words), std::string::npos) << url << ": " << problem;
    };
    says("", "is no URL of a store");
    says("/var/lib/popgate/state.db", "is no URL of a store");
    says("sqlite:state.db", "holds no absolute path");
    says("sqlite::memory", "holds no absolute path");
    says("sqlite:/var/lib/popgate/", "names a folder");
    says("SQLITE:/state.db", "does not have \"SQLITE:\"");
    says(":", "does not have \":\"");
}

TEST(StateUrl, AnotherKindIsNamedWithoutItsPassword) {
    EXPECT_EQ(why_bad_state_url("mysql://:secret@host"),
              "this version does not have \"mysql:\"; it has \"sqlite:\" and \"redis:\"");
}

TEST(StateUrl, ARedisIsLookedAtAsOne) {
    EXPECT_EQ(why_bad_state_url("redis://host/0"), "");
    EXPECT_NE(why_bad_state_url("redis://host/x"), "");
}

TEST(StateUrl, OfWhoeverRunsIt) {
    EXPECT_EQ(personal_state_url(true, "/state", "/root"), "sqlite:/var/lib/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, "/state", "/home/bob"), "sqlite:/state/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, nullptr, "/home/bob"), "sqlite:/home/bob/.local/state/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, "", "/home/bob"), "sqlite:/home/bob/.local/state/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, "state", "/home/bob"), "sqlite:/home/bob/.local/state/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, nullptr, nullptr), "sqlite:/var/lib/popgate/state.db");
    EXPECT_EQ(personal_state_url(false, nullptr, "home"), "sqlite:/var/lib/popgate/state.db");
}

}  // namespace
}  // namespace popgate
