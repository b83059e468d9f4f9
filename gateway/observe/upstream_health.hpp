#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace popgate {

/// What became of the last logins at each upstream, for who asks what is wrong now. Any thread may use it.
class UpstreamHealth {
public:
    using Clock = std::chrono::system_clock;

    /// `upstream`: a route's URL. An empty `fault`: the upstream has answered as it should.
    void note(const std::string& upstream, const std::string& fault, Clock::time_point now);

    struct Fault {
        std::string upstream;
        std::string text;  ///< of the last one
        Clock::time_point since{};
        unsigned logins = 0;  ///< that failed since then
    };
    /// Upstreams that have not been well since their last fault, if that was within ten minutes.
    std::vector<Fault> faults(Clock::time_point now) const;

private:
    struct Known {
        Fault fault;
        Clock::time_point last{};
    };
    mutable std::mutex mutex_;
    std::map<std::string, Known> ill_;
};

}  // namespace popgate
