#include "backends/registry.hpp"

#include "backends/gmail/gmail_backend.hpp"
#include "backends/graph/graph_backend.hpp"
#include "backends/imap/imap_backend.hpp"
#include "backends/jmap/jmap_backend.hpp"
#include "backends/maildir/maildir_backend.hpp"
#include "backends/mbox/mbox_backend.hpp"
#include "backends/rest/rest_backend.hpp"

#include <algorithm>

namespace popgate {

namespace {

struct Kind {
    std::string_view name;
    Result<std::unique_ptr<Backend>> (*make)(const BackendOptions&);
};

constexpr Kind kinds[] = {
    {"gmail", make_gmail_backend},     {"graph", make_graph_backend}, {"imap", make_imap_backend},
    {"imaps", make_imap_backend},      {"jmap", make_jmap_backend},   {"jmaps", make_jmap_backend},
    {"maildir", make_maildir_backend}, {"mbox", make_mbox_backend},   {"rest", make_rest_backend},
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
