#pragma once

#include "gateway/config/environment.hpp"

#include <toml++/toml.h>
#include <map>
#include <string>
#include <vector>

namespace popgate {

/// What has been put over a file.
struct FromEnvironment {
    std::map<std::string, std::string> variables;  ///< by the path of what each has set: "route[0].backend"
    std::vector<std::string> made;                 ///< sections that the file does not have: "tls", "route[1]"
    std::vector<ConfigProblem> problems;
};

/// Puts the variables' values over those of a parsed file, each as the type that its key has. Variables of no section
/// are not popgate's configuration and ignored; one of a section that names no key is a problem.
FromEnvironment lay_over(toml::table& root, const Environment& environment);

}  // namespace popgate
