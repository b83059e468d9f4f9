#include "backends/user_path.hpp"

#include <algorithm>

namespace popgate {

Result<std::string> expand_user_path(std::string_view pattern, std::string_view user) {
    // The name becomes part of a path: nothing in it may leave the directory or hide there.
    const auto unfit = [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '/'; };
    if (user.empty() || user.front() == '.' || std::ranges::any_of(user, unfit))
        return Error{Errc::auth, "wrong user name or password", "a user name that cannot be part of a path"};
    const auto at = user.rfind('@');
    const auto local = user.substr(0, at);
    const auto domain = at == std::string_view::npos ? std::string_view() : user.substr(at + 1);
    std::string path;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%' || i + 1 == pattern.size()) {
            path += pattern[i];
            continue;
        }
        std::string_view part = "%";
        switch (pattern[++i]) {
            case 'u': part = user; break;
            case 'n': part = local; break;
            case 'd': part = domain; break;
            case '%': break;
            default: return Error{Errc::permanent, "only %u, %n, %d and %% are known in a path", {}};
        }
        if (part.empty() || part.front() == '.')
            return Error{Errc::auth, "wrong user name or password", "a user name that cannot be part of a path"};
        path += part;
    }
    return path;
}

}  // namespace popgate
