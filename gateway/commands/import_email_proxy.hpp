#pragma once

#include "backends/errors.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {

/// A configuration made of another program's, and what is to be done besides.
struct ImportedConfig {
    std::string configuration;       ///< TOML
    std::vector<std::string> notes;  ///< a sentence each
};

/// Takes over accounts and settings of an email-oauth2-proxy (emailproxy.config, an INI file as Python's configparser
/// reads it). Its tokens are sealed with the clients' passwords and stay behind: each account signs in once. Errc::
/// permanent: what is wrong, and in which line. Pure.
Result<ImportedConfig> import_email_proxy(std::string_view text);

}  // namespace popgate::commands
