#include "backends/imap/throttling.hpp"

#include "backends/ascii.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace popgate::imap {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds usual_pause = 30s;
constexpr std::chrono::milliseconds longest_pause = 1h;

std::string_view::size_type find_words(std::string_view text, std::string_view words) {
    const auto found = std::search(text.begin(), text.end(), words.begin(), words.end(), [](char a, char b) {
        return equal_but_for_case({&a, 1}, {&b, 1});
    });
    return found == text.end() ? std::string_view::npos
                               : static_cast<std::string_view::size_type>(found - text.begin());
}

}  // namespace

std::optional<std::chrono::milliseconds> asked_pause(std::string_view text) {
    constexpr std::string_view exchange = "Suggested Backoff Time:";
    if (const auto at = find_words(text, exchange); at != std::string_view::npos) {
        auto time = text.substr(at + exchange.size());
        time.remove_prefix(std::min(time.find_first_not_of(' '), time.size()));
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(time.data(), time.data() + time.size(), value);
        if (error == std::errc::result_out_of_range) return longest_pause;
        if (error != std::errc()) return usual_pause;
        time.remove_prefix(static_cast<std::size_t>(end - time.data()));
        if (find_words(time.substr(0, 3), " s") == 0) value = std::min<std::uint64_t>(value, 3600) * 1000;
        return std::min<std::chrono::milliseconds>(
            std::chrono::milliseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(value, 3'600'000))),
            longest_pause);
    }
    for (const auto words : {"[LIMIT]", "[THROTTLED]", "Request is throttled", "Too many simultaneous connections",
                             "Maximum number of connections", "bandwidth limits"})
        if (find_words(text, words) != std::string_view::npos) return usual_pause;
    return std::nullopt;
}

}  // namespace popgate::imap
