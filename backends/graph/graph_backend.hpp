#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// Microsoft Graph: graph:, or graph:https://host[/v1.0] for a national cloud. A mailbox of Exchange Online: the
/// credential's owner's, or the one that options.mailbox names (a shared one; any, for a token of an application).
Result<std::unique_ptr<Backend>> make_graph_backend(const BackendOptions& options);

}  // namespace popgate
