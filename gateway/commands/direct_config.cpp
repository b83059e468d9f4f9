#include "gateway/commands/direct_config.hpp"

#include <CLI/CLI.hpp>

namespace popgate::commands {

void DirectOauth::declare(CLI::App& command, CLI::Option* url, CLI::Option* file) {
    const auto add = [&](const char* name, std::string& value, const char* text) {
        command.add_option(name, value, text)->needs(url)->excludes(file);
    };
    add("--oauth", provider,
        "The upstream wants OAuth2 tokens of google, microsoft, or the OpenID Connect provider with this URL");
    add("--client-id", client_id, "The application's id at the provider");
    add("--client-secret-file", client_secret_file, "Holds its secret, if it has one");
    add("--tenant", tenant, "microsoft only: the directory; the default is common");
    add("--oauth-ca-file", ca_file, "PEM file: trust this CA for the provider");
    add("--oauth-scopes", scopes, "What to ask for, where the provider is not known");
}

void DirectOauth::apply(Config& config) const {
    if (provider.empty()) return;
    oauth::Settings settings;
    settings.name = "oauth";
    (provider == "google" || provider == "microsoft" ? settings.provider : settings.issuer) = provider;
    settings.client_id = client_id;
    settings.client_secret_file = client_secret_file;
    settings.tenant = tenant;
    settings.ca_file = ca_file;
    settings.scopes = scopes;
    config.oauth_providers = {settings};
    auto& route = config.routes.front();
    route.oauth = settings.name;
    if (route.auth == ClientAuth::passthrough) route.auth = ClientAuth::app_passwords;
}

}  // namespace popgate::commands
