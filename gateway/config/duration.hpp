#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace popgate {

constexpr std::chrono::hours longest_duration{24 * 366};

/// How durations are written, for whoever wrote one otherwise.
constexpr std::string_view duration_forms = R"("500ms", "60s", "10m", "12h" or "30d")";

/// In the longest unit that divides it: "90s", "10m", "1d".
std::string duration_text(std::chrono::milliseconds duration);

/// The inverse of it; negative when `text` is none.
std::chrono::milliseconds parse_duration(std::string_view text);

}  // namespace popgate
