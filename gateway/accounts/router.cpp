#include "gateway/accounts/router.hpp"

#include "gateway/config/pattern.hpp"
#include "gateway/observe/observed_backend.hpp"

#include <algorithm>

namespace popgate {

namespace {

/// What is in them may have changed.
bool reads_files(const oauth::Settings& settings) {
    return !(settings.client_secret_file + settings.client_certificate + settings.client_key +
             settings.service_account_file + settings.ca_file)
                .empty();
}

/// An earlier route that has a `part` of the same options.
template <class Part, class Same>
std::shared_ptr<const Part> take_over(const Router* before, std::shared_ptr<const Part> Route::*part, Same same) {
    if (!before) return nullptr;
    const auto found = std::ranges::find_if(before->routes(), [&](const Route& old) { return old.*part && same(old); });
    return found == before->routes().end() ? nullptr : (*found).*part;
}

}  // namespace

Result<Router> Router::make(const Config& config, const Router* before) {
    Router router;
    for (const auto& route : config.routes) {
        Route made{route, nullptr, nullptr, nullptr};
        auto& options = made.config.backend;
        if (!route.oauth.empty()) {
            const auto settings = std::ranges::find(config.oauth_providers, route.oauth, &oauth::Settings::name);
            if (settings == config.oauth_providers.end())
                return Error{Errc::permanent, "there is no [[oauth]] \"" + route.oauth + '"', {}};
            made.provider = take_over(before, &Route::provider, [&](const Route& old) {
                return !reads_files(*settings) && old.provider->settings() == *settings &&
                       old.config.backend.url == options.url;
            });
            if (!made.provider) {
                auto provider = oauth::Provider::make(*settings, options.url);
                if (!provider) return provider.error();
                made.provider = std::move(*provider);
            }
            // An application is nobody, so Graph must be told whose mailbox it is.
            const bool is_nobody = settings->grant == oauth::Grant::client_credentials;
            if (is_nobody && options.url.starts_with("graph:") && options.mailbox.empty()) options.mailbox = "%u";
        }
        if (route.auth == ClientAuth::http) {
            made.hook = take_over(before, &Route::hook,
                                  [&](const Route& old) { return old.config.auth_url == route.auth_url; });
            if (!made.hook) {
                auto hook = AuthHook::make(route.auth_url);
                if (!hook) return Error{Errc::permanent, "auth_url: " + hook.error().text, {}};
                made.hook = std::move(*hook);
            }
        }
        made.backend = take_over(before, &Route::backend, [&](const Route& old) {
            return options.ca_file.empty() && old.config.backend == options;
        });
        if (!made.backend) {
            auto backend = make_backend(options);
            if (!backend) return backend.error();
            made.backend = observed(std::move(*backend), metrics::backend_kind_of(options.url));
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
