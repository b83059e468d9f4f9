#pragma once

#include "gateway/config/config.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace popgate {

/// Variables by their names: POPGATE_SECTION_KEY, or for a list POPGATE_SECTION_N_KEY with N from 0.
using Environment = std::map<std::string, std::string>;

/// The process's variables that begin with POPGATE_, as they were at the first call, which must come before any thread
/// is started. It takes those that hold secrets out of the environment, so that no child has them and /proc does not
/// show them.
const Environment& process_environment();

/// Whether it names an upstream, so that popgate can run without a configuration file.
bool is_enough(const Environment& environment);

/// load_config() with these variables instead of the process's. Without a file (an empty name) they are all there is:
/// then popgate listens on 0.0.0.0:1110 unless they say otherwise, and with a certificate also on 0.0.0.0:1995 with
/// implicit TLS.
LoadedConfig load_config(const std::filesystem::path& file, const Environment& environment);

/// "POPGATE_ROUTE_0_BACKEND" for "route[0].backend".
std::string variable_name(std::string_view path);

}  // namespace popgate
