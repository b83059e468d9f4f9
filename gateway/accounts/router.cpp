#include "gateway/accounts/router.hpp"

#include "gateway/config/pattern.hpp"

#include <algorithm>

namespace popgate {

Result<Router> Router::make(const Config& config) {
    Router router;
    for (const auto& route : config.routes) {
        auto backend = make_backend(route.backend);
        if (backend.has_error()) return backend.error();
        router.routes_.push_back({route, std::move(*backend)});
    }
    return router;
}

const Route* Router::find(std::string_view user) const {
    const auto found =
        std::ranges::find_if(routes_, [&](const Route& route) { return matches_pattern(route.config.match, user); });
    return found == routes_.end() ? nullptr : &*found;
}

}  // namespace popgate
