#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// Of ASCII alone, whatever the locale says: as protocols compare the names that they have made up.
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

inline std::string in_lower_case(std::string_view text) {
    std::string lowered(text);
    std::ranges::transform(lowered, lowered.begin(), lower);
    return lowered;
}

inline bool equal_but_for_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

/// The words of a list that is separated by spaces.
inline std::vector<std::string> words_of(std::string_view list) {
    std::vector<std::string> words;
    while (!list.empty()) {
        const auto each = list.substr(0, list.find(' '));
        if (!each.empty()) words.emplace_back(each);
        list.remove_prefix(std::min(each.size() + 1, list.size()));
    }
    return words;
}

}  // namespace popgate
