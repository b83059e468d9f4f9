#include "backends/registry.hpp"

#include "backends/imap/imap_backend.hpp"
#include "backends/maildir/maildir_backend.hpp"
#include "backends/mbox/mbox_backend.hpp"

#include <algorithm>

namespace popgate {

namespace {

struct Kind {
    std::string_view name;
    Result<std::unique_ptr<Backend>> (*make)(const BackendOptions&);
};

constexpr Kind kinds[] = {
    {"imap", make_imap_backend},
    {"imaps", make_imap_backend},
    {"maildir", make_maildir_backend},
    {"mbox", make_mbox_backend},
};

}  // namespace

std::vector<std::string> backend_kinds() {
    std::vector<std::string> names;
    for (const auto& kind : kinds) names.emplace_back(kind.name);
    return names;
}

Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options) {
    const std::string_view url = options.url;
    const auto name = url.substr(0, url.find(':'));
    const auto* kind = std::ranges::find(kinds, name, &Kind::name);
    if (kind != std::end(kinds) && name.size() < url.size()) return kind->make(options);
    std::string known;
    for (const auto& each : kinds) known += (known.empty() ? "" : ", ") + std::string(each.name) + ":";
    return Error{Errc::permanent, "\"" + options.url + "\" begins with no known kind of backend (" + known + ")", {}};
}

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
