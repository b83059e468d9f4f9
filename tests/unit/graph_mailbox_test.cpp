// What the mailbox asks Microsoft Graph, and what it makes of answers that a well-behaved server gives seldom.
#include "backends/graph/graph_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <atomic>
#include <map>
#include <set>

namespace popgate::graph {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;
namespace json = boost::json;

constexpr const char* json_type = "Content-Type: application/json\r\n";

std::string ok(const json::value& body) { return ScriptedHttp::say("200 OK", json::serialize(body), json_type); }
std::string failing(const std::string& status, const std::string& code, const std::string& headers = "") {
    return ScriptedHttp::say(status, R"({"error":{"code":")" + code + R"("}})", json_type + headers);
}

/// A folder "inbox" whose id is IN. Tests put themselves before it with `other`: an empty text leaves it to the folder.
class Graph {
public:
    using Other = std::function<std::string(const ScriptedHttp::Asked&)>;

    explicit Graph(Other other = {}) : other_(std::move(other)) {}

    std::map<std::string, std::string> parents;  ///< of each message, its folder
    std::optional<int> item_count;               ///< what the folder says, if not the truth
    std::optional<int> message_count;
    std::size_t page = 100;
    int shown_twice = 0;

    ScriptedHttp server{[this](const ScriptedHttp::Asked& asked, std::size_t) { return answer(asked); }};

    std::unique_ptr<Mailbox> open(Fiber& fiber, BackendOptions options = {}) const {
        auto opened = try_open(fiber, std::move(options));
        if (!opened) throw std::runtime_error(opened.error().text + ": " + opened.error().detail);
        return std::move(*opened);
    }
    Result<std::unique_ptr<Mailbox>> try_open(Fiber& fiber, BackendOptions options = {}) const {
        options.url = "graph:" + server.origin();
        options.command_timeout = 5s;
        auto backend = make_graph_backend(options);
        if (!backend) return backend.error();
        return (*backend)->open(fiber, "user@example.org", Secret("token"));
    }

    std::string link(const std::string& query) const {
        return server.origin() + "/v1.0/me/mailFolders/IN/messages/delta?" + query;
    }
    static json::value item(const std::string& id) {
        return {{"id", id},
                {"receivedDateTime", "2026-01-02T03:04:05Z"},
                {"singleValueExtendedProperties", json::array{{{"id", "Integer 0xe08"}, {"value", "100"}}}}};
    }
    std::vector<std::string> inbox() const {
        std::vector<std::string> ids;
        for (const auto& [id, parent] : parents)
            if (parent == "IN") ids.push_back(id);
        return ids;
    }
    /// How many requests there were whose first line holds `text`.
    long count(const std::string& text) const {
        const auto asked = server.asked();
        return std::ranges::count_if(asked, [&](const auto& each) {
            return each.head.substr(0, each.head.find("\r\n")).find(text) != std::string::npos;
        });
    }

private:
    std::string answer(const ScriptedHttp::Asked& asked) {
        EXPECT_TRUE(asked.has("IdType=\"ImmutableId\"")) << asked.head;
        EXPECT_TRUE(asked.has("Authorization: Bearer token")) << asked.head;
        if (other_)
            if (auto said = other_(asked); !said.empty()) return said;
        const auto target = asked.target();
        const auto has = [&](const char* text) { return target.find(text) != std::string::npos; };
        if (has("/$batch")) return ok(batch(asked.body));
        if (has("/messages/delta")) return ok(delta(target));
        if (has("$count=true"))
            return ok(
                {{"value", json::array{}}, {"@odata.count", message_count.value_or(static_cast<int>(inbox().size()))}});
        if (has("/messages?")) return ok(list(target));
        if (has("/mailFolders/inbox?") || has("/mailFolders/IN?"))
            return ok({{"id", "IN"}, {"totalItemCount", item_count.value_or(static_cast<int>(inbox().size()))}});
        if (has("/mailFolders/deleteditems?")) return ok({{"id", "TRASH"}, {"totalItemCount", 0}});
        return failing("404 Not Found", "ErrorItemNotFound");
    }

    std::size_t skip_of(const std::string& target) const {
        const auto at = target.find("skip=");
        return at == std::string::npos ? 0 : std::stoul(target.substr(at + 5));
    }

    json::object page_at(std::size_t skip) const {
        json::array values;
        const auto ids = inbox();
        for (auto i = skip; i < std::min(ids.size(), skip + page); ++i) values.push_back(item(ids[i]));
        return {{"value", std::move(values)}};
    }

    json::value delta(const std::string& target) const {
        if (target.find("token=") != std::string::npos)
            return {{"value", json::array{}}, {"@odata.deltaLink", link("token=1")}};
        const auto skip = skip_of(target);
        auto answer = page_at(skip);
        const bool is_last = skip + page >= inbox().size();
        answer[is_last ? "@odata.deltaLink" : "@odata.nextLink"] =
            link(is_last ? "token=1" : "skip=" + std::to_string(skip + page));
        return answer;
    }

    json::value list(const std::string& target) const {
        const auto skip = skip_of(target);
        auto answer = page_at(skip);
        if (skip + page < inbox().size())
            answer["@odata.nextLink"] =
                server.origin() + "/v1.0/me/mailFolders/IN/messages?skip=" + std::to_string(skip + page);
        return answer;
    }

public:
    json::value batch(const std::string& body) {
        json::array responses;
        const auto requests = json::parse(body);
        for (const auto& each : requests.at("requests").as_array()) {
            json::object response{{"id", each.at("id")}};
            const std::string url(each.at("url").as_string());
            const std::string method(each.at("method").as_string());
            const std::string prefix = "/me/messages/";
            EXPECT_TRUE(url.starts_with(prefix)) << url;
            const auto id = url.substr(prefix.size(), url.find_first_of("/?", prefix.size()) - prefix.size());
            if (!parents.contains(id)) {
                response["status"] = 404;
            } else if (method == "GET") {
                response["status"] = 200;
                response["body"] = {{"id", id}, {"parentFolderId", parents[id]}};
            } else if (method == "DELETE") {
                response["status"] = 204;
                parents.erase(id);
            } else if (method == "PATCH") {
                response["status"] = 200;
                read.insert(id);
            } else if (url.ends_with("/move")) {
                response["status"] = 201;
                parents[id] = std::string(each.at("body").at("destinationId").as_string());
            } else {
                response["status"] = 400;  // permanentDelete is not offered here
            }
            responses.insert(responses.begin(), std::move(response));
        }
        return {{"responses", std::move(responses)}};
    }
    std::set<std::string> read;

private:
    Other other_;
};

void fill(Graph& graph, int count) {
    for (int i = 0; i < count; ++i) graph.parents["m" + std::to_string(1000 + i)] = "IN";
}

MessageInfo message(std::string id) { return {.id = std::move(id), .octets = 1}; }

class Text final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return true;
    }
    std::string text;
};

TEST(GraphMailbox, ListsPageByPageAndThenOnlyWhatHasChanged) {
    Graph graph;
    fill(graph, 250);
    on_fiber([&](Fiber& fiber) {
        auto listing = graph.open(fiber)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 250U);
        EXPECT_EQ(listing->messages[0].octets, 100U);
        EXPECT_FALSE(listing->messages[0].octets_are_exact);
        EXPECT_EQ(listing->still_to_come, 0U);
        EXPECT_EQ(graph.count("/messages/delta"), 3);
        listing->messages[7].tag = 8;
        const auto again = graph.open(fiber)->list({listing->state, listing->messages, "", {}});
        ASSERT_TRUE(again);
        EXPECT_EQ(again->messages.size(), 250U);
        EXPECT_EQ(again->messages[7].tag, 8U);
        EXPECT_EQ(again->state, listing->state);
        EXPECT_EQ(graph.count("/messages/delta"), 4);
    });
    EXPECT_TRUE(graph.server.asked()[1].has("odata.maxpagesize=500"));
    EXPECT_TRUE(graph.server.asked()[1].has("singleValueExtendedProperties($filter=id%20eq%20%27Integer%200x0E08%27)"));
}

TEST(GraphMailbox, ALinkElsewhereIsNotFollowed) {
    for (const std::string name : {"@odata.nextLink", "@odata.deltaLink"}) {
        std::atomic<int> strayed = 0;
        ScriptedHttp elsewhere([&](const auto&, auto) {
            ++strayed;
            return ok({{"value", json::array{}}});
        });
        Graph graph([&](const auto& asked) -> std::string {
            if (asked.target().find("/delta") == std::string::npos) return "";
            return ok({{"value", json::array{}}, {name, elsewhere.origin() + "/v1.0/x"}});
        });
        on_fiber([&](Fiber& fiber) {
            const auto listing = graph.open(fiber)->list({});
            ASSERT_FALSE(listing);
            EXPECT_EQ(listing.error().code, Errc::temporary);
        });
        EXPECT_EQ(strayed, 0);
    }
}

TEST(GraphMailbox, APageThatLeadsNowhereIsNotTheEnd) {
    for (const std::string link : {"", "same", "nonsense"}) {
        Graph graph;
        fill(graph, 3);
        Graph wrong([&](const auto& asked) -> std::string {
            if (asked.target().find("/delta") == std::string::npos) return "";
            auto body = json::object{{"value", json::array{}}};
            if (link == "same")
                body["@odata.nextLink"] = "http://" +
                                          asked.head.substr(asked.head.find("Host: ") + 6,
                                                            asked.head.find("\r\n", asked.head.find("Host: ")) -
                                                                asked.head.find("Host: ") - 6) +
                                          asked.target();
            if (link == "nonsense") body["@odata.nextLink"] = "nonsense";
            return ok(body);
        });
        on_fiber([&](Fiber& fiber) {
            const auto listing = wrong.open(fiber)->list({});
            ASSERT_FALSE(listing) << link;
            EXPECT_EQ(listing.error().code, Errc::temporary);
        });
    }
}

TEST(GraphMailbox, AListThatIsShorterThanTheFolderIsNotShown) {
    Graph graph;
    fill(graph, 3);
    graph.item_count = graph.message_count = 4;
    on_fiber([&](Fiber& fiber) {
        const auto listing = graph.open(fiber)->list({});
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(GraphMailbox, ItemsThatAreNoMessagesAreNotMissed) {
    Graph graph;
    fill(graph, 3);
    graph.item_count = 5;
    on_fiber([&](Fiber& fiber) {
        const auto listing = graph.open(fiber)->list({});
        ASSERT_TRUE(listing);
        EXPECT_EQ(listing->messages.size(), 3U);
        EXPECT_FALSE(listing->state.empty());
    });
}

TEST(GraphMailbox, AnExpiredStateBeginsAnewAndForgetsNothing) {
    for (const std::string status : {"410 Gone", "400 Bad Request", "404 Not Found"}) {
        Graph graph([&](const auto& asked) -> std::string {
            return asked.target().find("token=") == std::string::npos ? "" : failing(status, "syncStateNotFound");
        });
        fill(graph, 3);
        on_fiber([&](Fiber& fiber) {
            auto listing = graph.open(fiber)->list({});
            ASSERT_TRUE(listing);
            for (std::uint32_t i = 0; i < 3; ++i) listing->messages[i].tag = i + 1;
            graph.parents.erase("m1001");
            const auto again = graph.open(fiber)->list({listing->state, listing->messages, "", {}});
            ASSERT_TRUE(again) << again.error().detail;
            ASSERT_EQ(again->messages.size(), 2U);
            EXPECT_EQ(again->messages[1].id, "m1002");
            EXPECT_EQ(again->messages[1].tag, 3U);
        });
    }
}

TEST(GraphMailbox, WhenPatienceIsOverTheNextLookGoesOn) {
    Graph graph([](const auto& asked) -> std::string {
        if (asked.target().find("/delta") != std::string::npos) std::this_thread::sleep_for(2ms);  // a slow server
        return "";
    });
    fill(graph, 250);
    on_fiber([&](Fiber& fiber) {
        KnownMailbox known;
        known.patience = 1ms;
        std::vector<std::size_t> sizes;
        for (int looks = 0; looks < 10; ++looks) {
            const auto listing = graph.open(fiber)->list(known);
            ASSERT_TRUE(listing) << listing.error().detail;
            sizes.push_back(listing->messages.size());
            known.state = listing->state;
            known.messages = listing->messages;
            if (listing->still_to_come == 0) break;
            EXPECT_EQ(listing->still_to_come, 250 - listing->messages.size());
        }
        EXPECT_EQ(sizes, (std::vector<std::size_t>{100, 200, 250}));
        EXPECT_EQ(graph.count("/messages/delta"), 3);
    });
}

TEST(GraphMailbox, ADeltaThatIsRefusedIsDoneWithout) {
    Graph graph([](const auto& asked) -> std::string {
        return asked.target().find("/delta") == std::string::npos ? "" : failing("400 Bad Request", "BadRequest");
    });
    fill(graph, 250);
    on_fiber([&](Fiber& fiber) {
        const auto listing = graph.open(fiber)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 250U);
        EXPECT_EQ(listing->state, "");
    });
}

TEST(GraphMailbox, AMessageThatSlipsOverAPageIsFound) {
    int lists = 0;
    Graph* seen = nullptr;
    Graph graph([&](const auto& asked) -> std::string {
        const auto target = asked.target();
        if (target.find("/delta") != std::string::npos) return failing("400 Bad Request", "BadRequest");
        // Between the first two pages another client removes a message of the first.
        if (target.find("messages?skip=") != std::string::npos && ++lists == 1) seen->parents.erase("m1000");
        return "";
    });
    seen = &graph;
    fill(graph, 150);
    on_fiber([&](Fiber& fiber) {
        const auto listing = graph.open(fiber)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 149U);
        EXPECT_EQ(listing->messages[99].id, "m1100");
    });
}

TEST(GraphMailbox, APageThatTakesTooLongIsAskedSmaller) {
    Graph graph([](const auto& asked) -> std::string {
        return asked.has("maxpagesize=500") || asked.has("maxpagesize=250") ? failing("504 Gateway Timeout", "x") : "";
    });
    fill(graph, 3);
    on_fiber([&](Fiber& fiber) {
        const auto listing = graph.open(fiber)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 3U);
    });
    EXPECT_EQ(graph.count("/delta"), 3);
}

TEST(GraphMailbox, OpeningTellsWhatIsWrong) {
    const auto code_of = [](const std::string& status, const std::string& code, const BackendOptions& options = {}) {
        Graph graph([&](const auto&) { return failing(status, code); });
        Errc found = Errc::sink_closed;
        on_fiber([&](Fiber& fiber) { found = graph.try_open(fiber, options).error().code; });
        return found;
    };
    EXPECT_EQ(code_of("401 Unauthorized", "InvalidAuthenticationToken"), Errc::auth);
    EXPECT_EQ(code_of("403 Forbidden", "ErrorAccessDenied"), Errc::permanent);
    EXPECT_EQ(code_of("403 Forbidden", "extensionError"), Errc::permanent);
    EXPECT_EQ(code_of("404 Not Found", "MailboxNotEnabledForRESTAPI"), Errc::permanent);
    EXPECT_EQ(code_of("404 Not Found", "ErrorInvalidUser"), Errc::permanent);
    EXPECT_EQ(code_of("500 Internal Server Error", "x"), Errc::temporary);
}

TEST(GraphMailbox, FoldersAreFoundByTheirNames) {
    Graph graph([](const auto& asked) -> std::string {
        const auto target = asked.target();
        if (target.find("/users/b%C3%BCro%40example.org/mailFolders?") != std::string::npos)
            return ok({{"value", json::array{{{"id", "W="}, {"displayName", "Work"}, {"totalItemCount", 0}}}}});
        if (target.find("/mailFolders/W%3D/childFolders?") != std::string::npos)
            return ok({{"value", json::array{{{"id", "INV"}, {"displayName", "Invoices"}, {"totalItemCount", 0}}}}});
        if (target.find("/mailFolders/INV/messages/delta") != std::string::npos)
            return failing("403 Forbidden", "here");
        return "";
    });
    on_fiber([&](Fiber& fiber) {
        BackendOptions options;
        options.mailbox = "büro@%d";
        options.folder = "work/Invoices";
        EXPECT_EQ(graph.open(fiber, options)->list({}).error().code, Errc::permanent);
        EXPECT_EQ(graph.count("/mailFolders/INV/messages/delta"), 1);
        options.folder = "Work/Others";
        EXPECT_EQ(graph.try_open(fiber, options).error().code, Errc::permanent);
    });
}

TEST(GraphMailbox, FetchTellsOneMessagesFaultFromTheServers) {
    std::string said;
    Graph graph([&](const auto& asked) -> std::string {
        return asked.target().ends_with("/v1.0/me/messages/a%3D/$value") ? said : "";
    });
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = graph.open(fiber);
        const auto fetch = [&](Text& text) { return mailbox->fetch(message("a="), text); };
        Text text;
        said = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" +
               ScriptedHttp::chunk("Subject: x\r\n\r\n") + ScriptedHttp::chunk("body") + ScriptedHttp::chunk("");
        EXPECT_TRUE(fetch(text));
        EXPECT_EQ(text.text, "Subject: x\r\n\r\nbody");
        said = failing("500 Internal Server Error", "ErrorMimeContentConversionFailed");
        EXPECT_EQ(fetch(text).error().code, Errc::permanent);
        EXPECT_EQ(graph.count("$value"), 2) << "not tried again";
        said = failing("500 Internal Server Error", "ErrorInternalServerError");
        EXPECT_EQ(fetch(text).error().code, Errc::temporary);
        said = failing("404 Not Found", "ErrorItemNotFound");
        EXPECT_EQ(fetch(text).error().code, Errc::gone);
        said = failing("401 Unauthorized", "InvalidAuthenticationToken");
        EXPECT_EQ(fetch(text).error().code, Errc::temporary) << "the password was right";
        EXPECT_EQ(text.text, "Subject: x\r\n\r\nbody");
    });
}

std::vector<MessageInfo> messages(int count) {
    std::vector<MessageInfo> all;
    for (int i = 0; i < count; ++i) all.push_back(message("m" + std::to_string(1000 + i)));
    return all;
}

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

TEST(GraphBackend, RefusesWhatItCannotServe) {
    const auto make = [](auto change) {
        BackendOptions options;
        options.url = "graph:";
        change(options);
        return make_graph_backend(options).has_value();
    };
    EXPECT_TRUE(make([](auto&) {}));
    EXPECT_TRUE(make([](auto& options) { options.url = "graph:https://graph.microsoft.us/v1.0/"; }));
    EXPECT_FALSE(make([](auto& options) { options.url = "graph:nonsense"; }));
    EXPECT_FALSE(make([](auto& options) { options.url = "graph:https://h/v1.0?x"; }));
    EXPECT_FALSE(make([](auto& options) { options.unique_ids = "dovecot"; }));
    EXPECT_FALSE(make([](auto& options) { options.folder = ""; }));
    EXPECT_FALSE(make([](auto& options) { options.http_auth = "nonsense"; }));
}

TEST(GraphBackend, OneMailboxHasOneKey) {
    BackendOptions options;
    options.url = "graph:";
    const auto key = [&](const std::string& user) { return (*make_graph_backend(options))->mailbox_key(user); };
    EXPECT_EQ(key("A@x"), key("a@x"));
    EXPECT_NE(key("a@x"), key("b@x"));
    options.mailbox = "shared@%d";
    EXPECT_EQ(key("a@x"), key("b@x"));
    EXPECT_NE(key("a@x"), key("a@y"));
    options.mailbox = "";
    options.token_file = "/run/token";
    EXPECT_EQ(key("a@x"), key("b@x"));
    EXPECT_FALSE((*make_graph_backend(options))->checks_password());
}

}  // namespace
}  // namespace popgate::graph
