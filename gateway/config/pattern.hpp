#pragma once

#include <string_view>

namespace popgate {

/// A user name against the pattern of a route or an account: '*' is any run of octets, '?' any one; ASCII case does not
/// matter.
bool matches_pattern(std::string_view pattern, std::string_view text);

/// True only where every user name that `narrow` matches is matched by `wide`; some such pairs are not recognized.
bool covers_pattern(std::string_view wide, std::string_view narrow);

/// True where there is a text that both patterns match.
bool patterns_overlap(std::string_view a, std::string_view b);

}  // namespace popgate
