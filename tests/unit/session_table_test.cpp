#include "gateway/commands/session_table.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

const json::value ready = json::parse(R"({"version": "0.1.0", "started": "2026-11-25T09:30:00Z", "ready": true,
    "draining": false, "sessions": 3, "max_sessions": 100, "troubles": []})");

json::value session(std::uint64_t id, std::string_view user, std::uint64_t octets, std::uint64_t age_ms = 1000) {
    return json::value{{"id", id},
                       {"user", user},
                       {"from", "192.0.2.7:4711"},
                       {"listener", "a:1"},
                       {"tls", "TLSv1.3 X"},
                       {"backend", "imaps://imap.example.com"},
                       {"state", "update"},
                       {"command", "RETR"},
                       {"age_ms", age_ms},
                       {"idle_ms", 20},
                       {"messages", 40},
                       {"retrieved", octets / 100},
                       {"octets_sent", octets}};
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// The users in the order of the table.
std::string order(const TopView& view) {
    std::string users;
    const auto lines = view.lines(0, 0);
    const auto at = lines.at(3).find("USER");
    for (std::size_t i = 4; i < lines.size(); ++i) users += lines[i].substr(at, 1);
    return users;
}

TEST(SessionTable, ReadsWhatTheServerSays) {
    const auto read = parse_sessions(json::array{session(7, "ann", 5'000'000'000)});
    ASSERT_TRUE(read && read->size() == 1);
    const auto& one = read->front();
    EXPECT_EQ(one.id, 7u);
    EXPECT_EQ(one.user, "ann");
    EXPECT_EQ(one.octets_sent, 5'000'000'000u);
    EXPECT_EQ(one.age, 1s);
    EXPECT_EQ(one.idle, 20ms);
    EXPECT_FALSE(parse_sessions(json::object()));
    EXPECT_FALSE(parse_sessions(json::array{1}));
    EXPECT_TRUE(parse_sessions(json::array{json::object{{"id", "x"}, {"user", 5}, {"age_ms", -1}}}));
}

TEST(SessionTable, ShortWords) {
    EXPECT_EQ(short_duration(59'999ms), "59s");
    EXPECT_EQ(short_duration(60s), "1m00s");
    EXPECT_EQ(short_duration(4h + 5min), "4h05m");
    EXPECT_EQ(short_duration(76h), "3d04h");
    EXPECT_EQ(short_duration(-5s), "0s");
    EXPECT_EQ(short_number(0), "0");
    EXPECT_EQ(short_number(0.25), "0.2");
    EXPECT_EQ(short_number(7), "7");
    EXPECT_EQ(short_number(999), "999");
    EXPECT_EQ(short_number(999.6), "1k");
    EXPECT_EQ(short_number(1500), "1.5k");
    EXPECT_EQ(short_number(23'400'000), "23M");
    EXPECT_EQ(short_number(18.4e18), "18E");
}

TEST(SessionTable, PrintsWhatPeersWroteEscaped) {
    std::ostringstream out;
    print_sessions(*parse_sessions(json::array{session(1, "ann", 10, 1000), session(2, "b\x1b[2J", 10, 5000),
                                               session(3, "", 10, 3000)}),
                   out);
    EXPECT_FALSE(has(out.str(), "\x1b"));
    EXPECT_LT(out.str().find("2  "), out.str().find("1  ann")) << "the oldest first\n" << out.str();
}

TEST(TopView, RatesAreBetweenTwoSamples) {
    TopView view;
    const auto begin = TopView::Clock::now();
    ASSERT_TRUE(view.take(ready, json::array{session(1, "ann", 1000), session(2, "bob", 50'000)}, begin));
    EXPECT_TRUE(has(view.lines(0, 0)[1], "0 octets/s  0 messages/s  0 new sessions/s")) << view.lines(0, 0)[1];
    // Two seconds later: ann has 3000 more, bob has gone, cid is new; dan was there before, but left out.
    ASSERT_TRUE(view.take(ready, json::array{session(1, "ann", 4000), session(3, "cid", 1000)}, begin + 2s));
    EXPECT_TRUE(has(view.lines(0, 0)[1], "2k octets/s  20 messages/s  0.5 new sessions/s")) << view.lines(0, 0)[1];
    ASSERT_TRUE(view.take(ready, json::array{session(1, "ann", 4000), session(2, "bob", 60'000)}, begin + 4s));
    EXPECT_TRUE(has(view.lines(0, 0)[1], "0 octets/s  0 messages/s  0 new sessions/s")) << "bob is not new";
}

TEST(TopView, AServerThatWasStartedAnewCountsFromTheBeginning) {
    TopView view;
    const auto begin = TopView::Clock::now();
    auto restarted = ready;
    restarted.as_object()["started"] = "2026-11-25T10:00:00Z";
    ASSERT_TRUE(view.take(ready, json::array{session(9, "ann", 1000)}, begin));
    ASSERT_TRUE(view.take(restarted, json::array{session(1, "ann", 500)}, begin + 1s));
    EXPECT_TRUE(has(view.lines(0, 0)[1], "0 octets/s"));
    ASSERT_TRUE(view.take(restarted, json::array{session(1, "ann", 500), session(2, "bob", 700)}, begin + 2s));
    EXPECT_TRUE(has(view.lines(0, 0)[1], "700 octets/s  7 messages/s  1 new sessions/s")) << view.lines(0, 0)[1];
}

TEST(TopView, SortsAsItIsTold) {
    TopView view;
    const auto begin = TopView::Clock::now();
    view.take(ready, json::array{session(1, "c", 100), session(2, "b", 300), session(3, "a", 200)}, begin);
    view.take(ready, json::array{session(1, "c", 900, 5000), session(2, "b", 1000, 9000), session(3, "a", 950, 7000)},
              begin + 1s);
    EXPECT_EQ(order(view), "bac");
    view.sort_by(SortBy::octets);
    EXPECT_EQ(order(view), "bac");
    view.sort_by(SortBy::rate);
    EXPECT_EQ(order(view), "cab");
    view.sort_by(SortBy::user);
    EXPECT_EQ(order(view), "abc");
}

TEST(TopView, FitsTheTerminal) {
    TopView view;
    json::array many;
    for (std::uint64_t i = 1; i <= 100; ++i) many.push_back(session(i, "čaj-" + std::string(30, 'x'), i));
    ASSERT_TRUE(view.take(ready, many, TopView::Clock::now()));
    for (const std::size_t columns : {1u, 20u, 40u, 79u, 200u})
        for (const std::size_t rows : {1u, 4u, 5u, 24u}) {
            const auto lines = view.lines(columns, rows);
            EXPECT_LE(lines.size(), rows);
            for (const auto& line : lines) {
                const auto seen =
                    std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
                EXPECT_LE(static_cast<std::size_t>(seen), columns) << line;
            }
        }
    const auto at_80 = view.lines(79, 24);
    EXPECT_EQ(at_80.size(), 24u);
    EXPECT_TRUE(has(at_80[3], "USER") && has(at_80[3], "OCTETS/S")) << at_80[3];
    EXPECT_TRUE(has(view.lines(0, 0)[3], "BACKEND"));
    EXPECT_EQ(view.lines(0, 0).size(), 104u);
}

TEST(TopView, SaysHowTheServerIs) {
    TopView view;
    auto status = ready;
    view.take(status, json::array(), TopView::Clock::now());
    EXPECT_EQ(view.lines(0, 0)[0], "popgate 0.1.0  3 of 100 sessions  ready");
    status.as_object()["ready"] = false;
    status.as_object()["troubles"] = json::array{json::object()};
    view.take(status, json::array(), TopView::Clock::now());
    EXPECT_EQ(view.lines(0, 0)[0], "popgate 0.1.0  3 of 100 sessions  NOT READY  1 wrong: see popgate status");
    EXPECT_FALSE(view.take(json::array(), json::array(), TopView::Clock::now()));
    EXPECT_FALSE(view.take(status, json::object(), TopView::Clock::now()));
}

}  // namespace
}  // namespace popgate::commands
