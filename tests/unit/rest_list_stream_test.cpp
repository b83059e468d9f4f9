#include "backends/rest/list_stream.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace popgate::rest {
namespace {

using Elements = std::vector<std::vector<std::string>>;

struct Read {
    Elements elements;
    std::vector<std::string> values;
    bool ok = false;
};

/// The same whatever the pieces are in which it comes.
Read read(const std::string& text, const std::string& array, const std::vector<std::string>& in_element,
          const std::vector<std::string>& in_answer = {}) {
    std::optional<Read> before;
    for (const std::size_t piece : {text.size() + 1, std::size_t{1}, std::size_t{3}}) {
        ListStream list(array, in_element, in_answer);
        for (std::size_t i = 0; i < text.size(); i += piece)
            if (!list.write(std::string_view(text).substr(i, piece))) break;
        Read now{{}, {}, list.finish().has_value()};
        now.elements = list.elements;
        now.values = list.values;
        if (before && now.ok) {
            EXPECT_EQ(now.elements, before->elements);
            EXPECT_EQ(now.values, before->values);
        }
        if (before) {
            EXPECT_EQ(now.ok, before->ok) << text;
        }
        before = now;
    }
    return *before;
}

TEST(ListStream, TakesScalarsOfEachElement) {
    const auto got =
        read(R"({"total":2,"data":{"list":[{"id":"a","n":{"size":10},"body":{"id":"x","list":[{"id":"y"}]}},
        {"n":{"size":-1.5e3},"seen":true,"id":12345678901234567890}]},"next":null})",
             "/data/list", {"/id", "/n/size", "/seen"}, {"/total", "/next", "/data"});
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.elements, (Elements{{"a", "10", ""}, {"12345678901234567890", "-1.5e3", "true"}}));
    EXPECT_EQ(got.values, (std::vector<std::string>{"2", "", ""}));
}

TEST(ListStream, TheWholeAnswerMayBeTheArray) {
    const auto got = read(R"([{"id":"a"},{},3,{"a":[0,{"id":"b"}],"id":"c"}])", "", {"/id", "/a/1/id"});
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.elements, (Elements{{"a", ""}, {"", ""}, {"", ""}, {"c", "b"}}));
    EXPECT_TRUE(read("[]", "", {"/id"}).ok);
}

TEST(ListStream, NumbersBeyondAnyTypeKeepTheirText) {
    const auto got = read(R"([{"id":123456789012345678901234567890},{"id":18446744073709551615}])", "", {"/id"});
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.elements, (Elements{{"123456789012345678901234567890"}, {"18446744073709551615"}}));
}

TEST(ListStream, WhatIsNoListIsNoEmptyOne) {
    for (const auto* text : {"", "{}", "null", R"({"list":null})", R"({"list":{}})", R"({"other":[]})", "[]",
                             R"({"list":[{"id":1}])", R"({"list":[{"id":1}]} x)", "<html>", R"({"list":[],"list":[]})"})
        EXPECT_FALSE(read(text, "/list", {"/id"}).ok) << text;
}

TEST(ListStream, IsBounded) {
    EXPECT_FALSE(read("[" + std::string(40, '[') + std::string(40, ']') + "]", "", {"/id"}).ok);
    EXPECT_FALSE(read(R"([{"id":")" + std::string(5000, 'x') + "\"}]", "", {"/id"}).ok);
    const auto got =
        read(R"([{"body":")" + std::string(50'000, 'x') + "\",\"" + std::string(5000, 'k') + R"(":1,"id":"a"}])", "",
             {"/id"});
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.elements, (Elements{{"a"}}));
}

TEST(ListStream, EscapesAreRead) {
    const auto got = read(R"([{"i\u0064":"a\u00e9\n"}])", "", {"/id"});
    EXPECT_EQ(got.elements, (Elements{{"a\xC3\xA9\n"}}));
}

}  // namespace
}  // namespace popgate::rest
