#include "gateway/config/pattern.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>
#include "backends/ascii.hpp"

namespace popgate {

namespace {}  // namespace

// Remembers the last '*' and goes back to it: linear but for patterns with many stars, and those are the
// administrator's.
bool matches_pattern(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || lower(pattern[p]) == lower(text[t]))) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

// As a text, a '*' or '?' of `narrow` is matched only by what matches whatever may stand in its place; but for a '?'
// of `wide`, which must not take a '*'.
bool covers_pattern(std::string_view wide, std::string_view narrow) {
    if (std::ranges::equal(wide, narrow, {}, lower, lower)) return true;
    const bool is_unsure = wide.find('?') != std::string_view::npos && narrow.find('*') != std::string_view::npos;
    return !is_unsure && matches_pattern(wide, narrow);
}

// Row by row from the end: whether the rests from `i` and from `j` on have a text in common.
bool patterns_overlap(std::string_view a, std::string_view b) {
    std::vector<bool> below(b.size() + 1), row(b.size() + 1);
    for (std::size_t i = a.size() + 1; i-- > 0;) {
        for (std::size_t j = b.size() + 1; j-- > 0;) {
            const bool a_ends = i == a.size(), b_ends = j == b.size();
            if (a_ends || b_ends) {
                // What is left of the other one must be able to stand for nothing.
                row[j] = (a_ends && b_ends) || (a_ends ? b[j] == '*' && row[j + 1] : a[i] == '*' && below[j]);
            } else if (a[i] == '*' || b[j] == '*') {
                row[j] = below[j] || row[j + 1];
            } else {
                row[j] = below[j + 1] && (a[i] == '?' || b[j] == '?' || lower(a[i]) == lower(b[j]));
            }
        }
        row.swap(below);
    }
    return below[0];
}

}  // namespace popgate
