#include "gateway/config/duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace popgate {

namespace {

struct Unit {
    std::string_view name;
    std::chrono::milliseconds length;
};
constexpr std::array<Unit, 5> units{{{"d", std::chrono::hours(24)},
                                     {"h", std::chrono::hours(1)},
                                     {"m", std::chrono::minutes(1)},
                                     {"s", std::chrono::seconds(1)},
                                     {"ms", std::chrono::milliseconds(1)}}};

}  // namespace

std::string duration_text(std::chrono::milliseconds duration) {
    for (const Unit& unit : units) {
        if (duration % unit.length == std::chrono::milliseconds::zero()) {
            return std::to_string(duration / unit.length) + std::string(unit.name);
        }
    }
    return {};
}

std::chrono::milliseconds parse_duration(std::string_view text) {
    constexpr std::chrono::milliseconds none{-1};
    std::uint32_t count = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc()) return none;
    const std::string_view name(rest, static_cast<std::size_t>(end - rest));
    const auto* const unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    return unit == units.end() ? none : count * unit->length;
}

}  // namespace popgate
