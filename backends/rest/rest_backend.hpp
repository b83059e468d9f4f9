#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// A mailbox behind any REST API that BackendOptions::rest_api describes: rest:https://host[:port][/path].
Result<std::unique_ptr<Backend>> make_rest_backend(const BackendOptions& options);

}  // namespace popgate
