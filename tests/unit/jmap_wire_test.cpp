#include "backends/jmap/srv.hpp"
#include "backends/jmap/wire.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

namespace popgate::jmap {
namespace {

using namespace std::string_literals;

boost::json::value json(const std::string& text) { return boost::json::parse(text); }

TEST(JmapWire, TheSessionObjectTellsOfAccountsAndLimits) {
    const auto session = parse_session(R"({"capabilities": {"urn:ietf:params:jmap:core":
        {"maxObjectsInGet": 7, "maxObjectsInSet": "3", "maxSizeRequest": 0}}, "apiUrl": "/jmap/",
        "downloadUrl": "/d/{accountId}/{blobId}/{name}?accept={type}", "primaryAccounts":
        {"urn:ietf:params:jmap:mail": "a1"}, "accounts": {"a1": {"name": "me", "isPersonal": true,
        "accountCapabilities": {"urn:ietf:params:jmap:mail": {}}}, "a2": {"name": "team", "accountCapabilities": null},
        "a3": {"name": "twice"}, "a4": {"name": "twice"}}})");
    ASSERT_TRUE(session) << session.error().detail;
    EXPECT_EQ(session->api_url, "/jmap/");
    EXPECT_EQ(session->limits.objects_in_get, 7U);
    EXPECT_EQ(session->limits.objects_in_set, 3U);
    EXPECT_EQ(session->limits.octets_in_request, 10'000'000U);
    EXPECT_EQ(*choose_account(*session, ""), "a1");
    EXPECT_EQ(*choose_account(*session, "team"), "a2");
    EXPECT_EQ(*choose_account(*session, "a2"), "a2");
    for (const auto* wanted : {"nobody", "twice"})
        EXPECT_EQ(choose_account(*session, wanted).error().code, Errc::permanent) << wanted;
}

TEST(JmapWire, WithoutAPrimaryAccountTheOwnOneIsTaken) {
    const auto session = parse_session(R"({"capabilities": null, "apiUrl": "x", "downloadUrl": "y", "accounts":
        {"a": {"name": "other", "accountCapabilities": {"urn:ietf:params:jmap:mail": {}}},
         "b": {"name": "own", "isPersonal": true, "accountCapabilities": {"urn:ietf:params:jmap:mail": {}}}}})");
    ASSERT_TRUE(session);
    EXPECT_EQ(*choose_account(*session, ""), "b");
    EXPECT_EQ(session->limits.objects_in_get, 500U);
    const auto empty = parse_session(R"({"apiUrl": "x", "downloadUrl": "y"})");
    ASSERT_TRUE(empty);
    EXPECT_EQ(choose_account(*empty, "").error().code, Errc::permanent);
}

TEST(JmapWire, WhatIsNoSessionObjectIsTemporary) {
    for (const auto* text : {"", "<html>", "[]", "{}", R"({"apiUrl": "x"})", R"({"apiUrl": [], "downloadUrl": "y"})"}) {
        const auto session = parse_session(text);
        ASSERT_FALSE(session) << text;
        EXPECT_EQ(session.error().code, Errc::temporary);
    }
}

TEST(JmapWire, EachCallHasItsAnswer) {
    const std::vector<Call> calls{{"Email/query", {{"accountId", "a"}}}, {"Email/get", {}}};
    EXPECT_EQ(json(make_request(calls)), json(R"({"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [["Email/query", {"accountId": "a"}, "0"], ["Email/get", {}, "1"]]})"));
    const auto answers = parse_response(
        R"({"methodResponses": [["error", {"type": "serverFail"}, "1"], ["Email/query", {"ids": []}, "0"]]})", calls);
    ASSERT_TRUE(answers);
    EXPECT_EQ((*answers)[0].error, "");
    EXPECT_EQ((*answers)[0].arguments, json(R"({"ids": []})"));
    EXPECT_EQ((*answers)[1].error, "serverFail");
    for (const auto* text : {"{}", R"({"methodResponses": []})", R"({"methodResponses": [["Email/query", {}, "0"]]})",
                             R"({"methodResponses": [["Email/query", {}, "0"], ["Email/set", {}, "1"]]})",
                             R"({"methodResponses": [["Email/query", {}, "0"], ["Email/get", null, "1"]]})"}) {
        const auto broken = parse_response(text, calls);
        ASSERT_FALSE(broken) << text;
        EXPECT_EQ(broken.error().code, Errc::temporary);
    }
}

TEST(JmapWire, ErrorsLastOrDoNot) {
    EXPECT_EQ(to_error("serverUnavailable", "x").code, Errc::temporary);
    EXPECT_EQ(to_error("never heard of", "x").code, Errc::temporary);
    EXPECT_EQ(to_error("accountNotFound", "x").code, Errc::temporary);
    EXPECT_EQ(to_error("accountReadOnly", "x").code, Errc::permanent);
    EXPECT_EQ(to_error("forbidden", "x").code, Errc::permanent);
    const auto problem =
        parse_problem(R"({"type": "urn:ietf:params:jmap:error:limit", "limit": "maxObjectsInGet", "status": 400})");
    EXPECT_EQ(problem.type, "limit");
    EXPECT_EQ(problem.limit, "maxObjectsInGet");
    EXPECT_EQ(parse_problem("<html>").type, "");
}

TEST(JmapWire, FoldersAreFoundByPathAndRole) {
    const auto folders = parse_folders(json(R"({"list": [
        {"id": "1", "name": "Posteingang", "role": "inbox", "parentId": null, "totalEmails": 4},
        {"id": "2", "name": "Work", "role": null}, {"id": "3", "name": "Invoices", "parentId": "2"},
        {"id": "4", "name": "a/b", "parentId": "1"}, {"id": "5", "name": "Bin", "role": "trash"},
        {"id": "6", "name": "loop", "parentId": "7"}, {"id": "7", "name": "loop", "parentId": "6"}]})"));
    ASSERT_TRUE(folders);
    const auto id_of = [&](std::string_view path) {
        const auto* folder = find_folder(*folders, path);
        return folder ? folder->id : "none";
    };
    EXPECT_EQ(id_of("INBOX"), "1");
    EXPECT_EQ(id_of("inbox"), "1");
    EXPECT_EQ(id_of("Posteingang"), "1");
    EXPECT_EQ(id_of("Work/Invoices"), "3");
    EXPECT_EQ(id_of("INBOX/a/b"), "4");
    EXPECT_EQ(id_of("Invoices"), "none");
    EXPECT_EQ(id_of("work"), "none");
    EXPECT_EQ(id_of("/Work"), "none");
    EXPECT_EQ(id_of("loop/loop"), "none");
    EXPECT_EQ(find_role(*folders, "trash")->id, "5");
    EXPECT_EQ(find_role(*folders, "archive"), nullptr);
    EXPECT_EQ(folders->front().total, 4U);
    EXPECT_FALSE(parse_folders(json(R"({"list": [{"name": "x"}]})")));
    EXPECT_FALSE(parse_folders(json("{}")));
}

TEST(JmapWire, EmailsAreReadAndWhatIsNotToldIsNotMadeUp) {
    const auto emails = parse_emails(json(R"({"state": "s", "notFound": ["y"], "list": [
        {"id": "x", "blobId": "B", "size": 123, "receivedAt": "1970-01-01T00:01:00Z", "keywords": {"$seen": true},
         "mailboxIds": {"1": true, "2": false}}, {"id": "z", "receivedAt": "yesterday"}]})"));
    ASSERT_TRUE(emails);
    EXPECT_EQ(emails->state, "s");
    EXPECT_EQ(emails->not_found, std::vector<std::string>{"y"});
    const auto& first = emails->list[0];
    EXPECT_EQ(first.blob, "B");
    EXPECT_EQ(first.size, 123U);
    EXPECT_EQ(first.arrival, 60);
    EXPECT_TRUE(first.seen);
    EXPECT_TRUE(first.is_in("1"));
    EXPECT_FALSE(first.is_in("2"));
    EXPECT_FALSE(emails->list[1].size);
    EXPECT_FALSE(emails->list[1].tells_folders);
    EXPECT_EQ(emails->list[1].arrival, 0);
    EXPECT_FALSE(parse_emails(json(R"({"list": [{"blobId": "B"}]})")));
    EXPECT_FALSE(parse_emails(json(R"({"list": null})")));
    EXPECT_FALSE(parse_emails(json(R"({"list": [], "notFound": [7]})")));
}

TEST(JmapWire, QueriesChangesAndSets) {
    const auto query = parse_query(json(R"({"ids": ["a", "b"], "total": 2, "position": 0, "queryState": "q"})"));
    ASSERT_TRUE(query);
    EXPECT_EQ(query->ids, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(parse_query(json(R"({"ids": null, "total": 0})")));
    EXPECT_FALSE(parse_query(json(R"({"ids": ["a", 7]})")));

    const auto changes = parse_changes(
        json(R"({"newState": "n", "hasMoreChanges": true, "created": ["a"], "updated": ["b"], "destroyed": null})"));
    ASSERT_TRUE(changes);
    EXPECT_TRUE(changes->has_more);
    EXPECT_EQ(changes->present, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(parse_changes(json(R"({"created": []})")));

    const auto set = parse_set(json(R"({"updated": {"a": null}, "destroyed": ["b"], "notUpdated": null,
        "notDestroyed": {"c": {"type": "notFound"}, "d": {"type": "rateLimit"}}})"));
    ASSERT_TRUE(set);
    EXPECT_EQ(set->done, (std::vector<std::string>{"b", "a"}));
    ASSERT_EQ(set->refused.size(), 2U);
    EXPECT_EQ(set->refused[1], std::pair("d"s, "rateLimit"s));
    EXPECT_EQ(pointer_of("mailboxIds", "a/b~c"), "mailboxIds/a~1b~0c");
}

TEST(JmapWire, TheStateOfAListingComesBack) {
    const ListingState state{"acc ount", "f\"older", "s\nt"};
    EXPECT_EQ(parse_listing_state(to_text(state)), state);
    for (const auto& text : {""s, "jmap1"s, "jmap2 [\"a\",\"b\",\"c\"]"s, "jmap1 [\"a\",\"b\"]"s,
                             "jmap1 [\"a\",\"b\",\"\"]"s, to_text(state) + "1", to_text(state).substr(1)})
        EXPECT_FALSE(parse_listing_state(text)) << text;
}

std::string name_of(const std::vector<std::string>& labels) {
    std::string name;
    for (const auto& each : labels) name += static_cast<char>(each.size()) + each;
    return name + '\0';
}

std::string srv_record(int priority, int weight, int port, const std::string& target) {
    const auto number = [](int n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n & 0xFF)}; };
    const auto data = number(priority) + number(weight) + number(port) + target;
    return name_of({"_jmap", "_tcp", "example", "org"}) + "\0\x21\0\1\0\0\0\x3c"s +
           number(static_cast<int>(data.size())) + data;
}

std::string dns_answer(const std::vector<std::string>& records) {
    auto text = "\x12\x34\x81\x80\0\0\0"s + static_cast<char>(records.size()) + "\0\0\0\0"s;
    for (const auto& each : records) text += each;
    return text;
}

TEST(JmapSrv, TheBestRecordIsTaken) {
    const auto host = name_of({"MAIL", "example", "org"});
    const auto other = name_of({"other", "example", "org"});
    EXPECT_EQ(parse_srv_answer(dns_answer({srv_record(1, 9, 443, other), srv_record(0, 1, 443, other),
                                           srv_record(0, 5, 8443, host), srv_record(0, 2, 443, other)})),
              (SrvTarget{"mail.example.org", 8443}));
    EXPECT_FALSE(parse_srv_answer(dns_answer({})));
    EXPECT_FALSE(parse_srv_answer(dns_answer({srv_record(0, 0, 443, name_of({}))})));  // "." : no such service
    EXPECT_FALSE(parse_srv_answer(dns_answer({srv_record(0, 0, 0, host)})));
    const auto whole = dns_answer({srv_record(0, 0, 443, host)});
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(parse_srv_answer(whole.substr(0, length))) << length;
}

TEST(JmapSrv, OnlyTheHostAndWhatIsBelowItIsTrusted) {
    EXPECT_TRUE(is_trusted({"example.org", 1}, "Example.org"));
    EXPECT_TRUE(is_trusted({"a.example.org", 1}, "example.org"));
    EXPECT_FALSE(is_trusted({"badexample.org", 1}, "example.org"));
    EXPECT_FALSE(is_trusted({"org", 1}, "example.org"));
    EXPECT_FALSE(is_trusted({"example.org.evil.net", 1}, "example.org"));
}

}  // namespace
}  // namespace popgate::jmap
