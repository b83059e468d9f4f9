#include "backends/rest/description.hpp"

#include "backends/rest/api.hpp"

#include <gtest/gtest.h>

namespace popgate::rest {
namespace {

std::string problems_of(const Description& description) {
    std::string all;
    for (const auto& each : check(description)) all += each.key + ": " + each.text + "\n";
    return all;
}

Description whole() {
    Description api;
    api.name = "mine";
    api.list = "/mail?limit={limit}";
    api.raw = "/mail/{id}";
    api.remove.url = "/mail/{id}";
    return api;
}

TEST(RestDescription, PresetsAreRight) {
    ASSERT_EQ(presets().size(), 3U);
    for (const auto& each : presets()) {
        EXPECT_EQ(problems_of(each), "") << each.name;
        EXPECT_EQ(find_preset(each.name), &each);
    }
    EXPECT_EQ(find_preset("other"), nullptr);
    EXPECT_EQ(problems_of(whole()), "");
}

TEST(RestDescription, WhatIsMissingIsTold) {
    const auto all = problems_of({});
    for (const auto* key : {"name: ", "list: is missing", "raw: is missing", "delete: is missing"})
        EXPECT_NE(all.find(key), std::string::npos) << key << " in " << all;
}

TEST(RestDescription, EachMistakeIsToldUnderItsKey) {
    const auto with = [](auto change) {
        auto api = whole();
        change(api);
        return problems_of(api);
    };
    EXPECT_EQ(with([](auto& api) { api.list = "/mail?{limt}"; }), "list: {limt} is unknown here\n");
    EXPECT_EQ(with([](auto& api) { api.list = "/mail?{limit"; }),
              "list: has a brace that is not closed, or not open\n");
    EXPECT_EQ(with([](auto& api) { api.list = "mail"; }), "list: must begin with \"/\"\n");
    EXPECT_EQ(with([](auto& api) { api.list = "/%x"; }),
              "list: has a % that is neither %u, %n or %d nor an encoded octet\n");
    EXPECT_EQ(with([](auto& api) { api.list = "/%data"; }),
              "list: %da is the domain or an encoded octet: the octet is written %Da\n");
    EXPECT_EQ(with([](auto& api) { api.list = "/%Da/%d/%domain"; }), "");
    EXPECT_EQ(with([](auto& api) { api.raw = "/mail"; }), "raw: {id} is missing\n");
    EXPECT_EQ(with([](auto& api) { api.id = "id"; }),
              "id: \"id\" is no JSON pointer, as \"/id\" or \"/data/messages\"\n");
    EXPECT_EQ(with([](auto& api) { api.size = "/a~2"; }),
              "size: \"/a~2\" is no JSON pointer, as \"/id\" or \"/data/messages\"\n");
    EXPECT_EQ(with([](auto& api) { api.gone_too = "500"; }),
              "gone_too: a status but 404 and 410 needs a text, as \"500 Email not found\"\n");
    EXPECT_EQ(with([](auto& api) { api.paging = Paging::offset; }), "list: {offset} is missing\n");
    EXPECT_EQ(with([](auto& api) { api.paging = Paging::cursor; }),
              "list_next: is missing\nnext: is missing: paging = \"cursor\" needs it\n");
    EXPECT_EQ(with([](auto& api) {
                  api.remove = {"GET", "/mail/{id}", {}};
              }),
              "delete_method: must be DELETE, POST, PUT or PATCH\n");
    EXPECT_EQ(with([](auto& api) {
                  api.remove = {"DELETE", "/mail", {}};
              }),
              "delete: names no message: {id}, or {ids} in its body, is needed\n");
    EXPECT_EQ(with([](auto& api) {
                  api.mark_seen = {"PUT", "/mail", R"({"IDs":[],"Read":true})"};
              }),
              "mark_seen: names no message: {id}, or {ids} in its body, is needed\n");
    EXPECT_EQ(with([](auto& api) {
                  api.move = {"PUT", "/mail/{target}", {}};
              }),
              "move: names no message: {id}, or {ids} in its body, is needed\n");
    EXPECT_EQ(with([](auto& api) { api.move.url = "/mail/{id}"; }), "move: {target} is missing\n");
}

TEST(RestDescription, PointersAreUnescaped) {
    std::vector<std::string> tokens;
    EXPECT_TRUE(split_pointer("/a~1b/~0/", tokens));
    EXPECT_EQ(tokens, (std::vector<std::string>{"a/b", "~", ""}));
    EXPECT_TRUE(split_pointer("", tokens));
    EXPECT_TRUE(tokens.empty());
    EXPECT_FALSE(split_pointer("/a~", tokens));
}

TEST(RestDescription, UserNamesAreEncoded) {
    EXPECT_EQ(expand_user("/u/%u/%n/%d%2F", "a/b{id}@x.org"), "/u/a%2Fb%7Bid%7D%40x.org/a%2Fb%7Bid%7D/x.org%2F");
    EXPECT_EQ(expand_user("/%n/%d", "joe"), "/joe/");
}

}  // namespace
}  // namespace popgate::rest
