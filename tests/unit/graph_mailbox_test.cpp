// What the mailbox asks Microsoft Graph, and what it makes of answers that a well-behaved server gives seldom.
#include "tests/support/scripted_graph.hpp"

#include <atomic>

namespace popgate::graph {
namespace {

using namespace std::chrono_literals;
using namespace test;

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
    options.http_auth = "basic";  // which names the user
    EXPECT_NE(key("a@x"), key("b@x"));
    options.http_auth = "none";
    options.token_file = "";
    EXPECT_EQ(key("a@x"), key("b@x"));
    EXPECT_FALSE((*make_graph_backend(options))->checks_password());
}

}  // namespace
}  // namespace popgate::graph
