#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// imap:// and imaps://. The client's own name and password open the upstream.
Result<std::unique_ptr<Backend>> make_imap_backend(const BackendOptions& options);

}  // namespace popgate
