#include "gateway/accounts/router.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {
namespace {

RouteConfig route(std::string match, std::string url) {
    RouteConfig config;
    config.match = std::move(match);
    config.backend.url = std::move(url);
    return config;
}

Result<Router> make_router(std::vector<RouteConfig> routes) {
    Config config;
    config.routes = std::move(routes);
    return Router::make(config);
}

TEST(Router, TheFirstMatchWins) {
    const auto router =
        make_router({route("bob@*", "maildir:/mail/bob"), route("*@corp.example", "maildir:/mail/corp/%n"),
                     route("*@corp.example", "maildir:/mail/never")});
    ASSERT_TRUE(router);
    const auto url_for = [&](std::string_view user) {
        const auto* found = router->find(user);
        return found ? found->config.backend.url : std::string("none");
    };
    EXPECT_EQ(url_for("bob@corp.example"), "maildir:/mail/bob");
    EXPECT_EQ(url_for("ann@corp.example"), "maildir:/mail/corp/%n");
    EXPECT_EQ(url_for("ANN@CORP.EXAMPLE"), "maildir:/mail/corp/%n");
    EXPECT_EQ(url_for("ann@other.example"), "none");
    EXPECT_EQ(url_for(""), "none");
    EXPECT_NE(router->find("bob@x")->backend, nullptr);
}

TEST(Router, WithoutRoutesNobodyIsAnywhere) {
    const auto router = make_router({});
    ASSERT_TRUE(router);
    EXPECT_EQ(router->find("bob"), nullptr);
}

TEST(Router, ABackendThatCannotBeMadeIsTheError) {
    const auto router = make_router({route("*", "maildir:/mail/%u"), route("*", "gopher://example.com")});
    ASSERT_TRUE(router.has_error());
    EXPECT_NE(router.error().text.find("gopher"), std::string::npos) << router.error().text;
}

}  // namespace
}  // namespace popgate
