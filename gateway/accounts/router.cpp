#include "gateway/accounts/router.hpp"

#include <algorithm>

namespace popgate {

Result<Router> Router::make(const std::vector<RouteConfig>& routes) {
    Router router;
    for (const auto& config : routes) {
        auto backend = make_backend(config.backend);
        if (backend.has_error()) return backend.error();
        router.routes_.push_back({config, std::move(*backend)});
    }
    return router;
}

const Route* Router::find(std::string_view user) const {
    const auto found =
        std::ranges::find_if(routes_, [&](const Route& route) { return matches_pattern(route.config.match, user); });
    return found == routes_.end() ? nullptr : &*found;
}

// Remembers the last '*' and goes back to it: linear but for patterns with many stars, and those are the
// administrator's.
bool matches_pattern(std::string_view pattern, std::string_view text) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
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

}  // namespace popgate
