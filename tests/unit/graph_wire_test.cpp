#include "backends/graph/listing.hpp"
#include "backends/graph/wire.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

namespace popgate::graph {
namespace {

using namespace std::chrono_literals;

TEST(GraphWire, ReadsAPageOfADelta) {
    const auto page =
        parse_page(R"({"@odata.context":"x","@odata.count":"12","@odata.nextLink":"https://h/v1.0/n?a=%20",
        "value":[{"id":"AAkB-_1","receivedDateTime":"2026-01-02T03:04:05Z",
                  "singleValueExtendedProperties":[{"id":"String 0x1","value":"9"},{"id":"Integer 0xe08","value":"4096"}]},
                 {"id":"b","@removed":{"reason":"deleted"}},
                 {"id":"c","receivedDateTime":null,"singleValueExtendedProperties":[{"id":"LONG 0x0E08","value":17}]},
                 {"id":"d","singleValueExtendedProperties":[{"id":"Integer 0xe080","value":"1"},{"id":"Integer 0xe08","value":"x"}]}]})");
    ASSERT_TRUE(page) << page.error().detail;
    ASSERT_EQ(page->items.size(), 4U);
    EXPECT_EQ(page->items[0].id, "AAkB-_1");
    EXPECT_EQ(page->items[0].arrival, 1'767'323'045);
    EXPECT_EQ(page->items[0].octets, 4096U);
    EXPECT_FALSE(page->items[0].removed);
    EXPECT_TRUE(page->items[1].removed);
    EXPECT_EQ(page->items[2].octets, 17U);
    EXPECT_EQ(page->items[2].arrival, std::nullopt);
    EXPECT_EQ(page->items[3].octets, std::nullopt);
    EXPECT_EQ(page->next_link, "https://h/v1.0/n?a=%20");
    EXPECT_EQ(page->delta_link, "");
    EXPECT_EQ(page->count, 12U);
}

TEST(GraphWire, WhatIsNoPageIsRefused) {
    for (const auto* text : {"", "<html>", "[]", "{}", R"({"value":{}})", R"({"error":{"code":"x"}})",
                             R"({"value":[{"id":""}]})", R"({"value":[{"receivedDateTime":"2026-01-02T03:04:05Z"}]})",
                             R"({"value":[1]})", R"({"value":[{"id":"a b"}]})", R"({"value":[{"id":"a\r\nb"}]})"}) {
        const auto page = parse_page(text);
        ASSERT_FALSE(page) << text;
        EXPECT_EQ(page.error().code, Errc::temporary);
    }
}

TEST(GraphWire, ReadsFoldersAndErrors) {
    const auto folder = parse_folder(R"({"id":"F=","displayName":"Posteingang","totalItemCount":3})");
    ASSERT_TRUE(folder);
    EXPECT_EQ(folder->id, "F=");
    EXPECT_EQ(folder->items, 3U);
    EXPECT_FALSE(parse_folder(R"({"totalItemCount":3})"));
    const auto folders = parse_folders(R"({"value":[{"id":"1","displayName":"A"}],"@odata.nextLink":"n"})");
    ASSERT_TRUE(folders);
    EXPECT_EQ(folders->folders.at(0).name, "A");
    EXPECT_EQ(folders->next_link, "n");
    EXPECT_EQ(parse_error_code(R"({"error":{"code":"ErrorItemNotFound","message":"m"}})"), "ErrorItemNotFound");
    EXPECT_EQ(parse_error_code("<html>"), "");
}

TEST(GraphWire, EachRequestOfABatchAsksForImmutableIds) {
    const std::vector<InnerRequest> requests = {{"DELETE", "/me/messages/a%3D", ""},
                                                {"POST", "/me/messages/b/move", R"({"destinationId":"x"})"}};
    const auto batch = boost::json::parse(to_batch(requests));
    const auto& inner = batch.at("requests").as_array();
    ASSERT_EQ(inner.size(), 2U);
    EXPECT_EQ(inner[0].at("id").as_string(), "1");
    EXPECT_EQ(inner[0].at("method").as_string(), "DELETE");
    EXPECT_EQ(inner[0].at("url").as_string(), "/me/messages/a%3D");
    EXPECT_EQ(inner[0].at("headers").at("Prefer").as_string(), "IdType=\"ImmutableId\"");
    EXPECT_FALSE(inner[0].as_object().contains("body"));
    EXPECT_EQ(inner[1].at("headers").at("Prefer").as_string(), "IdType=\"ImmutableId\"");
    EXPECT_EQ(inner[1].at("headers").at("Content-Type").as_string(), "application/json");
    EXPECT_EQ(inner[1].at("body").at("destinationId").as_string(), "x");
}

TEST(GraphWire, AnswersOfABatchAreTakenByTheirIds) {
    const auto answers = parse_batch(R"({"responses":[
        {"id":"3","status":429,"headers":{"retry-after":"7"},"body":{"error":{"code":"TooManyRequests"}}},
        {"id":1,"status":"204"},{"id":"9","status":200},{"id":"0","status":200},{"id":"x","status":200},{"id":"4"},
        {"id":"2","status":200,"body":{"id":"m","parentFolderId":"F"}}]})",
                                     5);
    ASSERT_TRUE(answers);
    ASSERT_EQ(answers->size(), 5U);
    EXPECT_EQ((*answers)[0].status, 204);
    EXPECT_EQ((*answers)[1].parent_folder, "F");
    EXPECT_EQ((*answers)[2].status, 429);
    EXPECT_EQ((*answers)[2].wait, 7s);
    EXPECT_EQ((*answers)[2].code, "TooManyRequests");
    EXPECT_EQ((*answers)[3].status, 0);
    EXPECT_EQ((*answers)[4].status, 0);
    EXPECT_FALSE(parse_batch(R"({"value":[]})", 1));
}

TEST(GraphWire, AStateIsReadAsItWasWritten) {
    for (const bool unfinished : {false, true}) {
        const ListingState state{unfinished, "https://h/v1.0/me/x?$deltatoken=a b%20"};
        const auto text = to_text(state);
        EXPECT_EQ(parse_listing_state(text), state);
        for (const auto& other : {text + "1", text.substr(1), text.substr(0, text.size() - 1), std::string(),
                                  std::string("graph1"), std::string("graph1 finished 0 "), "x" + text})
            EXPECT_EQ(parse_listing_state(other), std::nullopt) << other;
    }
}

Item shown(std::string id, std::int64_t arrival, std::uint64_t octets) {
    return {std::move(id), false, arrival, octets};
}
Item removed(std::string id) { return {std::move(id), true, {}, {}}; }

std::string ids_of(const std::vector<MessageInfo>& messages) {
    std::string ids;
    for (const auto& each : messages) ids += each.id;
    return ids;
}

std::vector<MessageInfo> known() { return {{"a", 10, 1, "", 1, true}, {"b", 20, 2, "", 2}, {"c", 30, 3, "", 3, true}}; }

TEST(GraphSnapshot, ChangesAreAppliedToWhatIsKnown) {
    Snapshot snapshot(known());
    snapshot.apply(removed("a"));
    snapshot.apply(removed("unknown"));
    snapshot.apply(shown("e", 5, 50));
    snapshot.apply(shown("d", 5, 50));
    snapshot.apply(shown("d", 5, 51));
    snapshot.apply(shown("c", 3, 99));
    snapshot.apply(shown("b", 2, 99));
    EXPECT_EQ(snapshot.size(true), 4U);
    const auto messages = snapshot.take(true);
    ASSERT_EQ(ids_of(messages), "bcde");
    EXPECT_EQ(messages[0].octets, 99U);
    EXPECT_EQ(messages[0].tag, 2U);
    EXPECT_EQ(messages[1].octets, 30U) << "a size that was measured is not replaced by an estimate";
    EXPECT_TRUE(messages[1].octets_are_exact);
    EXPECT_EQ(messages[2].octets, 51U);
    EXPECT_FALSE(messages[2].octets_are_exact);
    EXPECT_EQ(messages[2].tag, 0U);
}

TEST(GraphSnapshot, TheLastWordCounts) {
    Snapshot snapshot({});
    snapshot.apply(shown("a", 1, 1));
    snapshot.apply(removed("a"));
    snapshot.apply(shown("b", 1, 1));
    snapshot.apply(removed("b"));
    snapshot.apply(shown("b", 1, 1));
    EXPECT_EQ(snapshot.size(false), 1U);
    EXPECT_EQ(ids_of(snapshot.take(false)), "b");
}

TEST(GraphSnapshot, AnewOnlyWhatIsShownIsThere) {
    Snapshot snapshot(known());
    snapshot.apply(shown("d", 9, 1));
    snapshot.apply(removed("a"));
    snapshot.begin_anew();
    EXPECT_EQ(snapshot.size(false), 0U);
    snapshot.apply(shown("c", 3, 1));
    EXPECT_EQ(snapshot.size(false), 1U);
    EXPECT_EQ(snapshot.size(true), 3U) << "interrupted now, b, c and d are not forgotten";
    const auto messages = snapshot.take(false);
    ASSERT_EQ(ids_of(messages), "c");
    EXPECT_EQ(messages[0].tag, 3U);
}

TEST(GraphSnapshot, AMessageWithoutSizeIsNotShownAsEmpty) {
    Snapshot snapshot({});
    snapshot.apply({"a", false, {}, {}});
    EXPECT_GT(snapshot.take(false).at(0).octets, 0U);
}

}  // namespace
}  // namespace popgate::graph
