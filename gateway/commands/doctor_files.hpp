#pragma once

#include "gateway/commands/findings.hpp"
#include "gateway/config/config.hpp"

#include <string>
#include <vector>

namespace popgate::commands {

/// A file that holds something secret: that this user reads it, that it is not empty, and who else does. `good` is said
/// where nothing is wrong. A "credential:NAME" is looked for where systemd puts it. Blocks, as all of these.
Finding examine_secret_file(const std::string& check, const std::string& file, const std::string& good);

/// The files that routes and [[oauth]]s name for passwords, tokens and keys.
std::vector<Finding> examine_secret_files(const Config& config);

/// The folders of local mailboxes, as far as their path is the same for every user.
std::vector<Finding> examine_local_mailboxes(const Config& config);

/// What of a path is the same for all users: up to the component with the first %. Pure.
std::string fixed_part(const std::string& path);

}  // namespace popgate::commands
