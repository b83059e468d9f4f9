#include "backends/http/json.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <chrono>
#include <cmath>

namespace popgate::http {

namespace json = boost::json;

Result<json::value> parse_json(std::string_view text, std::string_view what) {
    json::parse_options options;
    options.allow_invalid_utf8 = true;
    options.max_depth = 64;
    boost::system::error_code error;
    auto value = json::parse(text, error, {}, options);
    if (error) return Error{Errc::temporary, std::string(what), "no JSON: " + error.message()};
    return value;
}

const json::value* find(const json::value& object, std::string_view key) {
    const auto* members = object.if_object();
    const auto* value = members ? members->if_contains(key) : nullptr;
    return value && !value->is_null() ? value : nullptr;
}

std::optional<std::string> text_of(const json::value& object, std::string_view key) {
    const auto* value = find(object, key);
    if (!value || value->is_structured()) return std::nullopt;
    if (const auto* text = value->if_string()) return std::string(*text);
    return json::serialize(*value);
}

std::optional<std::uint64_t> number_of(const json::value& object, std::string_view key) {
    const auto* value = find(object, key);
    if (!value) return std::nullopt;
    if (const auto* number = value->if_uint64()) return *number;
    if (const auto* number = value->if_int64())
        return *number < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(*number));
    if (const auto* number = value->if_double()) {
        // Beyond this, and for fractions, it would be another number.
        if (!(*number >= 0 && *number < 9e15) || std::trunc(*number) != *number) return std::nullopt;
        return static_cast<std::uint64_t>(*number);
    }
    const auto* text = value->if_string();
    if (!text) return std::nullopt;
    std::uint64_t number = 0;
    const auto* const end = text->data() + text->size();
    const auto [last, error] = std::from_chars(text->data(), end, number);
    if (error != std::errc() || last != end) return std::nullopt;
    return number;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
    const auto digits = [&](std::size_t begin, std::size_t count) -> int {
        if (begin + count > text.size()) return -1;
        int number = 0;
        for (const char c : text.substr(begin, count)) {
            if (c < '0' || c > '9') return -1;
            number = number * 10 + (c - '0');
        }
        return number;
    };
    const auto is = [&](std::size_t place, std::string_view any_of) {
        return place < text.size() && any_of.find(text[place]) != std::string_view::npos;
    };
    const int year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
    const int hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
    if (year < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return std::nullopt;
    if (!is(4, "-") || !is(7, "-") || !is(10, "Tt ") || !is(13, ":") || !is(16, ":")) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (month < 0 || day < 0 || !date.ok()) return std::nullopt;
    std::size_t place = 19;
    if (is(place, ".")) {
        const auto fraction = ++place;
        while (is(place, "0123456789")) ++place;
        if (place == fraction) return std::nullopt;
    }
    int offset = 0;
    if (is(place, "+-")) {
        const int hours = digits(place + 1, 2), minutes = digits(place + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || !is(place + 3, ":")) return std::nullopt;
        offset = (hours * 60 + minutes) * (text[place] == '-' ? -60 : 60);
        place += 6;
    } else if (is(place, "Zz")) {
        ++place;
    } else {
        return std::nullopt;
    }
    if (place != text.size()) return std::nullopt;
    const auto days = std::chrono::sys_days(date).time_since_epoch().count();
    return std::int64_t{days} * 86400 + hour * 3600 + minute * 60 + second - offset;
}

}  // namespace popgate::http
