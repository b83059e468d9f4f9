#include "gateway/observe/history.hpp"

#include "gateway/observe/metrics.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace popgate::metrics {
namespace {

using namespace std::chrono_literals;

class HistoryTest : public testing::Test {
protected:
    /// Sessions of each minute.
    std::vector<std::uint64_t> sessions() const {
        std::vector<std::uint64_t> each;
        for (const auto& minute : history.minutes()) each.push_back(minute.counts.sessions);
        return each;
    }
    using Counts = std::vector<std::uint64_t>;

    Totals now{1000, 900, 100, 50, 5000, 5};
    History history{[this] { return now; }};
    const History::Time start = History::Time(1'000'000min);
};

TEST_F(HistoryTest, IsEmptyBeforeTheFirstSample) { EXPECT_TRUE(history.minutes().empty()); }

TEST_F(HistoryTest, BeginsWithWhatComesAfterItsStart) {
    history.sample(start);
    EXPECT_EQ(sessions(), Counts{0});
    now.sessions += 3;
    history.sample(start + 10s);
    EXPECT_EQ(sessions(), Counts{3});
}

TEST_F(HistoryTest, KeepsEveryCount) {
    now = {1001, 902, 103, 54, 5005, 11};
    history.sample(start);
    const auto minutes = history.minutes();
    ASSERT_EQ(minutes.size(), 1u);
    EXPECT_EQ(minutes[0].begin, start);
    const auto& counts = minutes[0].counts;
    EXPECT_EQ(counts.sessions, 1u);
    EXPECT_EQ(counts.logins_admitted, 2u);
    EXPECT_EQ(counts.logins_failed, 3u);
    EXPECT_EQ(counts.messages, 4u);
    EXPECT_EQ(counts.octets_sent, 5u);
    EXPECT_EQ(counts.upstream_failures, 6u);
}

TEST_F(HistoryTest, WhatComesBetweenTwoSamplesIsOfTheMinuteBetweenThem) {
    history.sample(start + 50s);
    now.sessions += 1;
    history.sample(start + 60s);  // of the time from 50 to 60
    now.sessions += 2;
    history.sample(start + 70s);
    EXPECT_EQ(sessions(), (Counts{1, 2}));
}

TEST_F(HistoryTest, AMinuteWithoutSamplesIsThere) {
    history.sample(start);
    now.sessions += 1;
    history.sample(start + 5min);
    EXPECT_EQ(sessions(), (Counts{0, 0, 1, 0, 0, 0}));
}

TEST_F(HistoryTest, KeepsAnHour) {
    for (int i = 0; i < 600; ++i) {
        history.sample(start + i * 10s);
        ++now.sessions;
    }
    auto expected = Counts(60, 6);
    expected.back() = 5;  // it has ten seconds to go
    EXPECT_EQ(sessions(), expected);
    const auto minutes = history.minutes();
    EXPECT_EQ(minutes.back().begin, start + 99min);
    for (std::size_t i = 1; i < minutes.size(); ++i) EXPECT_EQ(minutes[i].begin - minutes[i - 1].begin, 1min);
}

TEST_F(HistoryTest, ALongPauseForgetsWhatWasBefore) {
    history.sample(start);
    now.sessions += 4;
    history.sample(start + 10s);
    history.sample(start + 24h * 400);
    const auto minutes = history.minutes();
    EXPECT_LE(minutes.size(), 60u);
    EXPECT_EQ(minutes.back().begin, start + 24h * 400);
    for (const auto count : sessions()) EXPECT_EQ(count, 0u);
}

TEST_F(HistoryTest, AClockThatIsSetBackLosesNothing) {
    history.sample(start + 5min);
    now.sessions += 1;
    history.sample(start);
    now.sessions += 1;
    history.sample(start + 10s);
    EXPECT_EQ(sessions(), Counts{2});
    EXPECT_EQ(history.minutes().back().begin, start + 5min);
}

TEST_F(HistoryTest, CountsWhatTheMetricsCount) {
    History of_metrics;
    sessions_started.add();
    logins.add(Login::admitted);
    logins.add(Login::refused);
    logins.add(Login::temporary);
    messages_retrieved.add();
    client_sent_bytes.add(1234);
    upstream_failures.add(BackendKind::imap, Failure::temporary);
    upstream_failures.add(BackendKind::jmap, Failure::auth);
    of_metrics.sample(start);
    const auto counts = of_metrics.minutes().at(0).counts;
    EXPECT_EQ(counts.sessions, 1u);
    EXPECT_EQ(counts.logins_admitted, 1u);
    EXPECT_EQ(counts.logins_failed, 2u);
    EXPECT_EQ(counts.messages, 1u);
    EXPECT_EQ(counts.octets_sent, 1234u);
    EXPECT_EQ(counts.upstream_failures, 2u);
}

TEST_F(HistoryTest, MayBeReadWhileItIsWritten) {
    std::jthread writer([&](const std::stop_token& stop) {
        for (int i = 0; !stop.stop_requested(); ++i) history.sample(start + i * 1s);
    });
    for (int i = 0; i < 200; ++i) {
        const auto minutes = history.minutes();
        EXPECT_LE(minutes.size(), 60u);
        for (std::size_t j = 1; j < minutes.size(); ++j) EXPECT_LT(minutes[j - 1].begin, minutes[j].begin);
    }
}

}  // namespace
}  // namespace popgate::metrics
