#pragma once

#include "backends/graph/graph_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"
#include "tests/support/scripted_http.hpp"

#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <map>
#include <set>

/// As much of Microsoft Graph as shows what the mailbox asks of it, with every answer open to a test.
namespace popgate::test {

namespace json = boost::json;

constexpr const char* json_type = "Content-Type: application/json\r\n";

inline std::string ok(const json::value& body) { return ScriptedHttp::say("200 OK", json::serialize(body), json_type); }
inline std::string failing(const std::string& status, const std::string& code, const std::string& headers = "") {
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

    ScriptedHttp server{[this](const ScriptedHttp::Asked& asked, std::size_t) { return answer(asked); }};

    std::unique_ptr<Mailbox> open(Fiber& fiber, BackendOptions options = {}) const {
        auto opened = try_open(fiber, std::move(options));
        if (!opened) throw std::runtime_error(opened.error().text + ": " + opened.error().detail);
        return std::move(*opened);
    }
    Result<std::unique_ptr<Mailbox>> try_open(Fiber& fiber, BackendOptions options = {}) const {
        options.url = "graph:" + server.origin();
        options.command_timeout = std::chrono::seconds(5);
        auto backend = make_graph_backend(options);
        if (!backend) return backend.error();
        return (*backend)->open(fiber, {"user@example.org", Secret("token")});
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

inline void fill(Graph& graph, int count) {
    for (int i = 0; i < count; ++i) graph.parents["m" + std::to_string(1000 + i)] = "IN";
}

inline MessageInfo message(std::string id) { return {.id = std::move(id), .octets = 1}; }

/// Those that fill() makes.
inline std::vector<MessageInfo> messages(int count) {
    std::vector<MessageInfo> all;
    for (int i = 0; i < count; ++i) all.push_back(message("m" + std::to_string(1000 + i)));
    return all;
}

}  // namespace popgate::test
