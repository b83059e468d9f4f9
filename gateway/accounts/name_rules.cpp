#include "gateway/accounts/name_rules.hpp"

#include "backends/ascii.hpp"
#include "backends/user_path.hpp"
#include "gateway/config/pattern.hpp"

#include <algorithm>

namespace popgate {

Result<std::string> canonical_user(const LoginConfig& rules, std::string_view user) {
    std::string name(user);
    if (!rules.default_domain.empty() && name.find('@') == std::string::npos) name += '@' + rules.default_domain;
    if (rules.lower_case) std::ranges::transform(name, name.begin(), lower);
    for (const auto& alias : rules.aliases)
        if (matches_pattern(alias.from, name)) return expand_user_path(alias.to, name);
    return name;
}

}  // namespace popgate
