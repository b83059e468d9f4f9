#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace popgate::metrics {

/// What is counted since the start of the process, as far as a history is kept of it.
struct Totals {
    std::uint64_t sessions = 0;  ///< that have begun
    std::uint64_t logins_admitted = 0;
    std::uint64_t logins_failed = 0;  ///< for whatever reason
    std::uint64_t messages = 0;       ///< retrieved
    std::uint64_t octets_sent = 0;    ///< to clients
    std::uint64_t upstream_failures = 0;
};

/// The totals now, from the metrics.
Totals totals();

/// The last hour, minute by minute. Any thread may use it.
class History {
public:
    using Time = std::chrono::sys_time<std::chrono::system_clock::duration>;

    /// What came in one minute.
    struct Minute {
        std::chrono::sys_time<std::chrono::minutes> begin{};
        Totals counts;
    };

    /// Counts begin with what `totals` gives now.
    explicit History(std::function<Totals()> totals = metrics::totals);

    /// To be called every few seconds: what has come since the last call belongs to the minute that is half-way between
    /// the two.
    void sample(Time now);

    /// The last 60 minutes up to the last sample, the oldest first, without a gap; fewer before there have been so
    /// many. The last one is not over yet.
    std::vector<Minute> minutes() const;

private:
    void go_to(std::chrono::sys_time<std::chrono::minutes> minute);

    std::function<Totals()> totals_;
    mutable std::mutex mutex_;
    Totals last_;
    std::optional<Time> sampled_;
    std::deque<Minute> minutes_;
};

}  // namespace popgate::metrics
