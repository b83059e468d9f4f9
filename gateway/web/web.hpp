#pragma once

#include "gateway/config/config.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/web/account_people.hpp"
#include "gateway/web/autoconfig.hpp"
#include "gateway/web/enrolment.hpp"
#include "gateway/web/mail_settings.hpp"
#include "gateway/web/people.hpp"
#include "gateway/web/web_server.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace popgate::web {

/// All that the server says over HTTP: [enrolment]'s pages and documents, and what `admin` answers at [admin]'s
/// addresses.
class Web {
public:
    /// Opens what the configuration names; serves from start() on. Where both have one address, `admin` is asked for
    /// /metrics alone. The error's text names address and cause.
    static Result<std::unique_ptr<Web>> open(std::shared_ptr<const Config> config, CurrentAccounts accounts,
                                             const ServerTls& tls, const std::vector<BoundListener>& listeners,
                                             Handler admin);

    void start();
    /// See WebServer::stop().
    void stop(std::chrono::milliseconds patience);

private:
    Web(std::shared_ptr<const Config> config, CurrentAccounts accounts, const std::vector<BoundListener>& listeners,
        Handler admin);

    Status listen(const ServerTls& shared);
    Response answer_people(Fiber& fiber, const Request& request);

    std::shared_ptr<const Config> config_;
    Handler admin_;
    MailSettings settings_;
    ServedDomains domains_;
    std::unique_ptr<People> people_;
    std::optional<Enrolment> enrolment_;
    // A thread each: whatever strangers do to the pages, probes and administrators are answered.
    WebServer people_server_;
    WebServer admin_server_;
};

}  // namespace popgate::web
