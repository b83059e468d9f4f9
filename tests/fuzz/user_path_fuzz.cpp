// The first line is a pattern, the second a user's name: a path never leaves its place, and a match ends soon.
#include "backends/user_path.hpp"
#include "gateway/config/pattern.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>
#include <string>

namespace {

std::size_t components(std::string_view path) { return static_cast<std::size_t>(std::ranges::count(path, '/')); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto input = test::as_text(data, size);
    const auto end = std::min(input.find('\n'), input.size());
    const auto pattern = input.substr(0, end);
    const auto user = input.substr(std::min(end + 1, input.size()));

    const auto path = expand_user_path(pattern, user);
    if (path) {
        FUZZ_CHECK(components(*path) == components(pattern));
        FUZZ_CHECK(path->find('\0') == std::string::npos || pattern.find('\0') != std::string_view::npos);
    }
    for (const auto* fixed : {"/mail/%u", "/mail/%n", "/mail/%d", "/mail/%d/%n"}) {
        const auto expanded = expand_user_path(fixed, user);
        if (!expanded) continue;
        FUZZ_CHECK(expanded->find("/.") == std::string::npos && !expanded->ends_with('/'));
    }
    (void)matches_pattern(pattern, user);
    FUZZ_CHECK(matches_pattern("*", user));
    if (pattern.find_first_of("*?") == std::string_view::npos) FUZZ_CHECK(matches_pattern(pattern, pattern));
    // Any text is a pattern, and at least of itself.
    if (matches_pattern(pattern, user)) FUZZ_CHECK(patterns_overlap(pattern, user));
    FUZZ_CHECK(patterns_overlap(pattern, user) == patterns_overlap(user, pattern));
    FUZZ_CHECK(covers_pattern(pattern, pattern) && covers_pattern("*", pattern));
    if (covers_pattern(pattern, user)) FUZZ_CHECK(patterns_overlap(pattern, user));
    return 0;
}
