// What the mailbox asks a described API, and what it makes of answers that a well-behaved server gives seldom.
#include "backends/rest/description.hpp"
#include "backends/rest/rest_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>

#include <map>

namespace popgate::rest {
namespace {

using namespace std::chrono_literals;
using test::on_fiber;
using test::ScriptedHttp;

std::string ok(const std::string& body) {
    return ScriptedHttp::say("200 OK", body, "Content-Type: application/json\r\n");
}
std::string raw(const std::string& body) { return ScriptedHttp::say("200 OK", body); }

class KeepingSink final : public BodySink {
public:
    bool write(std::string_view part) noexcept override {
        octets += part;
        return true;
    }
    std::string octets;
};

/// Says what stands in `answers` for "METHOD target"; 404 for anything else.
class Api {
public:
    std::map<std::string, std::vector<std::string>> answers;  ///< the last of each is repeated
    std::string trash_folder;                                 ///< the route's
    ScriptedHttp server{[this](const ScriptedHttp::Asked& asked, std::size_t) {
        auto& left = answers[asked.head.substr(0, asked.head.find(" HTTP/"))];
        if (left.empty()) return ScriptedHttp::say("404 Not Found", "{}");
        auto answer = left.front();
        if (left.size() > 1) left.erase(left.begin());
        return answer;
    }};

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const char* preset) const {
        return open(fiber, *find_preset(preset));
    }
    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, Description description) const {
        BackendOptions options;
        options.url = "rest:" + server.origin();
        options.command_timeout = 5s;
        options.trash_folder = trash_folder;
        options.rest_api = std::make_shared<Description>(std::move(description));
        auto backend = make_rest_backend(options);
        if (!backend) return backend.error();
        return (*backend)->open(fiber, {"joe", Secret("secret")});
    }
    bool was_asked(const std::string& text) const {
        return std::ranges::any_of(
            server.asked(), [&](const auto& each) { return (each.head + each.body).find(text) != std::string::npos; });
    }
};

std::vector<std::string> ids_of(const Listing& listing) {
    std::vector<std::string> ids;
    for (const auto& each : listing.messages) ids.push_back(each.id);
    return ids;
}

TEST(RestMailbox, EverythingAtOnce) {
    Api api;
    api.answers["GET /email"] = {ok(R"([{"id":"b","size":0,"time":"2026-01-02T00:00:02Z","read":true,"html":"…"},
        {"id":"a","size":4,"time":"2026-01-02T00:00:01Z","read":false}])")};
    api.answers["GET /email/a/source"] = {raw("A\r\n\n"), raw("A\r"), raw("")};
    api.answers["GET /email/c/source"] = {
        ScriptedHttp::say("404 Not Found", "Cannot GET", "Content-Type: text/html\r\n")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "maildev");
        ASSERT_TRUE(mailbox) << mailbox.error().text << mailbox.error().detail;
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing);
        EXPECT_EQ(ids_of(*listing), (std::vector<std::string>{"b", "a"})) << "as it came, whatever the sender's clock";
        EXPECT_FALSE(listing->messages[1].octets_are_exact);
        EXPECT_EQ(listing->messages[1].octets, 4U);
        EXPECT_EQ(listing->messages[1].arrival, 0);
        EXPECT_EQ(*(*mailbox)->unread(listing->messages), (std::vector<bool>{false, true}));
        EXPECT_EQ(api.server.asked().size(), 1U) << "the list that proved the password is used";
        KeepingSink whole, other;
        const auto& message = listing->messages[1];
        EXPECT_TRUE((*mailbox)->fetch(message, whole));
        EXPECT_EQ(whole.octets, "A\r\n\n");
        EXPECT_TRUE((*mailbox)->fetch(message, other)) << "its size was no promise";
        EXPECT_EQ((*mailbox)->fetch(message, other).error().code, Errc::temporary)
            << "nothing where there was something";
        EXPECT_TRUE((*mailbox)->fetch({.id = "a"}, other)) << "a message may be empty";
        EXPECT_EQ((*mailbox)->fetch(listing->messages[0], other).error().code, Errc::gone);
        EXPECT_EQ((*mailbox)->fetch({.id = "c"}, other).error().code, Errc::temporary) << "this is no API's 404";
        const auto moved = (*mailbox)->move(listing->messages, SpecialFolder::trash);
        EXPECT_EQ(moved.status.error().code, Errc::permanent);
    });
}

TEST(RestMailbox, EachRemovalIsJudged) {
    Api api;
    api.answers["GET /email"] = {ok("[]")};
    api.answers["DELETE /email/a"] = {ok("true")};
    api.answers["DELETE /email/b"] = {ScriptedHttp::say("500 Oops", R"({"error":"Email not found"})")};
    api.answers["DELETE /email/c"] = {ScriptedHttp::say("403 No", "")};
    api.answers["DELETE /email/d"] = {ok(R"({"success":false})")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "maildev");
        ASSERT_TRUE(mailbox);
        const auto report = (*mailbox)->remove({{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "d"}, {.id = "e"}});
        EXPECT_EQ(report.outcomes,
                  (std::vector{Removal::removed, Removal::gone, Removal::failed, Removal::failed, Removal::failed}));
        EXPECT_FALSE(report.status);
        EXPECT_FALSE(api.was_asked("/email/e"));
    });
}

TEST(RestMailbox, AnAnswerMayNameAnErrorThatIsNone) {
    Api api;
    api.answers["GET /email"] = {ok("[]")};
    api.answers["DELETE /email/a"] = {ok(R"({"error":null})"), ok(R"({"error":false})"), ok(R"({"error":""})")};
    api.answers["DELETE /email/b"] = {ok(R"({"error":"no"})")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "maildev");
        ASSERT_TRUE(mailbox);
        for (int i = 0; i < 3; ++i)
            EXPECT_EQ((*mailbox)->remove({{.id = "a"}}).outcomes, std::vector{Removal::removed});
        EXPECT_EQ((*mailbox)->remove({{.id = "b"}}).outcomes, std::vector{Removal::failed});
    });
}

TEST(RestMailbox, APathThatTheApiDoesNotHaveRemovesNothing) {
    Api api;
    api.answers["GET /email"] = {ok("[]")};
    api.answers["DELETE /email/a"] = {
        ScriptedHttp::say("404 Not Found", "<pre>Cannot DELETE</pre>", "Content-Type: text/html; charset=utf-8\r\n")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "maildev");
        ASSERT_TRUE(mailbox);
        const auto report = (*mailbox)->remove({{.id = "a"}});
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
        EXPECT_FALSE(report.status);
    });
}

TEST(RestMailbox, WhatCannotBeMovedIsGoneOnlyWhereItIsNotThere) {
    auto description = *find_preset("maildev");
    description.move = {"PUT", "/email/{id}", R"({"to":{target},"of":[{id},{"a":1}]})"};
    Api api;
    api.trash_folder = "{ids}";
    api.answers["GET /email"] = {ok("[]")};
    api.answers["GET /email/a/source"] = {raw("A")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, description);
        ASSERT_TRUE(mailbox);
        const auto still_there = (*mailbox)->move({{.id = "a"}}, SpecialFolder::trash);
        EXPECT_EQ(still_there.outcomes, std::vector{Removal::failed}) << "its target has vanished";
        EXPECT_FALSE(still_there.status);
        EXPECT_TRUE(api.was_asked(R"({"to":"{ids}","of":["a",{"a":1}]})")) << "what is put in is not looked at again";
        const auto gone = (*mailbox)->move({{.id = "b"}}, SpecialFolder::trash);
        EXPECT_EQ(gone.outcomes, std::vector{Removal::gone});
        EXPECT_TRUE(gone.status);
    });
}

TEST(RestMailbox, SizesThatAreExactAreHeldToIt) {
    auto description = *find_preset("maildev");
    description.sizes_are_exact = description.ids_may_return = true;
    Api api;
    api.answers["GET /email"] = {ok(R"([{"id":"a","size":4}])"), ok(R"([{"id":"a"}])")};
    api.answers["GET /email/a/source"] = {raw("1234"), raw("12345"), raw("123")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, description);
        ASSERT_TRUE(mailbox);
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing);
        EXPECT_TRUE(listing->ids_may_return);
        EXPECT_TRUE(listing->messages[0].octets_are_exact);
        KeepingSink sink;
        EXPECT_TRUE((*mailbox)->fetch(listing->messages[0], sink));
        EXPECT_EQ((*mailbox)->fetch(listing->messages[0], sink).error().code, Errc::temporary);
        EXPECT_EQ((*mailbox)->fetch(listing->messages[0], sink).error().code, Errc::temporary);
        EXPECT_EQ((*mailbox)->list({}).error().code, Errc::temporary) << "a message without size";
    });
}

TEST(RestMailbox, AListThatHidesAMessageIsNone) {
    for (const auto* body :
         {R"([{"id":"a"},null])", R"([{"id":"a"},3])", R"([{"id":"a"},["b"]])", R"([{"id":"a"},{"id":"a"}])"}) {
        Api api;
        api.answers["GET /email"] = {ok(body)};
        on_fiber([&](Fiber& fiber) { EXPECT_EQ(api.open(fiber, "maildev").error().code, Errc::temporary) << body; });
    }
}

TEST(RestMailbox, PagesThatComeAgainAreNoList) {
    auto description = *find_preset("mailpit");
    description.total.clear();
    Api offsets;
    for (const auto* start : {"0", "2"})
        offsets.answers["GET /api/v1/messages?start=" + std::string(start) + "&limit=200"] = {
            ok(R"({"messages":[{"ID":"a","Size":1},{"ID":"b","Size":1}]})")};
    Api cursors;
    cursors.answers["GET /users/me/mailboxes"] = {ok(R"({"results":[{"id":"i1","path":"INBOX"}]})")};
    const std::string list = "GET /users/me/mailboxes/i1/messages?limit=250&order=asc";
    cursors.answers[list] = {ok(R"({"total":9,"nextCursor":"x","results":[{"id":1}]})")};
    cursors.answers[list + "&next=x"] = {ok(R"({"total":9,"nextCursor":"x","results":[{"id":2}]})")};
    on_fiber([&](Fiber& fiber) {
        const auto by_offset = offsets.open(fiber, description);
        ASSERT_TRUE(by_offset);
        EXPECT_EQ((*by_offset)->list({}).error().code, Errc::temporary);
        EXPECT_EQ(offsets.server.asked().size(), 2U);
        const auto by_cursor = cursors.open(fiber, "wildduck");
        ASSERT_TRUE(by_cursor);
        EXPECT_EQ((*by_cursor)->list({}).error().code, Errc::temporary);
        EXPECT_EQ(cursors.server.asked().size(), 3U);
    });
}

TEST(RestMailbox, APageThatShrinksIsAskedForAgain) {
    Api api;
    const std::string all = R"({"total":3,"messages":[{"ID":"a","Size":1},{"ID":"b","Size":1}]})";
    api.answers["GET /api/v1/messages?start=0&limit=200"] = {ok(all)};
    api.answers["GET /api/v1/messages?start=2&limit=200"] = {ok(R"({"total":2,"messages":[]})"),
                                                             ok(R"({"total":3,"messages":[{"ID":"b","Size":1}]})"),
                                                             ok(R"({"total":3,"messages":[{"ID":"c","Size":1}]})")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "mailpit");
        ASSERT_TRUE(mailbox);
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(ids_of(*listing), (std::vector<std::string>{"a", "b", "c"}));
    });
}

TEST(RestMailbox, AListThatNeverAgreesIsNone) {
    for (const auto* body : {R"({"total":3,"messages":[]})", R"({"messages":[]})", R"({"total":0})", "<html>",
                             R"({"total":1,"messages":[{"Size":1}]})"}) {
        Api api;
        api.answers["GET /api/v1/messages?start=0&limit=200"] = {ok(body)};
        on_fiber([&](Fiber& fiber) {
            const auto mailbox = api.open(fiber, "mailpit");
            const auto code = mailbox ? (*mailbox)->list({}).error().code : mailbox.error().code;
            EXPECT_EQ(code, Errc::temporary) << body;
        });
    }
}

TEST(RestMailbox, BatchesAreDeletedByTheirIds) {
    Api api;
    api.answers["GET /api/v1/messages?start=0&limit=200"] = {ok(R"({"total":0,"messages":[]})")};
    api.answers["DELETE /api/v1/messages"] = {raw("ok")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "mailpit");
        ASSERT_TRUE(mailbox);
        EXPECT_TRUE((*mailbox)->remove({{.id = "a\""}, {.id = "b"}}).status);
        EXPECT_TRUE(api.was_asked(R"({"IDs":["a\"","b"]})"));
        const auto asked = api.server.asked().size();
        EXPECT_TRUE((*mailbox)->remove({}).status);
        EXPECT_EQ(api.server.asked().size(), asked) << "no ids would mean all";
    });
}

TEST(RestMailbox, FoldersAreLookedUp) {
    Api api;
    api.answers["GET /users/me/mailboxes"] = {ok(
        R"({"results":[{"id":"i1","path":"INBOX","specialUse":null},{"id":"t1","path":"Bin","specialUse":"\\Trash"}]})")};
    const std::string list = "GET /users/me/mailboxes/i1/messages?limit=250&order=asc";
    api.answers[list] = {ok(R"({"total":2,"nextCursor":"x/y","results":[{"id":1,"size":9,"seen":true}]})")};
    api.answers[list + "&next=x%2Fy"] = {
        ok(R"({"total":2,"nextCursor":false,"results":[{"id":2,"size":9,"seen":false}]})")};
    api.answers["PUT /users/me/mailboxes/i1/messages/1"] = {ok(R"({"success":true})")};
    on_fiber([&](Fiber& fiber) {
        const auto mailbox = api.open(fiber, "wildduck");
        ASSERT_TRUE(mailbox) << mailbox.error().text;
        EXPECT_TRUE(api.was_asked("X-Access-Token: secret"));
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(ids_of(*listing), (std::vector<std::string>{"1", "2"}));
        EXPECT_EQ((*mailbox)->unique_id(listing->messages[0]), "i1-1");
        const auto moved = (*mailbox)->move({listing->messages[0]}, SpecialFolder::trash);
        EXPECT_TRUE(moved.status) << moved.status.error().text << ": " << moved.status.error().detail;
        EXPECT_TRUE(api.was_asked(R"({"moveTo":"t1"})"));
        EXPECT_EQ((*mailbox)->move({listing->messages[0]}, SpecialFolder::archive).status.error().code,
                  Errc::permanent);
    });
}

TEST(RestMailbox, OneTokenForAllIsOneMailboxUnlessTheAddressesNameTheUser) {
    const auto keys = [](const std::string& token_file, const std::string& list) {
        auto description = *find_preset("wildduck");
        if (!list.empty()) description.list = list;
        BackendOptions options;
        options.url = "rest:https://mail.example.com";
        options.token_file = token_file;
        options.rest_api = std::make_shared<Description>(std::move(description));
        const auto backend = make_rest_backend(options);
        EXPECT_TRUE(backend) << backend.error().text;
        return std::pair((*backend)->mailbox_key("ann"), (*backend)->mailbox_key("bob"));
    };
    const auto [ann, bob] = keys("/run/token", "");
    EXPECT_EQ(ann, bob);
    for (const auto& [token_file, list] :
         {std::pair{"", ""}, {"/run/token-%u", ""}, {"/run/token", "/users/%u/{folder}"}}) {
        const auto [one, other] = keys(token_file, list);
        EXPECT_NE(one, other) << token_file << list;
    }
}

TEST(RestMailbox, AWrongPasswordIsTold) {
    Api api;
    api.answers["GET /users/me/mailboxes"] = {ScriptedHttp::say("403 Forbidden", R"({"error":"no"})")};
    api.answers["GET /email"] = {ScriptedHttp::say("401 Unauthorized", "")};
    on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(api.open(fiber, "wildduck").error().code, Errc::auth);
        EXPECT_EQ(api.open(fiber, "maildev").error().code, Errc::auth);
    });
}

}  // namespace
}  // namespace popgate::rest
