#pragma once

#include "backends/registry.hpp"

namespace popgate {

/// JMAP (RFC 8620, RFC 8621): jmaps://host[:port][/path of the Session object], jmap:// in clear.
Result<std::unique_ptr<Backend>> make_jmap_backend(const BackendOptions& options);

}  // namespace popgate
