#include "backends/jmap/jmap_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace popgate::jmap {
namespace {

using test::on_fiber;
using test::ScriptedHttp;
namespace json = boost::json;

class Sink final : public BodySink {
public:
    explicit Sink(std::size_t limit = std::string::npos) : limit_(limit) {}
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return text.size() < limit_;
    }
    std::string text;

private:
    std::size_t limit_;
};

/// As much of a JMAP server as these tests need. A test's thread changes it only while nothing is asked.
class FakeJmap {
public:
    struct Email {
        std::string body;
        int minute = 0;
        std::set<std::string> folders{"in"};
        bool seen = false;
    };
    std::map<std::string, Email> emails;
    std::vector<std::pair<std::string, std::string>> changes;  // what happened ("created", ...) to which id
    std::size_t most_in_get = 500;
    bool tells_limits = true;
    bool knows_changes = true;
    std::map<std::string, std::string> refuses;  // id -> type of the SetError
    int rate_limits = 0;                         // so many Email/set put everything off
    std::string api_url = "/api";
    std::string download_url = "/d/{accountId}/{blobId}/{name}?accept={type}";
    std::function<std::string(const std::string& method)> fault;  // an HTTP answer instead of this method's
    std::function<void(json::object& answer)> tamper_query;
    std::string cut_downloads;
    bool sets_but_hangs_up = false;
    std::vector<std::string> calls;  // methods
    int sessions = 0;
    int requests = 0;  // of any kind

    ScriptedHttp server{[this](const auto& asked, auto) { return answer(asked); }};

    void deliver(const std::string& id, int minute, std::set<std::string> folders = {"in"}) {
        emails[id] = {"Subject: " + id + "\r\n\r\ntext\r\n", minute, std::move(folders), false};
        changes.emplace_back("created", id);
    }
    void destroy(const std::string& id) {
        emails.erase(id);
        changes.emplace_back("destroyed", id);
    }

    std::unique_ptr<Backend> backend(BackendOptions options = {}) const {
        options.url = "jmap://127.0.0.1:" + server.port();
        auto made = make_jmap_backend(options);
        if (!made) throw std::runtime_error(made.error().text);
        return std::move(*made);
    }

private:
    std::string answer(const ScriptedHttp::Asked& asked) {
        const auto target = asked.target();
        ++requests;
        if (!asked.has("Basic dXNlcjpwYXNz")) return ScriptedHttp::say("401 Unauthorized", "<html>");
        if (target == "/.well-known/jmap") {
            return ScriptedHttp::say("301 Moved", "", "Location: /session\r\n");
        }
        if (target == "/session") {
            ++sessions;
            const json::object core{{"maxObjectsInGet", tells_limits ? most_in_get : 500}};
            return say({{"capabilities", json::object{{"urn:ietf:params:jmap:core", core}}},
                        {"apiUrl", api_url},
                        {"downloadUrl", download_url},
                        {"primaryAccounts", json::object{{"urn:ietf:params:jmap:mail", "acc"}}},
                        {"accounts", json::object{{"acc", json::object{{"name", "user"}}}}}});
        }
        if (target.starts_with("/d/acc/B")) {
            const auto id = target.substr(8, target.find('/', 8) - 8);
            if (!emails.contains(id)) return ScriptedHttp::say("404 Not Found", "<html>");
            auto body = emails[id].body;
            if (cut_downloads == id) body.resize(body.size() - 3);
            return ScriptedHttp::say("200 OK", body, "Content-Type: message/rfc822\r\n");
        }
        json::array responses;
        std::map<std::string, json::object> by_call;
        const auto request = json::parse(asked.body);
        for (const auto& each : request.at("methodCalls").as_array()) {
            const std::string method(each.at(0).as_string());
            calls.push_back(method);
            if (fault)
                if (auto text = fault(method); !text.empty()) return text;
            const std::string call(each.at(2).as_string());
            auto arguments = each.at(1).as_object();
            if (auto* reference = arguments.if_contains("#ids"))
                arguments["ids"] = by_call[std::string(reference->at("resultOf").as_string())]["ids"];
            if (method == "Email/get" && arguments.at("ids").as_array().size() > most_in_get)
                return problem("maxObjectsInGet");
            auto result = respond(method, arguments);
            by_call[call] = result;
            const bool failed = result.contains("type");
            responses.push_back(json::array{json::string(failed ? "error" : method), result, json::string(call)});
        }
        if (sets_but_hangs_up && calls.back() == "Email/set") return ScriptedHttp::hang_up;
        return say({{"methodResponses", responses}});
    }

    static std::string say(const json::object& object) {
        return ScriptedHttp::say("200 OK", json::serialize(object), "Content-Type: application/json\r\n");
    }
    static std::string problem(const std::string& limit) {
        return ScriptedHttp::say(
            "400 Bad Request",
            json::serialize(json::object{{"type", "urn:ietf:params:jmap:error:limit"}, {"limit", limit}}),
            "Content-Type: application/problem+json\r\n");
    }

    std::string state() const { return std::to_string(changes.size()); }

    json::object respond(const std::string& method, const json::object& arguments) {
        if (method == "Mailbox/get") return mailboxes();
        if (method == "Email/query") return query(arguments);
        if (method == "Email/get") return get(arguments.at("ids").as_array());
        if (method == "Email/changes") return changes_since(arguments);
        if (method == "Email/set") return set(arguments);
        return {{"type", "unknownMethod"}};
    }

    json::object mailboxes() const {
        std::size_t total = 0;
        for (const auto& each : emails) total += each.second.folders.count("in");
        json::array list;
        list.push_back(json::object{{"id", "in"}, {"name", "Inbox"}, {"role", "inbox"}, {"totalEmails", total}});
        list.push_back(json::object{{"id", "bin"}, {"name", "Bin"}, {"role", "trash"}});
        return {{"list", list}};
    }

    json::object query(const json::object& arguments) {
        std::vector<std::pair<int, std::string>> found;
        for (const auto& [id, email] : emails)
            if (email.folders.contains("in")) found.emplace_back(email.minute, id);
        std::sort(found.begin(), found.end());
        const auto position = static_cast<std::size_t>(arguments.at("position").to_number<int>());
        const auto* limit = arguments.if_contains("limit");
        const auto most = limit ? limit->to_number<std::size_t>() : found.size();
        json::array ids;
        for (auto i = position; i < found.size() && ids.size() < most; ++i) ids.emplace_back(found[i].second);
        json::object result{{"ids", ids}, {"queryState", state()}, {"total", found.size()}, {"position", position}};
        if (tamper_query) tamper_query(result);
        return result;
    }

    json::object get(const json::array& ids) const {
        json::array list, lost;
        for (const auto& each : ids) {
            const std::string id(each.as_string());
            if (!emails.contains(id)) {
                lost.emplace_back(id);
                continue;
            }
            const auto& email = emails.at(id);
            json::object folders, keywords;
            for (const auto& folder : email.folders) folders[folder] = true;
            if (email.seen) keywords["$seen"] = true;
            char date[40];
            std::snprintf(date, sizeof date, "2026-01-02T03:%02d:00Z", email.minute);
            list.push_back(json::object{{"id", id},
                                        {"blobId", "B" + id},
                                        {"size", email.body.size()},
                                        {"receivedAt", date},
                                        {"mailboxIds", folders},
                                        {"keywords", keywords}});
        }
        return {{"list", list}, {"notFound", lost}, {"state", state()}};
    }

    json::object changes_since(const json::object& arguments) {
        const auto since = std::stoul(std::string(arguments.at("sinceState").as_string()));
        if (!knows_changes) return {{"type", "cannotCalculateChanges"}};
        const auto until = std::min(changes.size(), since + 2);  // two at a time
        json::object result{{"created", json::array{}}, {"updated", json::array{}}, {"destroyed", json::array{}}};
        for (auto i = since; i < until; ++i) result[changes[i].first].as_array().emplace_back(changes[i].second);
        result["newState"] = std::to_string(std::max(since, until));
        result["hasMoreChanges"] = until < changes.size();
        return result;
    }

    json::object set(const json::object& arguments) {
        json::object updated, not_updated, not_destroyed;
        json::array destroyed;
        const bool put_off = rate_limits > 0 && rate_limits-- > 0;
        const auto refusal = [&](const std::string& id) -> std::string {
            if (put_off) return "rateLimit";
            if (refuses.contains(id)) return refuses[id];
            return emails.contains(id) ? "" : "notFound";
        };
        if (const auto* list = arguments.if_contains("destroy"))
            for (const auto& each : list->as_array()) {
                const std::string id(each.as_string());
                if (const auto type = refusal(id); !type.empty()) {
                    not_destroyed[id] = json::object{{"type", type}};
                } else {
                    destroy(id);
                    destroyed.emplace_back(id);
                }
            }
        if (const auto* patches = arguments.if_contains("update"))
            for (const auto& [key, patch] : patches->as_object()) {
                const std::string id(key);
                if (const auto type = refusal(id); !type.empty()) {
                    not_updated[id] = json::object{{"type", type}};
                    continue;
                }
                for (const auto& [pointer, value] : patch.as_object()) {
                    const std::string path(pointer);
                    if (path == "keywords/$seen")
                        emails[id].seen = true;
                    else if (value.is_null())
                        emails[id].folders.erase(path.substr(11));
                    else
                        emails[id].folders.insert(path.substr(11));
                }
                changes.emplace_back("updated", id);
                updated[id] = nullptr;
            }
        return {{"updated", updated},
                {"destroyed", destroyed},
                {"notUpdated", not_updated},
                {"notDestroyed", not_destroyed}};
    }
};

Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const FakeJmap& fake, BackendOptions options = {}) {
    return fake.backend(std::move(options))->open(fiber, {"user", Secret("pass")});
}

std::vector<std::string> ids_of(const Listing& listing) {
    std::vector<std::string> ids;
    for (const auto& each : listing.messages) ids.push_back(each.id);
    return ids;
}

using Ids = std::vector<std::string>;

KnownMailbox remembered(const Listing& listing) {
    KnownMailbox known{listing.state, listing.messages, listing.generation, listing.generation};
    std::uint32_t tag = 0;
    for (auto& each : known.messages) each.tag = ++tag;
    return known;
}

TEST(JmapMailbox, ListsPageByPageInTheOrderOfArrival) {
    FakeJmap fake;
    fake.most_in_get = 3;
    for (int i = 0; i < 8; ++i) fake.deliver("m" + std::to_string(i), 50 - i / 2);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        ASSERT_TRUE(mailbox) << mailbox.error().text << mailbox.error().detail;
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing) << listing.error().text << listing.error().detail;
        EXPECT_EQ(ids_of(*listing), (Ids{"m6", "m7", "m4", "m5", "m2", "m3", "m0", "m1"}));
        EXPECT_EQ(listing->messages[0].octets, 21U);
        EXPECT_TRUE(listing->ids_may_return);
        EXPECT_FALSE(listing->generation.empty());
        EXPECT_EQ(std::count(fake.calls.begin(), fake.calls.end(), "Email/query"), 3);
        Sink sink;
        ASSERT_TRUE((*mailbox)->fetch(listing->messages[0], sink));
        EXPECT_EQ(sink.text, "Subject: m6\r\n\r\ntext\r\n");
    });
}

TEST(JmapMailbox, AWrongPasswordIsRefusedAtLoginAlone) {
    FakeJmap fake;
    fake.deliver("a", 1);
    on_fiber([&](Fiber& fiber) {
        const auto refused = fake.backend()->open(fiber, {"user", Secret("wrong")});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::auth);
        auto mailbox = open(fiber, fake);
        ASSERT_TRUE(mailbox);
        fake.fault = [](const auto&) { return ScriptedHttp::say("401 Unauthorized", "<html>"); };
        const auto listing = (*mailbox)->list({});
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(JmapMailbox, TheCredentialGoesToNoOtherOriginUnlessTheRouteSaysSo) {
    FakeJmap fake, other;
    for (auto* each : {&fake, &other}) each->deliver("a", 1);
    const auto elsewhere = "http://127.0.0.1:" + other.server.port();
    BackendOptions options;
    for (auto* url : {&fake.api_url, &fake.download_url}) {
        const auto path = *url;
        for (const auto& origin : {elsewhere, std::string("https://127.0.0.1"), std::string("//localhost")}) {
            *url = origin + path;
            options.trusted_origins = origin == elsewhere ? "http://127.0.0.1:1" : elsewhere;
            on_fiber([&](Fiber& fiber) {
                const auto mailbox = fake.backend(options)->open(fiber, {"user", Secret("pass")});
                ASSERT_FALSE(mailbox) << *url;
                EXPECT_EQ(mailbox.error().code, Errc::permanent);
                const auto& detail = mailbox.error().detail;
                EXPECT_NE(detail.find("trusted_origins"), std::string::npos) << detail;
                EXPECT_TRUE(origin != elsewhere || detail.find(elsewhere) != std::string::npos) << detail;
            });
            EXPECT_EQ(other.requests, 0);
        }
        *url = elsewhere + path;
        options.trusted_origins = "https://a.example  " + elsewhere + " ";
        on_fiber([&](Fiber& fiber) {
            auto mailbox = fake.backend(options)->open(fiber, {"user", Secret("pass")});
            ASSERT_TRUE(mailbox) << mailbox.error().text << mailbox.error().detail;
            const auto listing = (*mailbox)->list({});
            ASSERT_TRUE(listing);
            Sink sink;
            EXPECT_TRUE((*mailbox)->fetch(listing->messages[0], sink));
        });
        EXPECT_GT(other.requests, 0);
        *url = path;
        other.requests = 0;
    }
}

TEST(JmapMailbox, WhatHasChangedIsEnough) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c", "d"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        const auto first = (*open(fiber, fake))->list({});
        ASSERT_TRUE(first);
        fake.deliver("e", 2);
        fake.destroy("a");
        fake.emails["b"].folders = {"bin"};
        fake.changes.emplace_back("updated", "b");
        fake.emails["c"].seen = true;
        fake.changes.emplace_back("updated", "c");
        fake.calls.clear();
        const auto later = (*open(fiber, fake))->list(remembered(*first));
        ASSERT_TRUE(later);
        EXPECT_EQ(ids_of(*later), (Ids{"c", "d", "e"}));
        EXPECT_EQ(later->messages[0].tag, 3U);
        EXPECT_EQ(later->messages[2].tag, 0U);
        EXPECT_EQ(std::count(fake.calls.begin(), fake.calls.end(), "Email/query"), 0);
        EXPECT_EQ(later->state, (*open(fiber, fake))->list({})->state);
        EXPECT_EQ(later->generation, first->generation);
    });
}

TEST(JmapMailbox, WhatDoesNotAddUpIsLookedAtAsAWhole) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        const auto first = (*open(fiber, fake))->list({});
        ASSERT_TRUE(first);
        fake.knows_changes = false;
        fake.deliver("d", 2);
        EXPECT_EQ(ids_of(*(*open(fiber, fake))->list(remembered(*first))), (Ids{"a", "b", "c", "d"}));
        fake.knows_changes = true;
        auto known = remembered(*first);
        known.state = "jmap1 [\"acc\",\"in\",\"999\"]";  // a state that never was, which the server does not mind
        const auto listing = (*open(fiber, fake))->list(known);
        ASSERT_TRUE(listing);
        EXPECT_EQ(ids_of(*listing), (Ids{"a", "b", "c", "d"}));
        EXPECT_EQ(listing->messages[0].tag, 1U);
    });
}

TEST(JmapMailbox, AChangeThatIsNotToldShowsInTheNumber) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        const auto first = (*open(fiber, fake))->list({});
        ASSERT_TRUE(first);
        fake.emails.erase("a");
        fake.deliver("d", 2);
        const auto later = (*open(fiber, fake))->list(remembered(*first));
        ASSERT_TRUE(later);
        EXPECT_EQ(ids_of(*later), (Ids{"b", "c", "d"}));
    });
}

TEST(JmapMailbox, SilenceAboutAMessageDoesNotMeanThatItIsGone) {
    FakeJmap fake;
    for (const auto* id : {"a", "b"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing);
        fake.fault = [](const auto& method) {
            return method != "Email/get"
                       ? ""
                       : ScriptedHttp::say("200 OK",
                                           R"({"methodResponses": [["Email/get", {"list": [], "notFound": []}, "0"]]})",
                                           "Content-Type: application/json\r\n");
        };
        const auto report = (*mailbox)->remove(listing->messages);
        EXPECT_EQ(report.outcomes, std::vector(2, Removal::failed));
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::temporary);
    });
}

TEST(JmapMailbox, AListThatIsShortIsNone) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c"}) fake.deliver(id, 1);
    const auto expect_temporary = [&](const char* what) {
        on_fiber([&](Fiber& fiber) {
            const auto listing = (*open(fiber, fake))->list({});
            ASSERT_FALSE(listing) << what;
            EXPECT_EQ(listing.error().code, Errc::temporary) << what;
        });
    };
    fake.tamper_query = [](auto& answer) { answer["ids"] = json::array{json::string("a")}; };
    expect_temporary("one id of three");
    fake.tamper_query = [](auto& answer) { answer["ids"] = json::array{}, answer["total"] = 0; };
    expect_temporary("empty, though the folder is not");
    fake.tamper_query = [](auto& answer) { answer.erase("total"); };
    expect_temporary("no total");
    fake.tamper_query = [](auto& answer) { answer["ids"] = json::array{"a", "b", "b"}; };
    expect_temporary("one id twice");
    fake.tamper_query = nullptr;
    fake.fault = [](const auto& method) {
        return method == "Email/query" ? ScriptedHttp::say("200 OK", "<html>", "Content-Type: text/html\r\n") : "";
    };
    expect_temporary("a page");
}

TEST(JmapMailbox, ALimitThatWasNotToldIsFound) {
    FakeJmap fake;
    fake.most_in_get = 4;
    fake.tells_limits = false;
    for (int i = 0; i < 10; ++i) fake.deliver("m" + std::to_string(i), i);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 10U);
        EXPECT_EQ(*(*mailbox)->unread(listing->messages), std::vector(10, true));
    });
}

TEST(JmapMailbox, AShortDownloadIsAFaultAndAMissingOneIsGone) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        fake.cut_downloads = "a";
        Sink sink, other;
        const auto cut = (*mailbox)->fetch(listing->messages[0], sink);
        ASSERT_FALSE(cut);
        EXPECT_EQ(cut.error().code, Errc::temporary);
        fake.destroy("b");
        EXPECT_EQ((*mailbox)->fetch(listing->messages[1], other).error().code, Errc::gone);
        EXPECT_EQ(other.text, "");
        Sink top(3);
        EXPECT_EQ((*mailbox)->fetch_top(listing->messages[2], top).error().code, Errc::sink_closed);
    });
}

TEST(JmapMailbox, KnownMessagesAreFoundManyAtOnce) {
    FakeJmap fake;
    for (int i = 0; i < 50; ++i) fake.deliver("m" + std::to_string(i), i);
    on_fiber([&](Fiber& fiber) {
        const auto first = (*open(fiber, fake))->list({});
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list(remembered(*first));
        fake.calls.clear();
        for (const auto& each : listing->messages) {
            Sink sink;
            ASSERT_TRUE((*mailbox)->fetch(each, sink));
        }
        EXPECT_EQ(fake.calls, Ids{"Email/get"});
    });
}

TEST(JmapMailbox, WhatIsInOtherFoldersStaysThere) {
    FakeJmap fake;
    fake.deliver("a", 1);
    fake.deliver("b", 2, {"in", "work"});
    fake.deliver("c", 3);
    fake.deliver("d", 4);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        ASSERT_EQ(listing->messages.size(), 4U);
        fake.destroy("c");
        fake.refuses["d"] = "forbidden";
        const auto report = (*mailbox)->remove(listing->messages);
        EXPECT_EQ(report.outcomes, (std::vector{Removal::removed, Removal::removed, Removal::gone, Removal::failed}));
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::permanent);
        EXPECT_FALSE(fake.emails.contains("a"));
        EXPECT_EQ(fake.emails["b"].folders, std::set<std::string>{"work"});
        Sink sink;
        EXPECT_EQ((*mailbox)->fetch(listing->messages[1], sink).error().code, Errc::gone);
    });
}

TEST(JmapMailbox, MovesToTheFolderWithTheRole) {
    FakeJmap fake;
    fake.deliver("a", 1);
    fake.deliver("b", 2, {"in", "work"});
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        const auto nowhere = (*mailbox)->move(listing->messages, SpecialFolder::archive);
        EXPECT_EQ(nowhere.outcomes, std::vector(2, Removal::failed));
        EXPECT_EQ(nowhere.status.error().code, Errc::permanent);
        const auto report = (*mailbox)->move(listing->messages, SpecialFolder::trash);
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector(2, Removal::removed));
        EXPECT_EQ(fake.emails["a"].folders, std::set<std::string>{"bin"});
        EXPECT_EQ(fake.emails["b"].folders, (std::set<std::string>{"bin", "work"}));
    });
}

TEST(JmapMailbox, WhatIsPutOffIsAskedForAgain) {
    FakeJmap fake;
    fake.deliver("a", 1);
    fake.rate_limits = 1;
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        const auto report = (*mailbox)->remove(listing->messages);
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector(1, Removal::removed));
        EXPECT_TRUE(fake.emails.empty());
    });
}

TEST(JmapMailbox, ALostAnswerIsAskedFor) {
    FakeJmap fake;
    for (const auto* id : {"a", "b"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        fake.sets_but_hangs_up = true;
        auto report = (*mailbox)->remove({listing->messages[0]});
        EXPECT_EQ(report.outcomes, std::vector(1, Removal::removed));
        EXPECT_TRUE(report.status);
        fake.sets_but_hangs_up = false;
        bool set_was_asked = false;
        fake.fault = [&](const auto& method) -> std::string {
            set_was_asked = set_was_asked || method == "Email/set";
            return set_was_asked ? ScriptedHttp::hang_up : "";
        };
        report = (*mailbox)->remove({listing->messages[1]});
        EXPECT_EQ(report.outcomes, std::vector(1, Removal::unknown));
        EXPECT_FALSE(report.status);
    });
}

TEST(JmapMailbox, MarksAreSetAndRead) {
    FakeJmap fake;
    for (const auto* id : {"a", "b", "c"}) fake.deliver(id, 1);
    on_fiber([&](Fiber& fiber) {
        auto mailbox = open(fiber, fake);
        const auto listing = (*mailbox)->list({});
        fake.destroy("c");
        ASSERT_TRUE((*mailbox)->mark_seen({listing->messages[1], listing->messages[2]}));
        EXPECT_EQ(*(*mailbox)->unread({listing->messages[1], listing->messages[0]}), (std::vector{false, true}));
        fake.refuses["a"] = "forbidden";
        EXPECT_FALSE((*mailbox)->mark_seen(listing->messages));
    });
}

TEST(JmapBackend, RefusesWhatCannotBeServed) {
    for (const auto* url :
         {"jmaps:", "jmaps://", "jmaps://user@host", "jmaps://host:0", "jmaps://host/?x", "jmaps://host#x"}) {
        BackendOptions options;
        options.url = url;
        EXPECT_FALSE(make_jmap_backend(options)) << url;
    }
    BackendOptions options;
    options.url = "jmaps://Host.example";
    options.unique_ids = "dovecot";
    EXPECT_FALSE(make_jmap_backend(options));
    options.unique_ids = "native";
    const auto backend = make_jmap_backend(options);
    ASSERT_TRUE(backend);
    EXPECT_EQ((*backend)->mailbox_key("User"), "jmap:host.example:443/INBOX/user");
    EXPECT_TRUE((*backend)->checks_password());
    for (const auto* origins : {"https://a.example", "https://a.example:8443 https://b.example"}) {
        options.trusted_origins = origins;
        EXPECT_TRUE(make_jmap_backend(options)) << origins;
    }
    for (const auto* origins : {"a.example", "https://", "https://a.example/", "https://a.example/path",
                                "https://u@a.example", "https://a.example https", "http://a.example",
                                "https://a.example,https://b.example", "https://*.example/x", "https://a.example?"}) {
        options.trusted_origins = origins;
        EXPECT_FALSE(make_jmap_backend(options)) << origins;
    }
    options.trusted_origins.clear();
    options.folder = "inbox";
    options.mailbox = "team@%d";
    options.token_file = "/token";
    const auto shared = make_jmap_backend(options);
    ASSERT_TRUE(shared);
    EXPECT_EQ((*shared)->mailbox_key("a@x"), (*shared)->mailbox_key("b@x"));
    EXPECT_FALSE((*shared)->checks_password());
    options.mailbox = "";
    const auto basic = make_jmap_backend(options);
    ASSERT_TRUE(basic);
    EXPECT_NE((*basic)->mailbox_key("a@x"), (*basic)->mailbox_key("b@x"));
    options.http_auth = "bearer";
    const auto bearer = make_jmap_backend(options);
    ASSERT_TRUE(bearer);
    EXPECT_EQ((*bearer)->mailbox_key("a@x"), (*bearer)->mailbox_key("b@x"));
}

}  // namespace
}  // namespace popgate::jmap
