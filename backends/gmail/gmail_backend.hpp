#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// The Gmail API: gmail:, or gmail:https://host[:port] for another server.
Result<std::unique_ptr<Backend>> make_gmail_backend(const BackendOptions& options);

}  // namespace popgate
