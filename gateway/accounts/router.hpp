#pragma once

#include "backends/mailbox.hpp"
#include "gateway/config/config.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace popgate {

/// A route of the configuration with its backend, ready for use by any thread.
struct Route {
    RouteConfig config;
    std::unique_ptr<Backend> backend;
};

/// Finds where a user's mailbox is.
class Router {
public:
    /// The first route whose backend cannot be made is the error.
    static Result<Router> make(const std::vector<RouteConfig>& routes);

    /// The first route that matches; null when none does.
    const Route* find(std::string_view user) const;

private:
    std::vector<Route> routes_;
};

}  // namespace popgate
