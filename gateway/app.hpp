#pragma once

#include "gateway/config/config.hpp"

#include <functional>

namespace popgate {

/// Serves POP3 until SIGTERM or SIGINT, then drains: no new sessions, running ones have limits.drain_timeout to end and
/// are then told so; a second signal cuts that short. SIGHUP calls `load` and takes what it gives, if that is usable.
/// Returns the process's exit code: 0 after a drain, 1 when it could not start (the cause is logged).
int run_gateway(const Config& config, std::function<LoadedConfig()> load);

}  // namespace popgate
