#include "backends/gmail/gmail_backend.hpp"
#include "backends/gmail/listing.hpp"
#include "backends/mailbox.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace popgate::gmail {
namespace {

using test::ScriptedHttp;
namespace json = boost::json;

/// As much of the Gmail API as the backend asks for: messages with labels, one record of history for each change, and
/// what a test wants to go wrong.
class Gmail {
public:
    struct Message {
        std::set<std::string> labels{"INBOX"};
        std::uint64_t size = 100;
        std::int64_t date = 1'700'000'000'000;
        std::string raw = "QQ";
    };

    void add(const std::string& id) { add(id, Message()); }
    void add(const std::string& id, Message message) {
        const std::lock_guard lock(mutex);
        note("messagesAdded", id, {});
        messages[id] = std::move(message);
    }
    void erase(const std::string& id) {
        const std::lock_guard lock(mutex);
        note("messagesDeleted", id, {});
        messages.erase(id);
    }
    void relabel(const std::string& id, const std::string& label, bool has) {
        const std::lock_guard lock(mutex);
        note(has ? "labelsAdded" : "labelsRemoved", id, {label});
        change_label(id, label, has);
    }

    std::unique_ptr<Backend> backend(std::function<void(BackendOptions&)> change = {}) const {
        BackendOptions options;
        options.url = "gmail:" + server.origin();
        options.units_per_minute = 10'000'000;
        if (change) change(options);
        auto made = make_gmail_backend(options);
        EXPECT_TRUE(made) << made.error().text;
        return std::move(*made);
    }

    /// How many requests were for this since the last call of forget().
    std::size_t asked(const std::string& what) const {
        const auto all = server.asked();
        return static_cast<std::size_t>(std::count_if(all.begin() + static_cast<std::ptrdiff_t>(forgotten), all.end(),
                                                      [&](const auto& each) { return each.has(what); }));
    }
    void forget() { forgotten = server.asked().size(); }

    std::mutex mutex;
    std::map<std::string, Message> messages;
    std::vector<json::object> records;
    std::size_t page = 3;
    std::uint64_t oldest_history = 1;
    std::set<std::string> hidden;           // of batches
    std::set<std::string> broken;           // 500 in a batch
    std::set<std::string> left_out;         // of lists
    std::set<std::string> counted_besides;  // by the label
    std::size_t most_at_once = 1000;        // of a batch; others are refused
    std::size_t refusals = 0;               // 429 in a batch
    std::size_t batches = 0, most_batches = 1000;
    bool may_destroy = true;
    bool leads_nowhere = false;  // of pages
    bool loses_answers = false;  // to what changes messages
    std::function<void()> before_list;

    std::size_t forgotten = 0;
    ScriptedHttp server{[this](const ScriptedHttp::Asked& asked, std::size_t) { return answer(asked); }};

private:
    void change_label(const std::string& id, const std::string& label, bool has) {
        const auto found = messages.find(id);
        if (found == messages.end()) return;
        if (has)
            found->second.labels.insert(label);
        else
            found->second.labels.erase(label);
    }

    void note(const std::string& kind, const std::string& id, const std::vector<std::string>& labels) {
        json::object change{{"message", json::object{{"id", id}}}};
        if (!labels.empty()) change["labelIds"] = json::value_from(labels);
        records.push_back({{"id", std::to_string(records.size() + 2)}, {kind, json::array{change}}});
    }
    std::string history_id() const { return std::to_string(records.size() + 1); }

    static std::string say(const json::value& body, const std::string& status = "200 OK") {
        return ScriptedHttp::say(status, json::serialize(body), "Content-Type: application/json; charset=UTF-8\r\n");
    }
    static json::value error(int code, const std::string& reason) {
        return {{"error", {{"code", code}, {"errors", json::array{{{"reason", reason}}}}}}};
    }
    static std::string value(const std::string& target, const std::string& name) {
        const auto begin = target.find(name + "=");
        if (begin == std::string::npos) return {};
        return target.substr(begin + name.size() + 1, target.find('&', begin) - begin - name.size() - 1);
    }

    std::string answer(const ScriptedHttp::Asked& asked) {
        if (asked.target().find("/messages?") != std::string::npos && before_list) before_list();
        const std::lock_guard lock(mutex);
        const auto target = asked.target();
        if (!asked.has("Authorization: Bearer secret\r\n")) return say(error(401, "authError"), "401 Unauthorized");
        if (target == "/batch/gmail/v1") return batch(asked.body);
        const std::string root = "/gmail/v1/users/me";
        EXPECT_TRUE(target.starts_with(root)) << target;
        const auto path = target.substr(root.size());
        if (path == "/profile") return say({{"historyId", history_id()}});
        if (path.starts_with("/labels/")) return label(path.substr(8));
        if (path.starts_with("/labels"))
            return say({{"labels", {{{"id", "INBOX"}, {"name", "INBOX"}}, {{"id", "Label_7"}, {"name", "Kept/a"}}}}});
        if (path.starts_with("/history")) return history(path);
        if (path.starts_with("/messages?")) return list(path);
        if (path == "/messages/batchModify" || path == "/messages/batchDelete") return change(path, asked.body);
        const auto found = messages.find(path.substr(10, path.find('?') - 10));
        if (found == messages.end()) return say(error(404, "notFound"), "404 Not Found");
        return say({{"raw", found->second.raw}});
    }

    std::string label(const std::string& id) const {
        if (id != "INBOX" && id != "Label_7") return say(error(404, "notFound"), "404 Not Found");
        auto total = std::ranges::count_if(messages, [&](const auto& each) { return each.second.labels.contains(id); });
        total += static_cast<std::ptrdiff_t>(counted_besides.size());
        return say({{"id", id}, {"name", id}, {"messagesTotal", total}});
    }

    std::string list(const std::string& path) const {
        std::vector<std::string> ids;
        const bool with_trash = path.find("includeSpamTrash=true") != std::string::npos;
        for (const auto& [id, message] : messages) {
            bool is_listed = !left_out.contains(id) && (with_trash || !message.labels.contains("TRASH"));
            for (auto at = path.find("labelIds="); at != std::string::npos; at = path.find("labelIds=", at + 1))
                is_listed = is_listed && message.labels.contains(value(path.substr(at), "labelIds"));
            if (is_listed) ids.push_back(id);
        }
        // Tokens of the sort that must come back as they are; the first page is an empty one.
        const auto token = value(path, "pageToken");
        if (leads_nowhere || (token.empty() && !ids.empty()))
            return say({{"nextPageToken", "+0="}, {"resultSizeEstimate", 201}});
        const auto first = token.empty() ? 0 : std::stoul(token.substr(3));
        json::array page_ids;
        for (auto i = first; i < std::min(first + page, ids.size()); ++i)
            page_ids.push_back(json::object{{"id", ids[i]}});
        json::object body{{"resultSizeEstimate", 201}};
        if (!page_ids.empty()) body["messages"] = page_ids;
        if (first + page < ids.size()) body["nextPageToken"] = "+" + std::to_string(first + page) + "=";
        return say(body);
    }

    std::string history(const std::string& path) const {
        const auto since = std::stoull(value(path, "startHistoryId"));
        if (since < oldest_history) return say(error(404, "notFound"), "404 Not Found");
        const auto token = value(path, "pageToken");
        const auto first = token.empty() ? since - 1 : std::stoull(token);
        json::array some;
        for (auto i = first; i < std::min<std::size_t>(first + page, records.size()); ++i) some.push_back(records[i]);
        json::object body{{"historyId", history_id()}};
        if (!some.empty()) body["history"] = some;
        if (first + page < records.size()) body["nextPageToken"] = std::to_string(first + page);
        return say(body);
    }

    std::string batch(const std::string& asked) {
        if (++batches > most_batches) return ScriptedHttp::hang_up;
        std::string body;
        std::size_t number = 0;
        constexpr std::string_view get = "GET /gmail/v1/users/me/messages/";
        for (auto at = asked.find(get); at != std::string::npos; at = asked.find(get, at + 1), ++number) {
            const auto id = asked.substr(at + get.size(), asked.find('?', at) - at - get.size());
            auto status = std::string("200 OK");
            json::value inner;
            if (const auto found = messages.find(id); number >= most_at_once) {
                ++refusals;
                status = "429 Too Many Requests";
                inner = error(429, "rateLimitExceeded");
            } else if (broken.contains(id)) {
                status = "500 Internal Server Error";
                inner = error(500, "backendError");
            } else if (found == messages.end() || hidden.contains(id)) {
                status = "404 Not Found";
                inner = error(404, "notFound");
            } else {
                inner = {{"id", id},
                         {"sizeEstimate", found->second.size},
                         {"internalDate", std::to_string(found->second.date)},
                         {"labelIds", json::value_from(found->second.labels)}};
            }
            // In another order than they were asked.
            body = "--b\r\nContent-Type: application/http\r\nContent-ID: <response-item-" + std::to_string(number) +
                   ">\r\n\r\nHTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n\r\n" +
                   json::serialize(inner) + "\r\n" + body;
        }
        return ScriptedHttp::say("200 OK", body + "--b--\r\n", "Content-Type: multipart/mixed; boundary=b\r\n");
    }

    std::string change(const std::string& path, const std::string& body) {
        const auto asked = json::parse(body).as_object();
        const bool destroys = path == "/messages/batchDelete";
        if (destroys && !may_destroy) return say(error(403, "insufficientPermissions"), "403 Forbidden");
        for (const auto& each : asked.at("ids").as_array()) {
            const std::string id(each.as_string());
            if (destroys) {
                note("messagesDeleted", id, {});
                messages.erase(id);
                continue;
            }
            for (const auto* const key : {"addLabelIds", "removeLabelIds"})
                if (const auto* labels = asked.if_contains(key))
                    for (const auto& label : labels->as_array()) {
                        note(key == std::string("addLabelIds") ? "labelsAdded" : "labelsRemoved", id,
                             {std::string(label.as_string())});
                        change_label(id, std::string(label.as_string()), key == std::string("addLabelIds"));
                    }
        }
        return loses_answers ? std::string(ScriptedHttp::hang_up) : ScriptedHttp::say("204 No Content", "");
    }
};

std::unique_ptr<Mailbox> open(Fiber& fiber, const Backend& backend) {
    auto mailbox = backend.open(fiber, {"joe@example.com", Secret("secret")});
    if (!mailbox) throw std::runtime_error(mailbox.error().text + ": " + mailbox.error().detail);
    return std::move(*mailbox);
}

std::string ids(const std::vector<MessageInfo>& messages) {
    std::string text;
    for (const auto& each : messages) text += (text.empty() ? "" : " ") + each.id;
    return text;
}

KnownMailbox known_from(const Listing& listing) {
    KnownMailbox known{listing.state, listing.messages, {}, {}};
    for (std::size_t i = 0; i < known.messages.size(); ++i) {
        known.messages[i].tag = static_cast<std::uint32_t>(i + 1);
        known.messages[i].octets = 4711;  // as if it had been learned
    }
    return known;
}

/// A look by a new session.
Listing look(Fiber& fiber, Gmail& gmail, KnownMailbox known = {}) {
    gmail.forget();
    auto listing = open(fiber, *gmail.backend())->list(std::move(known));
    if (!listing) throw std::runtime_error(listing.error().text + ": " + listing.error().detail);
    return std::move(*listing);
}

class TextSink final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return true;
    }
    std::string text;
};

TEST(GmailMailbox, ListsAllOldestFirst) {
    Gmail gmail;
    gmail.add("b", {.size = 7, .date = 1'700'000'005'100});
    gmail.add("a", {.date = 1'700'000'005'900});
    gmail.add("10", {.date = 1'700'000'005'000});
    gmail.add("c", {.date = 1'600'000'000'000});
    gmail.add("sent", {.labels = {"SENT"}});
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = look(fiber, gmail);
        EXPECT_EQ(ids(listing.messages), "c a b 10");
        EXPECT_EQ(listing.messages[2].octets, 7U);
        EXPECT_FALSE(listing.messages[2].octets_are_exact);
        EXPECT_EQ(listing.messages[2].arrival, 1'700'000'005);
        EXPECT_EQ(listing.still_to_come, 0U);
    });
}

TEST(GmailMailbox, AnEmptyMailboxIsEmpty) {
    Gmail gmail;
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = look(fiber, gmail);
        EXPECT_TRUE(listing.messages.empty());
        EXPECT_EQ(ids(look(fiber, gmail, known_from(listing)).messages), "");
    });
}

TEST(GmailMailbox, AWrongTokenIsRefused) {
    Gmail gmail;
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = gmail.backend()->open(fiber, {"joe", Secret("wrong")});
        ASSERT_FALSE(mailbox);
        EXPECT_EQ(mailbox.error().code, Errc::auth);
    });
}

TEST(GmailMailbox, AnotherProgramsTokenIsNotTheClientsFault) {
    Gmail gmail;
    const std::string path = testing::TempDir() + "gmail_token";
    std::ofstream(path) << "wrong\n";
    test::on_fiber([&](Fiber& fiber) {
        const auto backend = gmail.backend([&](auto& options) { options.token_file = path; });
        EXPECT_FALSE(backend->checks_password());
        const auto mailbox = backend->open(fiber, {"joe", Secret("secret")});
        ASSERT_FALSE(mailbox);
        EXPECT_EQ(mailbox.error().code, Errc::temporary);
    });
}

TEST(GmailBackend, OneMailboxHasOneKey) {
    BackendOptions options;
    options.url = "gmail:";
    const auto key = [&](const std::string& user) { return (*make_gmail_backend(options))->mailbox_key(user); };
    EXPECT_EQ(key("A@x"), key("a@x"));
    EXPECT_NE(key("a@x"), key("b@x"));
    options.token_file = "/run/tokens/%u";
    EXPECT_NE(key("a@x"), key("b@x"));
    options.token_file = "/run/token";
    EXPECT_EQ(key("a@x"), key("b@x"));
    options.mailbox = "%u";
    EXPECT_NE(key("a@x"), key("b@x"));
}

TEST(GmailBackend, WithoutACredentialNobodyChecksThePassword) {
    BackendOptions options;
    options.url = "gmail:";
    EXPECT_TRUE((*make_gmail_backend(options))->checks_password());
    options.http_auth = "none";
    EXPECT_FALSE((*make_gmail_backend(options))->checks_password());
}

TEST(GmailMailbox, NothingNewCostsTwoRequests) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c", "d", "e"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = look(fiber, gmail, known_from(look(fiber, gmail)));
        EXPECT_EQ(gmail.asked("HTTP/1.1"), 2U);
        EXPECT_EQ(ids(listing.messages), "a b c d e");
        EXPECT_EQ(listing.messages[4].tag, 5U);
        EXPECT_EQ(listing.messages[4].octets, 4711U);
    });
}

TEST(GmailMailbox, HistoryTellsWhatHasChanged) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c", "d", "e", "f"}) gmail.add(id);
    gmail.relabel("f", "INBOX", false);
    test::on_fiber([&](Fiber& fiber) {
        auto known = known_from(look(fiber, gmail));
        gmail.erase("a");
        gmail.relabel("b", "INBOX", false);
        gmail.relabel("c", "INBOX", false);
        gmail.relabel("c", "INBOX", true);
        gmail.relabel("f", "INBOX", true);
        gmail.add("g");
        gmail.erase("g");
        gmail.add("h");
        gmail.add("i", {.labels = {"SENT"}});
        const auto listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(ids(listing.messages), "c d e f h");
        EXPECT_EQ(listing.messages[0].tag, 3U);
        EXPECT_EQ(gmail.asked("GET /gmail/v1/users/me/messages?"), 0U);
        EXPECT_EQ(gmail.asked("POST /batch"), 1U);
    });
}

TEST(GmailMailbox, ForgottenHistoryCostsIdsButNoDetails) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c", "d"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        auto known = known_from(look(fiber, gmail));
        gmail.erase("b");
        gmail.add("e");
        gmail.oldest_history = 1000;
        const auto listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(ids(listing.messages), "a c d e");
        EXPECT_EQ(listing.messages[1].octets, 4711U);
        EXPECT_EQ(listing.messages[3].octets, 100U);
        EXPECT_EQ(gmail.asked("POST /batch"), 1U);
    });
}

TEST(GmailMailbox, WhatHistoryHidIsFoundByCounting) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        auto known = known_from(look(fiber, gmail));
        gmail.erase("b");
        gmail.add("d");
        gmail.add("e");
        gmail.records.resize(gmail.records.size() - 1);
        EXPECT_EQ(ids(look(fiber, gmail, std::move(known)).messages), "a c d e");
    });
}

TEST(GmailMailbox, AListThatIsTooShortIsAskedAgain) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c"}) gmail.add(id);
    gmail.left_out = {"b"};
    int lists = 0;
    gmail.before_list = [&] {
        if (++lists > 2) gmail.left_out.clear();  // a list of two pages
    };
    test::on_fiber([&](Fiber& fiber) { EXPECT_EQ(ids(look(fiber, gmail).messages), "a b c"); });
}

TEST(GmailMailbox, AListThatStaysTooShortIsNotShown) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        auto known = known_from(look(fiber, gmail));
        known.state.clear();
        gmail.left_out = {"a", "b", "c"};
        const auto listing = open(fiber, *gmail.backend())->list(std::move(known));
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(GmailMailbox, AMessageThatIsListedAndNotToBeHadIsNotLeftOut) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c"}) gmail.add(id);
    gmail.hidden = {"b"};
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = open(fiber, *gmail.backend())->list({});
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(GmailMailbox, AMessageWithoutDetailsIsListedBehindTheOneBefore) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c"}) gmail.add(id);
    gmail.messages["a"].date = 1'600'000'000'000;
    gmail.broken = {"b"};
    test::on_fiber([&](Fiber& fiber) {
        auto listing = look(fiber, gmail);
        EXPECT_EQ(ids(listing.messages), "a b c");
        EXPECT_EQ(listing.messages[1].octets, 4096U);
        EXPECT_FALSE(listing.messages[1].octets_are_exact);
        EXPECT_EQ(listing.messages[1].arrival, 1'600'000'000);
        EXPECT_EQ(gmail.asked("POST /batch"), 4U);

        // It came after the last look, and is under the label as a list says.
        gmail.add("d");
        gmail.add("e", {.labels = {"SENT"}});
        gmail.broken = {"d", "e"};
        listing = look(fiber, gmail, known_from(listing));
        EXPECT_EQ(ids(listing.messages), "a b c d");
        EXPECT_EQ(listing.messages[1].octets, 4711U);

        // What is known is not asked for again.
        listing = look(fiber, gmail, known_from(listing));
        EXPECT_EQ(ids(listing.messages), "a b c d");
        EXPECT_EQ(gmail.asked("HTTP/1.1"), 2U);
    });
}

TEST(GmailMailbox, ErrorsForManyMessagesAreNoListing) {
    Gmail gmail;
    for (int i = 100; i < 120; ++i) {
        gmail.add("m" + std::to_string(i));
        gmail.broken.insert("m" + std::to_string(i));
    }
    gmail.add("m200");
    test::on_fiber([&](Fiber& fiber) {
        const auto failed = open(fiber, *gmail.backend())->list({});
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, Errc::temporary);
        KnownMailbox known;
        known.patience = std::chrono::minutes(1);
        const auto listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(ids(listing.messages), "m200");
        EXPECT_EQ(listing.still_to_come, 20U);
    });
}

TEST(GmailMailbox, WhatTheLabelCountsInTheTrashIsNotMissing) {
    Gmail gmail;
    gmail.add("a", {.labels = {"Label_7"}});
    gmail.add("b", {.labels = {"Label_7", "TRASH"}});
    test::on_fiber([&](Fiber& fiber) {
        const auto backend = gmail.backend([](auto& options) { options.folder = "Kept/a"; });
        auto listing = open(fiber, *backend)->list({});
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(ids(listing->messages), "a");
        gmail.forget();
        listing = open(fiber, *backend)->list(known_from(*listing));
        ASSERT_TRUE(listing);
        EXPECT_EQ(ids(listing->messages), "a");
        EXPECT_EQ(gmail.asked("/messages?"), 0U);
    });
}

TEST(GmailMailbox, RefusedPartsOfABatchAreAskedAgain) {
    Gmail gmail;
    for (int i = 100; i < 160; ++i) gmail.add("m" + std::to_string(i));
    gmail.page = 500;
    gmail.most_at_once = 12;
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_EQ(look(fiber, gmail).messages.size(), 60U);
        EXPECT_GT(gmail.refusals, 0U);
        EXPECT_LT(gmail.batches, 12U);
    });
}

TEST(GmailMailbox, AServerThatRefusesEverythingIsGivenUp) {
    Gmail gmail;
    gmail.add("a");
    gmail.most_at_once = 0;
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = open(fiber, *gmail.backend([](auto& options) {
                                 options.command_timeout = std::chrono::milliseconds(3000);
                             }))->list({});
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(GmailMailbox, WhenPatienceIsOverTheRestIsStillToCome) {
    Gmail gmail;
    for (int i = 100; i < 140; ++i) gmail.add("m" + std::to_string(i));
    constexpr auto patience = std::chrono::milliseconds(1);
    gmail.before_list = [&] { std::this_thread::sleep_for(2 * patience); };
    test::on_fiber([&](Fiber& fiber) {
        KnownMailbox known;
        known.patience = patience;
        auto listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(listing.messages.size(), 0U);
        EXPECT_EQ(listing.still_to_come, 40U);
        const auto state = parse_listing_state(listing.state);
        ASSERT_TRUE(state);
        EXPECT_EQ(state->history_id, "");  // so that all ids are listed again

        known = known_from(listing);
        listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(listing.messages.size(), 40U);
        EXPECT_EQ(listing.still_to_come, 0U);
    });
}

TEST(GmailMailbox, WhatWasFoundBeforeAFaultIsKeptForTheNextLook) {
    Gmail gmail;
    for (int i = 100; i < 140; ++i) gmail.add("m" + std::to_string(i));
    gmail.most_batches = 1;
    test::on_fiber([&](Fiber& fiber) {
        const auto failed = open(fiber, *gmail.backend())->list({});
        ASSERT_FALSE(failed);
        EXPECT_EQ(failed.error().code, Errc::temporary);

        gmail.batches = 0;
        KnownMailbox known;
        known.patience = std::chrono::minutes(1);
        auto listing = look(fiber, gmail, std::move(known));
        EXPECT_EQ(listing.messages.size(), 25U);
        EXPECT_EQ(listing.still_to_come, 15U);

        gmail.most_batches = 1000;
        listing = look(fiber, gmail, known_from(listing));
        EXPECT_EQ(listing.messages.size(), 40U);
        EXPECT_EQ(gmail.asked("POST /batch"), 1U);
        EXPECT_EQ(std::ranges::count(listing.messages, 4711U, &MessageInfo::octets), 25);
    });
}

TEST(GmailMailbox, FetchesAndTellsWhatIsGone) {
    Gmail gmail;
    gmail.add("a", {.raw = "aGk="});
    gmail.add("b", {.raw = "aGk"});
    gmail.add("c", {.raw = "a"});
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        ASSERT_TRUE(listing);
        for (const auto place : {0, 1}) {
            TextSink sink;
            EXPECT_TRUE(mailbox->fetch(listing->messages[static_cast<std::size_t>(place)], sink));
            EXPECT_EQ(sink.text, "hi");
        }
        TextSink sink;
        auto status = mailbox->fetch(listing->messages[2], sink);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::temporary);
        gmail.erase("a");
        status = mailbox->fetch_top(listing->messages[0], sink);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::gone);
    });
}

TEST(GmailMailbox, TellsAndMarksWhatIsRead) {
    Gmail gmail;
    gmail.add("a", {.labels = {"INBOX", "UNREAD"}});
    gmail.add("b");
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        ASSERT_TRUE(listing);
        EXPECT_EQ(*mailbox->unread(listing->messages), (std::vector{true, false}));
        EXPECT_TRUE(mailbox->mark_seen(listing->messages));
        EXPECT_EQ(*mailbox->unread(listing->messages), (std::vector{false, false}));
    });
}

TEST(GmailMailbox, RemovesForEverWhereItMay) {
    Gmail gmail;
    gmail.add("a");
    gmail.add("b");
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        const auto report = mailbox->remove({listing->messages[0]});
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector{Removal::removed});
        EXPECT_EQ(gmail.messages.size(), 1U);
    });
}

TEST(GmailMailbox, WhatWasPutElsewhereMeanwhileIsNotDestroyedThere) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c", "d"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        gmail.relabel("a", "INBOX", false);
        gmail.erase("b");
        gmail.relabel("c", "INBOX", false);
        gmail.relabel("c", "INBOX", true);
        for (int session = 0; session < 2; ++session) {
            const auto report = mailbox->remove(listing->messages);
            EXPECT_TRUE(report.status);
            const auto there = session == 0 ? Removal::removed : Removal::gone;
            EXPECT_EQ(report.outcomes, (std::vector{Removal::gone, Removal::gone, there, there}));
        }
        EXPECT_EQ(gmail.messages.size(), 1U);
        EXPECT_TRUE(gmail.messages.contains("a"));
        EXPECT_EQ(gmail.asked("batchDelete"), 1U);
    });
}

TEST(GmailMailbox, ForgottenHistoryIsNoReasonToDestroyBlindly) {
    Gmail gmail;
    for (const auto* id : {"a", "b"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        gmail.relabel("a", "INBOX", false);
        gmail.oldest_history = 1000;
        EXPECT_EQ(mailbox->remove(listing->messages).outcomes, (std::vector{Removal::gone, Removal::removed}));
        EXPECT_TRUE(gmail.messages.contains("a"));
    });
}

TEST(GmailMailbox, PagesThatNeverEndAreGivenUp) {
    Gmail gmail;
    gmail.add("a");
    gmail.leads_nowhere = true;
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = open(fiber, *gmail.backend())->list({});
        ASSERT_FALSE(listing);
        EXPECT_EQ(listing.error().code, Errc::temporary);
    });
}

TEST(GmailMailbox, WithoutTheScopeItRemovesToTheTrashAndPurgesNothing) {
    Gmail gmail;
    gmail.may_destroy = false;
    gmail.add("a");
    gmail.add("b");
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        auto report = mailbox->purge({listing->messages[0]});
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::permanent);
        EXPECT_NE(report.status.error().text.find("https://mail.google.com/"), std::string::npos);
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
        for (const auto& message : listing->messages) {
            report = mailbox->remove({message});
            EXPECT_TRUE(report.status);
            EXPECT_EQ(report.outcomes, std::vector{Removal::removed});
        }
        EXPECT_EQ(gmail.messages["a"].labels, std::set<std::string>{"TRASH"});
        EXPECT_EQ(gmail.asked("batchDelete"), 1U);
    });
}

TEST(GmailMailbox, MovesByLabels) {
    Gmail gmail;
    for (const auto* id : {"a", "b", "c", "d"}) gmail.add(id);
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        EXPECT_TRUE(mailbox->move({listing->messages[0]}, SpecialFolder::trash).status);
        EXPECT_TRUE(mailbox->move({listing->messages[1]}, SpecialFolder::archive).status);
        const auto named = open(fiber, *gmail.backend([](auto& options) {
            options.trash_folder = "Kept/a";
            options.archive_folder = "INBOX";
        }));
        EXPECT_TRUE(named->move({listing->messages[2]}, SpecialFolder::trash).status);
        const auto report = named->move({listing->messages[3]}, SpecialFolder::archive);
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::permanent);
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
        using Labels = std::set<std::string>;
        EXPECT_EQ(gmail.messages["a"].labels, Labels{"TRASH"});
        EXPECT_EQ(gmail.messages["b"].labels, Labels{});
        EXPECT_EQ(gmail.messages["c"].labels, Labels{"Label_7"});
        EXPECT_EQ(gmail.messages["d"].labels, Labels{"INBOX"});
    });
}

TEST(GmailMailbox, ALostAnswerIsFoundOut) {
    Gmail gmail;
    gmail.add("a");
    gmail.add("b");
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = open(fiber, *gmail.backend());
        const auto listing = mailbox->list({});
        gmail.loses_answers = true;
        auto report = mailbox->remove({listing->messages[0]});
        EXPECT_TRUE(report.status) << report.status.error().text;
        EXPECT_EQ(report.outcomes, std::vector{Removal::removed});
        report = mailbox->move({listing->messages[1]}, SpecialFolder::archive);
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector{Removal::removed});
    });
}

TEST(GmailMailbox, UniqueIdsAreTheIdOrWhatGmailsPop3Says) {
    Gmail gmail;
    gmail.add("18c0ffee00000001");
    test::on_fiber([&](Fiber& fiber) {
        const auto listing = look(fiber, gmail);
        EXPECT_EQ(open(fiber, *gmail.backend())->unique_id(listing.messages[0]), "18c0ffee00000001");
        const auto backend = gmail.backend([](auto& options) { options.unique_ids = "gmail"; });
        EXPECT_EQ(open(fiber, *backend)->unique_id(listing.messages[0]), "GmailId18c0ffee00000001");
    });
}

TEST(GmailBackend, RefusesWhatItCannotServe) {
    const auto refused = [](const std::function<void(BackendOptions&)>& change) {
        BackendOptions options;
        options.url = "gmail:";
        change(options);
        const auto made = make_gmail_backend(options);
        return made ? std::string() : made.error().text;
    };
    EXPECT_EQ(refused([](auto&) {}), "");
    EXPECT_EQ(refused([](auto& options) { options.url = "gmail:https://localhost:8443"; }), "");
    for (const auto* url : {"gmail:x", "gmail:ftp://x", "gmail:https://", "gmail:https://x/y", "gmail:https://u@x"})
        EXPECT_NE(refused([&](auto& options) { options.url = url; }), "") << url;
    for (const auto* ids : {"dovecot", "courier", "uw", "%f"})
        EXPECT_NE(refused([&](auto& options) { options.unique_ids = ids; }), "") << ids;
    EXPECT_NE(refused([](auto& options) { options.http_auth = "digest"; }), "");
    EXPECT_NE(refused([](auto& options) { options.folder = ""; }), "");
}

TEST(GmailBackend, NamesMailboxes) {
    BackendOptions options;
    options.url = "gmail:";
    EXPECT_EQ((*make_gmail_backend(options))->mailbox_key("Joe@X"), "gmail:gmail.googleapis.com:443/INBOX/joe@x");
    options.state_name = "g";
    options.folder = "Kept/A";
    options.mailbox = "shared-%d";
    EXPECT_EQ((*make_gmail_backend(options))->mailbox_key("joe@x"), "gmail:g/Kept/A/shared-x");
}

TEST(GmailListingState, ComesBackAsItWas) {
    for (const auto& state : {ListingState{"12345678901234567890", 0}, ListingState{"", 3}, ListingState{"7", -2}})
        EXPECT_EQ(parse_listing_state(to_text(state)), state);
    const auto good = to_text({"123", 0});
    for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_FALSE(parse_listing_state(good.substr(0, cut)));
    EXPECT_FALSE(parse_listing_state("imap1 validity=1 next=1 modseq=1"));
    EXPECT_FALSE(parse_listing_state(good + " "));
}

}  // namespace
}  // namespace popgate::gmail
