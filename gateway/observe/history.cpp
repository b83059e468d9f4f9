#include "gateway/observe/history.hpp"

#include "gateway/observe/metrics.hpp"

#include <algorithm>

namespace popgate::metrics {

namespace {

constexpr std::size_t kept_minutes = 60;

constexpr std::uint64_t Totals::*counts_of_history[] = {&Totals::sessions,      &Totals::logins_admitted,
                                                        &Totals::logins_failed, &Totals::messages,
                                                        &Totals::octets_sent,   &Totals::upstream_failures};

std::uint64_t whole(double count) { return static_cast<std::uint64_t>(count); }

}  // namespace

Totals totals() {
    Totals now;
    now.sessions = whole(sessions_started.total());
    now.logins_admitted = whole(logins.value(Login::admitted));
    // One that is admitted between the two would otherwise be one that failed less.
    now.logins_failed = whole(std::max(logins.total() - static_cast<double>(now.logins_admitted), 0.0));
    now.messages = whole(messages_retrieved.total());
    now.octets_sent = whole(client_sent_bytes.total());
    now.upstream_failures = whole(upstream_failures.total());
    return now;
}

History::History(std::function<Totals()> totals) : totals_(std::move(totals)), last_(totals_()) {}

void History::sample(Time now) {
    const std::lock_guard lock(mutex_);
    const auto current = totals_();
    // A clock that was set back: time goes on from where it was.
    const auto since = sampled_ ? std::min(*sampled_, now) : now;
    sampled_ = now;
    go_to(std::chrono::floor<std::chrono::minutes>(since + (now - since) / 2));
    for (const auto count : counts_of_history) {
        const auto more = current.*count - std::min(last_.*count, current.*count);
        minutes_.back().counts.*count += more;
    }
    last_ = current;
    go_to(std::chrono::floor<std::chrono::minutes>(now));
}

void History::go_to(std::chrono::sys_time<std::chrono::minutes> minute) {
    using std::chrono::minutes;
    if (minutes_.empty() || minute - minutes_.back().begin > minutes(kept_minutes)) {
        minutes_.clear();
        minutes_.push_back({minute, {}});
    }
    while (minutes_.back().begin < minute) minutes_.push_back({minutes_.back().begin + minutes(1), {}});
    while (minutes_.size() > kept_minutes) minutes_.pop_front();
}

std::vector<History::Minute> History::minutes() const {
    const std::lock_guard lock(mutex_);
    return {minutes_.begin(), minutes_.end()};
}

}  // namespace popgate::metrics
