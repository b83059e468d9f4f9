#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/config/config.hpp"
#include "gateway/web/autoconfig.hpp"
#include "gateway/web/enrolment.hpp"
#include "gateway/web/mail_settings.hpp"
#include "gateway/web/people.hpp"
#include "gateway/web/web_server.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace popgate::web {

/// All that the server says over HTTP: [enrolment]'s pages and documents, [admin]'s metrics.
class Web {
public:
    /// Opens what the configuration names; serves from start() on. `metrics` gives Prometheus' text format. `config`
    /// and `accounts` outlive it. The error's text names address and cause.
    static Result<std::unique_ptr<Web>> open(const Config& config, Accounts& accounts,
                                             const std::vector<BoundListener>& listeners,
                                             std::function<std::string()> metrics);

    void start() { server_.start(); }
    /// See WebServer::stop().
    void stop(std::chrono::milliseconds patience) { server_.stop(patience); }

private:
    Web(const Config& config, Accounts& accounts, const std::vector<BoundListener>& listeners,
        std::function<std::string()> metrics);

    Status listen();
    Response answer_people(Fiber& fiber, const Request& request);
    Response answer_admin(const Request& request) const;

    const Config& config_;
    std::function<std::string()> metrics_;
    MailSettings settings_;
    ServedDomains domains_;
    std::unique_ptr<People> people_;
    std::optional<Enrolment> enrolment_;
    WebServer server_;
};

}  // namespace popgate::web
