#pragma once

#include "gateway/config/config.hpp"

#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace popgate::commands {

/// OAuth2 for the one route of a command line without a configuration file.
struct DirectOauth {
    std::string provider;  ///< "google", "microsoft" or an issuer's URL; empty: none
    std::string client_id;
    std::string client_secret_file;
    std::string tenant;
    std::string ca_file;
    std::string scopes;

    /// Declares --oauth, --client-id, --client-secret-file, --tenant, --oauth-ca-file and --oauth-scopes; they need
    /// `url` and exclude `file`.
    void declare(CLI::App& command, CLI::Option* url, CLI::Option* file);
    /// Puts it into a configuration of one route. Clients log in with app passwords, unless the route says otherwise.
    void apply(Config& config) const;
};

}  // namespace popgate::commands
