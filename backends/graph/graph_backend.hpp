#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// Microsoft Graph: graph:, or graph:https://host[/v1.0] for a national cloud.
Result<std::unique_ptr<Backend>> make_graph_backend(const BackendOptions& options);

}  // namespace popgate
