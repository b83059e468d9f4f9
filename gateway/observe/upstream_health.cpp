#include "gateway/observe/upstream_health.hpp"

namespace popgate {

namespace {

constexpr std::chrono::minutes news{10};
constexpr std::size_t most_upstreams = 1000;  // a web hook may name any number

}  // namespace

void UpstreamHealth::note(const std::string& upstream, const std::string& fault, Clock::time_point now) {
    const std::lock_guard guard(mutex_);
    if (fault.empty()) {
        ill_.erase(upstream);
        return;
    }
    if (ill_.size() >= most_upstreams && !ill_.contains(upstream)) return;
    auto& known = ill_[upstream];
    if (known.fault.logins++ == 0) known.fault.since = now;
    known.fault.upstream = upstream;
    known.fault.text = fault;
    known.last = now;
}

std::vector<UpstreamHealth::Fault> UpstreamHealth::faults(Clock::time_point now) const {
    const std::lock_guard guard(mutex_);
    std::vector<Fault> all;
    for (const auto& [upstream, known] : ill_)
        if (known.last + news > now) all.push_back(known.fault);
    return all;
}

}  // namespace popgate
