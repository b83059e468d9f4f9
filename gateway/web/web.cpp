#include "gateway/web/web.hpp"

#include "backends/ascii.hpp"
#include "gateway/config/endpoint.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/web/account_people.hpp"

#include <openssl/ssl.h>

#include <utility>

namespace popgate::web {

namespace {

void tell(const std::string& address, std::string_view what, bool tls) {
    log(LogLevel::info, "web_listening", {{"address", address}, {"for", what}, {"tls", tls}});
}

}  // namespace

Web::Web(std::shared_ptr<const Config> config, CurrentAccounts accounts, const std::vector<BoundListener>& listeners,
         Handler admin)
    : config_(std::move(config)),
      admin_(std::move(admin)),
      settings_(mail_settings(config_->enrolment, listeners)),
      domains_(config_->enrolment.domains),
      people_(std::make_unique<AccountPeople>(std::move(accounts))) {
    if (!config_->enrolment.listen.empty())
        enrolment_.emplace(Enrolment::Options{config_->enrolment.url, settings_}, *people_);
}

Result<std::unique_ptr<Web>> Web::open(std::shared_ptr<const Config> config, CurrentAccounts accounts,
                                       const ServerTls& tls, const std::vector<BoundListener>& listeners,
                                       Handler admin) {
    std::unique_ptr<Web> web(new Web(std::move(config), std::move(accounts), listeners, std::move(admin)));
    if (auto status = web->listen(tls); status.has_error()) return status.error();
    return web;
}

Status Web::listen(const ServerTls& shared) {
    const auto& enrolment = config_->enrolment;
    auto admin = words_of(config_->admin.listen);
    const bool is_shared = !enrolment.listen.empty() && std::erase(admin, enrolment.listen) > 0;
    if (!enrolment.listen.empty()) {
        std::shared_ptr<TlsServerContext> tls;
        if (enrolment.tls) {
            auto made =
                TlsServerContext::make(shared.certificates, TLS1_2_VERSION, Application::http, {}, shared.tickets);
            if (made.has_error()) return made.error();
            tls = std::move(*made);
        }
        auto status = people_server_.listen(
            enrolment.listen, tls, !enrolment.tls, [this, is_shared](Fiber& fiber, const Request& request) {
                // Nor to people who come through the web server before the pages.
                if (is_shared && request.path == "/metrics" && !request.headers.has("x-forwarded-for"))
                    return admin_(fiber, request);
                return answer_people(fiber, request);
            });
        if (status.has_error()) return status;
        tell(people_server_.local_address(0), "people", enrolment.tls);
    }
    for (std::size_t i = 0; i < admin.size(); ++i) {
        if (auto status = admin_server_.listen(admin[i], nullptr, false, admin_); status.has_error()) return status;
        tell(admin_server_.local_address(i), "admin", false);
    }
    return {};
}

void Web::start() {
    people_server_.start();
    admin_server_.start();
}

void Web::stop(std::chrono::milliseconds patience) {
    people_server_.stop(patience);
    admin_server_.stop(patience);
}

Response Web::answer_people(Fiber& fiber, const Request& request) {
    if (auto document = answer_mail_program(request, settings_, domains_, config_->enrolment.url))
        return std::move(*document);
    return enrolment_->handle(fiber, request);
}

}  // namespace popgate::web
