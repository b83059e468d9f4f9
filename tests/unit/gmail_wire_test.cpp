#include "backends/gmail/wire.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace popgate::gmail {
namespace {

TEST(GmailWire, ReadsPagesOfIds) {
    const auto page =
        parse_id_page(R"({"messages":[{"id":"18c0a","threadId":"18c0a"},{"id":"18c0b"}],"nextPageToken":"09x"})");
    ASSERT_TRUE(page);
    EXPECT_EQ(page->ids, (std::vector<std::string>{"18c0a", "18c0b"}));
    EXPECT_EQ(page->next_page, "09x");
    const auto empty = parse_id_page(R"({"resultSizeEstimate":0})");
    ASSERT_TRUE(empty);
    EXPECT_TRUE(empty->ids.empty() && empty->next_page.empty());
}

TEST(GmailWire, RefusesWhatIsNoPage) {
    for (const auto* body :
         {"", "<html>", "[]", "null", R"({"messages":{}})", R"({"messages":[{}]})", R"({"messages":["18c"]})",
          R"({"messages":[{"id":""}]})", R"({"messages":[{"id":"../x"}]})", R"({"messages":[{"id":"a\r\nb"}]})"}) {
        const auto page = parse_id_page(body);
        ASSERT_FALSE(page) << body;
        EXPECT_EQ(page.error().code, Errc::temporary) << body;
    }
}

TEST(GmailWire, ReadsLabels) {
    const auto label = parse_label(R"({"id":"INBOX","name":"INBOX","messagesTotal":7,"type":"system"})");
    ASSERT_TRUE(label);
    EXPECT_EQ(label->messages_total, 7U);
    EXPECT_FALSE(parse_label("{}"));
    const auto labels = parse_labels(R"({"labels":[{"id":"INBOX","name":"INBOX"},{"id":"Label_3","name":"A/b"}]})");
    ASSERT_TRUE(labels);
    ASSERT_EQ(labels->size(), 2U);
    EXPECT_EQ(labels->at(1).name, "A/b");
    EXPECT_FALSE(parse_labels(R"({"labels":[{"name":"x"}]})"));
}

TEST(GmailWire, ReadsDetails) {
    const auto detail = parse_detail(
        R"({"id":"18c","sizeEstimate":4321,"internalDate":"1700000000999","labelIds":["UNREAD","INBOX"]})");
    ASSERT_TRUE(detail);
    EXPECT_EQ(detail->octets, 4321U);
    EXPECT_EQ(detail->arrival, 1'700'000'000);
    EXPECT_TRUE(is_under("INBOX", detail->labels));
    EXPECT_FALSE(is_under("TRASH", detail->labels));
    const auto bare = parse_detail(R"({"id":"18c","internalDate":"-5"})");
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->arrival, 0);
    EXPECT_FALSE(is_under("INBOX", bare->labels));
}

TEST(GmailWire, WhatIsInTheTrashShowsThereAlone) {
    EXPECT_FALSE(is_under("Label_1", {"Label_1", "TRASH"}));
    EXPECT_FALSE(is_under("Label_1", {"Label_1", "SPAM"}));
    EXPECT_TRUE(is_under("TRASH", {"Label_1", "TRASH"}));
}

TEST(GmailWire, ReadsHistoryInItsOrder) {
    const auto page = parse_history(R"({"historyId":"1234","nextPageToken":"t","history":[
        {"id":"1","messages":[{"id":"a"}],"messagesAdded":[{"message":{"id":"a","labelIds":["INBOX","UNREAD"]}},
                                                           {"message":{"id":"sent","labelIds":["SENT"]}},
                                                           {"message":{"id":"b"}}]},
        {"id":"2","labelsRemoved":[{"message":{"id":"a"},"labelIds":["UNREAD"]},
                                   {"message":{"id":"c"},"labelIds":["INBOX","UNREAD"]}]},
        {"id":"3","labelsAdded":[{"message":{"id":"d"},"labelIds":["INBOX"]},
                                 {"message":{"id":"e"},"labelIds":["TRASH"]},
                                 {"message":{"id":"f"},"labelIds":["STARRED"]}]},
        {"id":"4","messagesDeleted":[{"message":{"id":"a"}}]}]})",
                                    "INBOX");
    ASSERT_TRUE(page) << page.error().detail;
    std::string told;
    for (const auto& change : page->changes) told += change.id + (change.has_left ? "- " : "? ");
    EXPECT_EQ(told, "a? b? c- d? e? a- ");
    EXPECT_EQ(page->history_id, "1234");
    EXPECT_EQ(page->next_page, "t");
    const auto nothing = parse_history(R"({"historyId":"5"})", "INBOX");
    ASSERT_TRUE(nothing);
    EXPECT_TRUE(nothing->changes.empty());
}

TEST(GmailWire, RefusesHistoryThatItDoesNotUnderstand) {
    for (const auto* body :
         {"{}", R"({"historyId":"x"})", R"({"historyId":"1","history":{}})",
          R"({"historyId":"1","history":[{"messagesDeleted":[{}]}]})",
          R"({"historyId":"1","history":[{"messagesDeleted":[{"message":{}}]}]})",
          R"({"historyId":"1","history":[{"labelsAdded":[{"message":{"id":"a b"},"labelIds":["INBOX"]}]}]})"})
        EXPECT_FALSE(parse_history(body, "INBOX")) << body;
}

TEST(GmailWire, ReadsReasons) {
    EXPECT_EQ(reason_of(R"({"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}],
                        "status":"PERMISSION_DENIED"}})"),
              "rateLimitExceeded");
    EXPECT_EQ(reason_of(R"({"error":{"code":403,"status":"PERMISSION_DENIED",
                        "details":[{"@type":"x"},{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}})"),
              "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    EXPECT_EQ(reason_of(R"({"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}})"), "RESOURCE_EXHAUSTED");
    EXPECT_EQ(reason_of("<html>"), "");
    EXPECT_EQ(reason_of(R"({"error":"invalid_grant"})"), "");
    EXPECT_TRUE(is_rate_limit("userRateLimitExceeded"));
    EXPECT_FALSE(is_rate_limit("insufficientPermissions"));
    EXPECT_TRUE(is_lack_of_scope("insufficientPermissions"));
}

TEST(GmailWire, ReadsTheHistoryIdOfAProfile) {
    EXPECT_EQ(*parse_history_id(R"({"emailAddress":"a@b","historyId":"987"})"), "987");
    EXPECT_EQ(*parse_history_id(R"({"historyId":987})"), "987");
    EXPECT_FALSE(parse_history_id(R"({"historyId":"-1"})"));
    EXPECT_FALSE(parse_history_id("{}"));
}

}  // namespace
}  // namespace popgate::gmail
