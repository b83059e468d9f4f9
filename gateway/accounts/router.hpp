#pragma once

#include "backends/mailbox.hpp"
#include "gateway/accounts/auth_hook.hpp"
#include "gateway/config/config.hpp"
#include "gateway/oauth/provider.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace popgate {

/// A route of the configuration with its backend, ready for use by any thread.
struct Route {
    RouteConfig config;
    std::shared_ptr<const Backend> backend;
    std::shared_ptr<const oauth::Provider> provider{};  ///< of its `oauth`; null without
    std::shared_ptr<const AuthHook> hook{};             ///< of its `auth_url`; null without
};

/// Finds where a user's mailbox is.
class Router {
public:
    /// The first route whose backend or provider cannot be made is the error. Reads files, so it blocks. What an
    /// earlier router has for the same options is taken over, with what it has learned of the upstream's limits.
    static Result<Router> make(const Config& config, const Router* before = nullptr);

    /// The first route that matches; null when none does.
    const Route* find(std::string_view user) const;

    const std::vector<Route>& routes() const { return routes_; }

private:
    std::vector<Route> routes_;
};

}  // namespace popgate
