#pragma once

#include "gateway/admin/control.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::admin {

/// What one minute brought.
struct MinuteOfTraffic {
    std::chrono::system_clock::time_point time{};  ///< of its begin
    std::uint64_t sessions = 0;                    ///< begun
    std::uint64_t logins = 0;
    std::uint64_t failed_logins = 0;
    std::uint64_t messages = 0;  ///< given to clients
    std::uint64_t octets = 0;    ///< sent to clients
    std::uint64_t upstream_failures = 0;
};

/// True where new clients are served.
bool is_ready(const ServerStatus& status);

/// What runs, what is wrong, and the last hour, as an HTML document. Wants `status_style` at /style.css and nothing
/// else. `refreshes`: the browser asks again by itself, every half minute.
std::string status_page(const ServerStatus& status, const std::vector<MinuteOfTraffic>& history,
                        std::chrono::system_clock::time_point now, bool refreshes);

extern const std::string_view status_style;

}  // namespace popgate::admin
