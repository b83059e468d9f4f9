#include "backends/gmail/batch.hpp"

#include <gtest/gtest.h>

#include <string>

namespace popgate::gmail {
namespace {

constexpr auto type = "multipart/mixed; boundary=batch_x";

std::string part(const std::string& id, const std::string& status, const std::string& body) {
    return "--batch_x\r\nContent-Type: application/http\r\nContent-ID: " + id + "\r\n\r\nHTTP/1.1 " + status +
           "\r\nContent-Type: application/json; charset=UTF-8\r\nVary: Origin\r\n\r\n" + body + "\r\n";
}

TEST(GmailBatch, AsksAsRfc2046Says) {
    EXPECT_EQ(make_batch({"/a?b=c", "/d"}),
              "--popgate_batch\r\nContent-Type: application/http\r\nContent-ID: <item-0>\r\n\r\n"
              "GET /a?b=c HTTP/1.1\r\n\r\n\r\n"
              "--popgate_batch\r\nContent-Type: application/http\r\nContent-ID: <item-1>\r\n\r\n"
              "GET /d HTTP/1.1\r\n\r\n\r\n"
              "--popgate_batch--\r\n");
}

TEST(GmailBatch, ReadsAnswersInAnyOrder) {
    const auto body = part("<response-item-2>", "429 Too Many Requests", "{}") +
                      part("<response-item-0>", "200 OK", "{\n\"id\": \"1\"\n}") + "--batch_x--\r\n";
    for (const auto* each : {type, "Multipart/Mixed; charset=x; Boundary=\"batch_x\"; y=z"}) {
        const auto answers = parse_batch(each, body, 3);
        ASSERT_TRUE(answers) << answers.error().detail;
        ASSERT_EQ(answers->size(), 3U);
        EXPECT_EQ(answers->at(0)->status, 200);
        EXPECT_EQ(answers->at(0)->body, "{\n\"id\": \"1\"\n}");
        EXPECT_FALSE(answers->at(1));
        EXPECT_EQ(answers->at(2)->status, 429);
    }
}

TEST(GmailBatch, LineEndsMayBeBare) {
    auto body = "preamble\r\n" + part("response-item-0", "404 Not Found", "") + "--batch_x--";
    std::erase(body, '\r');
    const auto answers = parse_batch(type, body, 1);
    ASSERT_TRUE(answers) << answers.error().detail;
    EXPECT_EQ(answers->at(0)->status, 404);
    EXPECT_EQ(answers->at(0)->body, "");
}

TEST(GmailBatch, WhatIsNotCompleteIsNoAnswer) {
    const auto whole = part("<response-item-0>", "200 OK", "{}") + "--batch_x--";
    ASSERT_TRUE(parse_batch(type, whole, 1));
    for (std::size_t cut = 0; cut < whole.size(); ++cut)
        EXPECT_FALSE(parse_batch(type, whole.substr(0, cut), 1)) << whole.substr(0, cut);
}

TEST(GmailBatch, RefusesWhatItDidNotAskFor) {
    const auto end = std::string("--batch_x--\r\n");
    const auto good = part("<response-item-0>", "200 OK", "{}");
    EXPECT_FALSE(parse_batch(type, good + good + end, 2));
    EXPECT_FALSE(parse_batch(type, part("<response-item-1>", "200 OK", "{}") + end, 1));
    EXPECT_FALSE(parse_batch(type, part("<response-item-x>", "200 OK", "{}") + end, 1));
    EXPECT_FALSE(parse_batch(type, part("<response-item-0>", "x", "{}") + end, 1));
    EXPECT_FALSE(parse_batch(type, "--batch_x\r\n\r\nnonsense\r\n" + end, 1));
    EXPECT_FALSE(parse_batch("application/json", good + end, 1));
    EXPECT_FALSE(parse_batch("multipart/mixed", good + end, 1));
    EXPECT_FALSE(parse_batch("multipart/mixed; boundary=", good + end, 1));
    EXPECT_FALSE(parse_batch("multipart/mixed; boundary=other", good + end, 1));
}

}  // namespace
}  // namespace popgate::gmail
