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

Result<std::unique_ptr<Backend>> make_backend(const BackendOptions& options) {
    const std::string_view url = options.url;
    const auto name = url.substr(0, url.find(':'));
    const auto* kind = std::ranges::find(kinds, name, &Kind::name);
    if (kind != std::end(kinds) && name.size() < url.size()) return kind->make(options);
    std::string known;
    for (const auto& each : kinds) known += (known.empty() ? "" : ", ") + std::string(each.name) + ":";
    return Error{Errc::permanent, "\"" + options.url + "\" begins with no known kind of backend (" + known + ")", {}};
}

}  // namespace popgate
