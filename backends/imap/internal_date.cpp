#include "backends/imap/internal_date.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace popgate::imap {

namespace {

std::optional<int> digits(std::string_view text) {
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

/// 1 to 12, or 0.
unsigned month_of(std::string_view name) {
    static constexpr std::array<std::string_view, 12> names = {"jan", "feb", "mar", "apr", "may", "jun",
                                                               "jul", "aug", "sep", "oct", "nov", "dec"};
    const auto same = [](char a, char b) { return (a | 0x20) == b; };
    const auto found = std::ranges::find_if(names, [&](auto each) { return std::ranges::equal(name, each, same); });
    return found == names.end() ? 0 : static_cast<unsigned>(found - names.begin()) + 1;
}

}  // namespace

std::int64_t parse_internal_date(std::string_view text) {
    if (text.size() != 26 || text[2] != '-' || text[6] != '-' || text[11] != ' ' || text[14] != ':' ||
        text[17] != ':' || text[20] != ' ' || (text[21] != '+' && text[21] != '-'))
        return 0;
    const auto day = digits(text.substr(text[0] == ' ' ? 1 : 0, text[0] == ' ' ? 1 : 2));
    const auto month = month_of(text.substr(3, 3));
    const auto year = digits(text.substr(7, 4));
    const auto hour = digits(text.substr(12, 2)), minute = digits(text.substr(15, 2)),
               second = digits(text.substr(18, 2));
    const auto zone_hours = digits(text.substr(22, 2)), zone_minutes = digits(text.substr(24, 2));
    if (!day || month == 0 || !year || !hour || !minute || !second || !zone_hours || !zone_minutes) return 0;
    const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{month},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60 || *zone_minutes > 59) return 0;  // 60: a leap second
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    const std::int64_t zone = (*zone_hours * 60 + *zone_minutes) * 60 * (text[21] == '-' ? -1 : 1);
    return std::max<std::int64_t>(0, days * 86'400 + *hour * 3600 + *minute * 60 + *second - zone);
}

}  // namespace popgate::imap
