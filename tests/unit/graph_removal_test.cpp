// What becomes of messages when a part of a batch fails, or its answer is lost.
#include "tests/support/scripted_graph.hpp"

namespace popgate::graph {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(GraphRemoval, RemovesByTwentyWhatIsStillInTheFolder) {
    Graph graph;
    fill(graph, 45);
    graph.parents["m1001"] = "ELSEWHERE";
    graph.parents.erase("m1002");
    on_fiber([&](Fiber& fiber) {
        const auto report = graph.open(fiber)->remove(messages(44));
        EXPECT_TRUE(report.status);
        std::vector expected(44, Removal::removed);
        expected[1] = expected[2] = Removal::gone;
        EXPECT_EQ(report.outcomes, expected);
    });
    EXPECT_EQ(graph.inbox(), std::vector<std::string>{"m1044"});
    EXPECT_EQ(graph.parents["m1001"], "ELSEWHERE");
    EXPECT_EQ(graph.count("$batch"), 6);
}

/// Lets the folder do what was asked, and then loses or alters the answer to the `wanted` batch that changes something.
struct BatchFault {
    int wanted = 1;
    std::function<std::string(json::value)> alter;
    int seen = 0;
    std::string operator()(Graph& graph, const ScriptedHttp::Asked& asked, const std::string& method) {
        if (asked.target().find("$batch") == std::string::npos) return "";
        if (asked.body.find("\"" + method + "\"") == std::string::npos || ++seen != wanted) return "";
        return alter(graph.batch(asked.body));
    }
};

TEST(GraphRemoval, AMoveWhoseAnswerIsLostIsNotRepeatedBlindly) {
    Graph* self = nullptr;
    BatchFault fault{1, [](const json::value&) { return std::string(ScriptedHttp::hang_up); }};
    Graph graph([&](const auto& asked) { return fault(*self, asked, "POST"); });
    self = &graph;
    fill(graph, 3);
    on_fiber([&](Fiber& fiber) {
        const auto report = graph.open(fiber)->move(messages(3), SpecialFolder::trash);
        EXPECT_TRUE(report.status) << report.status.error().detail;
        EXPECT_EQ(report.outcomes, std::vector(3, Removal::removed));
    });
    EXPECT_EQ(fault.seen, 1);
    EXPECT_EQ(graph.parents["m1000"], "TRASH");
}

TEST(GraphRemoval, OnlyThoseThatWereThrottledAreTriedAgain) {
    Graph* self = nullptr;
    BatchFault fault{1, [&](json::value answer) {
                         for (auto& each : answer.at("responses").as_array()) {
                             if (each.at("id").as_string() != "2") continue;
                             each.at("status") = 429;
                             each.as_object()["headers"] = {{"Retry-After", "1"}};
                             self->parents["m1001"] = "IN";
                         }
                         return ok(answer);
                     }};
    Graph graph([&](const auto& asked) { return fault(*self, asked, "DELETE"); });
    self = &graph;
    fill(graph, 3);
    on_fiber([&](Fiber& fiber) {
        const auto begun = Clock::now();
        const auto report = graph.open(fiber)->remove(messages(3));
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector(3, Removal::removed));
        EXPECT_GE(Clock::now() - begun, 1s);
    });
    EXPECT_EQ(fault.seen, 2);
    const auto last = graph.server.asked().back().body;
    EXPECT_NE(last.find("m1001"), std::string::npos);
    EXPECT_EQ(last.find("m1000"), std::string::npos);
    EXPECT_TRUE(graph.inbox().empty());
}

TEST(GraphRemoval, AnAnswerThatIsMissingIsAskedFor) {
    Graph* self = nullptr;
    BatchFault fault{1, [](json::value answer) {
                         auto& responses = answer.at("responses").as_array();
                         responses.erase(responses.begin());
                         return ok(answer);
                     }};
    Graph graph([&](const auto& asked) { return fault(*self, asked, "DELETE"); });
    self = &graph;
    fill(graph, 3);
    on_fiber([&](Fiber& fiber) {
        const auto report = graph.open(fiber)->remove(messages(3));
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector(3, Removal::removed));
    });
    EXPECT_EQ(fault.seen, 1);
}

TEST(GraphRemoval, WhatCannotBeFoundOutIsUnknown) {
    bool is_down = false;
    Graph graph([&](const auto& asked) -> std::string {
        if (asked.target().find("$batch") == std::string::npos) return "";
        is_down = is_down || asked.body.find("DELETE") != std::string::npos;
        return is_down ? ScriptedHttp::hang_up : "";
    });
    fill(graph, 3);
    on_fiber([&](Fiber& fiber) {
        const auto report = graph.open(fiber)->remove(messages(2));
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::temporary);
        EXPECT_EQ(report.outcomes, std::vector(2, Removal::unknown));
    });
}

TEST(GraphRemoval, WhatIsNotOfferedIsSaidAndNothingIsRemoved) {
    Graph graph;
    fill(graph, 2);
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = graph.open(fiber);
        for (const auto& report : {mailbox->purge(messages(2)), mailbox->move(messages(2), SpecialFolder::archive)}) {
            ASSERT_FALSE(report.status);
            EXPECT_EQ(report.status.error().code, Errc::permanent);
            EXPECT_EQ(report.outcomes, std::vector(2, Removal::failed));
        }
    });
    EXPECT_EQ(graph.inbox().size(), 2U);
}

TEST(GraphRemoval, A404ForAMessageThatIsThereIsNoRemoval) {
    Graph graph([&](const auto& asked) -> std::string {
        if (asked.body.find("permanentDelete") == std::string::npos) return "";
        return ok({{"responses", json::array{{{"id", "1"}, {"status", 404}}, {{"id", "2"}, {"status", 404}}}}});
    });
    fill(graph, 2);
    on_fiber([&](Fiber& fiber) {
        const auto report = graph.open(fiber)->purge(messages(2));
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::permanent);
        EXPECT_EQ(report.outcomes, std::vector(2, Removal::failed));
    });
}

TEST(GraphMailbox, MarksAsReadByBatches) {
    Graph graph;
    fill(graph, 45);
    graph.parents.erase("m1002");
    on_fiber([&](Fiber& fiber) { EXPECT_TRUE(graph.open(fiber)->mark_seen(messages(44))); });
    EXPECT_EQ(graph.read.size(), 43U);
    EXPECT_EQ(graph.count("$batch"), 3);
}

}  // namespace
}  // namespace popgate::graph
