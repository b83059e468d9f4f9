#include "gateway/web/web.hpp"

#include "gateway/config/endpoint.hpp"
#include "gateway/net/listener.hpp"
#include "gateway/net/server_certificates.hpp"
#include "gateway/net/ticket_keys.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/web/account_people.hpp"

#include <openssl/ssl.h>

#include <utility>

namespace popgate::web {

namespace {

Response plain(unsigned status, std::string text) {
    return {status, "text/plain; charset=utf-8", std::move(text), {{"X-Content-Type-Options", "nosniff"}}};
}

}  // namespace

Web::Web(const Config& config, Accounts& accounts, const std::vector<BoundListener>& listeners,
         std::function<std::string()> metrics)
    : config_(config),
      metrics_(std::move(metrics)),
      settings_(mail_settings(config.enrolment, listeners)),
      domains_(config.enrolment.domains),
      people_(std::make_unique<AccountPeople>(config, accounts)) {
    if (!config_.enrolment.listen.empty())
        enrolment_.emplace(Enrolment::Options{config_.enrolment.url, settings_}, *people_);
}

Result<std::unique_ptr<Web>> Web::open(const Config& config, Accounts& accounts,
                                       const std::vector<BoundListener>& listeners,
                                       std::function<std::string()> metrics) {
    std::unique_ptr<Web> web(new Web(config, accounts, listeners, std::move(metrics)));
    if (auto status = web->listen(); status.has_error()) return status.error();
    return web;
}

Status Web::listen() {
    const auto& enrolment = config_.enrolment;
    const auto& admin = config_.admin.listen;
    const bool is_one = enrolment.listen == admin;
    std::size_t count = 0;
    const auto tell = [&](std::string_view what, bool tls) {
        log(LogLevel::info, "web_listening",
            {{"address", to_string(server_.local_endpoint(count++))}, {"for", what}, {"tls", tls}});
    };
    if (!enrolment.listen.empty()) {
        std::shared_ptr<TlsServerContext> tls;
        if (enrolment.tls) {
            auto certificates = ServerCertificates::load(certificate_files(config_));
            if (certificates.has_error()) return certificates.error();
            auto made = TlsServerContext::make(*certificates, TLS1_2_VERSION, Application::http, {},
                                               std::make_shared<TicketKeys>());
            if (made.has_error()) return made.error();
            tls = std::move(*made);
        }
        auto status =
            server_.listen(enrolment.listen, tls, !enrolment.tls, [this, is_one](Fiber& fiber, const Request& request) {
                if (is_one && request.path == "/metrics") return answer_admin(request);
                return answer_people(fiber, request);
            });
        if (status.has_error()) return status;
        tell("people", enrolment.tls);
    }
    if (admin.empty() || is_one) return {};
    auto status =
        server_.listen(admin, nullptr, false, [this](Fiber&, const Request& request) { return answer_admin(request); });
    if (status.has_error()) return status;
    tell("admin", false);
    return {};
}

Response Web::answer_people(Fiber& fiber, const Request& request) {
    if (auto document = answer_mail_program(request, settings_, domains_, config_.enrolment.url))
        return std::move(*document);
    return enrolment_->handle(fiber, request);
}

Response Web::answer_admin(const Request& request) const {
    // Nor to people who come through the web server before the pages, where both have one address.
    if (request.path != "/metrics" || request.headers.has("x-forwarded-for")) return plain(404, "Not Found\n");
    if (request.method != "GET" && request.method != "HEAD") {
        auto response = plain(405, "Method Not Allowed\n");
        response.headers.emplace_back("Allow", "GET, HEAD");
        return response;
    }
    auto response = plain(200, metrics_());
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return response;
}

}  // namespace popgate::web
