#include "gateway/accounts/router.hpp"

#include "gateway/config/pattern.hpp"

#include <algorithm>

namespace popgate {

Result<Router> Router::make(const Config& config) {
    Router router;
    for (const auto& route : config.routes) {
        auto backend = make_backend(route.backend);
        if (backend.has_error()) return backend.error();
        Route made{route, std::move(*backend), nullptr};
        if (!route.oauth.empty()) {
            const auto settings = std::ranges::find(config.oauth_providers, route.oauth, &oauth::Settings::name);
            if (settings == config.oauth_providers.end())
                return Error{Errc::permanent, "there is no [[oauth]] \"" + route.oauth + '"', {}};
            auto provider = oauth::Provider::make(*settings, route.backend.url);
            if (!provider) return provider.error();
            made.provider = std::move(*provider);
        }
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
