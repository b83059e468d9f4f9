#include "gateway/accounts/router.hpp"

#include "gateway/config/pattern.hpp"

#include <algorithm>

namespace popgate {

Result<Router> Router::make(const Config& config) {
    Router router;
    for (const auto& route : config.routes) {
        Route made{route, nullptr, nullptr, nullptr};
        auto& options = made.config.backend;
        if (!route.oauth.empty()) {
            const auto settings = std::ranges::find(config.oauth_providers, route.oauth, &oauth::Settings::name);
            if (settings == config.oauth_providers.end())
                return Error{Errc::permanent, "there is no [[oauth]] \"" + route.oauth + '"', {}};
            auto provider = oauth::Provider::make(*settings, options.url);
            if (!provider) return provider.error();
            made.provider = std::move(*provider);
            // An application is nobody, so Graph must be told whose mailbox it is.
            const bool is_nobody = settings->grant == oauth::Grant::client_credentials;
            if (is_nobody && options.url.starts_with("graph:") && options.mailbox.empty()) options.mailbox = "%u";
        }
        if (route.auth == ClientAuth::http) {
            auto hook = AuthHook::make(route.auth_url);
            if (!hook) return Error{Errc::permanent, "auth_url: " + hook.error().text, {}};
            made.hook = std::move(*hook);
        }
        auto backend = make_backend(options);
        if (!backend) return backend.error();
        made.backend = std::move(*backend);
        router.routes_.push_back(std::move(made));
    }
    return router;
}

const Route* Router::find(std::string_view user) const {
    const auto found =
        std::ranges::find_if(routes_, [&](const Route& route) { return matches_pattern(route.config.match, user); });
    return found == routes_.end() ? nullptr : &*found;
}

}  // namespace popgate
