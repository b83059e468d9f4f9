#pragma once

#include <string>
#include <string_view>

namespace popgate {

/// What is wrong with a `state.url`, in words; empty where nothing is. Looks at the text alone.
std::string why_bad_state_url(std::string_view url);

/// True for a store that ends with the process.
bool is_state_in_memory(std::string_view url);

/// Where a server without a configuration file keeps its state: root in the standard place, another user in
/// `state_home` ($XDG_STATE_HOME) or below `home` ($HOME). Null or relative ones count as not set.
std::string personal_state_url(bool is_root, const char* state_home, const char* home);

}  // namespace popgate
