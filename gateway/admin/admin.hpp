#pragma once

#include "gateway/admin/status_page.hpp"
#include "gateway/web/http.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace popgate::admin {

/// Answers at [admin]'s addresses: health, metrics, the status page, and what the commands ask and tell the server.
/// What is given depends on how the request has come: over the network health and metrics alone, on loopback the status
/// page, too, over the Unix socket everything. On loopback, where a browser may be, a request that was sent to some
/// host's name is refused (421): pages of strangers reach this port by giving their own name its address.
class AdminApi {
public:
    using Metrics = std::function<std::string()>;  ///< Prometheus' text format, version 0.0.4
    using History = std::function<std::vector<MinuteOfTraffic>()>;

    /// `control` outlives it; the functions are called on the web server's thread.
    AdminApi(Control& control, Metrics metrics, History history)
        : control_(control), metrics_(std::move(metrics)), history_(std::move(history)) {}

    web::Response handle(Fiber& fiber, const web::Request& request);

private:
    using Answer = web::Response (AdminApi::*)(Fiber& fiber, const web::Request& request);
    web::Response health(Fiber& fiber, const web::Request& request);
    web::Response readiness(Fiber& fiber, const web::Request& request);
    web::Response metrics(Fiber& fiber, const web::Request& request);
    web::Response page(Fiber& fiber, const web::Request& request);
    web::Response style(Fiber& fiber, const web::Request& request);
    web::Response status(Fiber& fiber, const web::Request& request);
    web::Response sessions(Fiber& fiber, const web::Request& request);
    web::Response trace_lines(Fiber& fiber, const web::Request& request);
    web::Response trace(Fiber& fiber, const web::Request& request);
    web::Response kick(Fiber& fiber, const web::Request& request);
    web::Response drain(Fiber& fiber, const web::Request& request);
    web::Response reload(Fiber& fiber, const web::Request& request);

    Control& control_;
    Metrics metrics_;
    History history_;
};

}  // namespace popgate::admin
