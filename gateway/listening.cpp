#include "gateway/listening.hpp"

#include "gateway/net/server_certificates.hpp"
#include "gateway/net/tls.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

namespace popgate {

namespace {

TlsProtocol protocol_of(TlsVersion version) {
    switch (version) {
        case TlsVersion::tls1_0: return TLS1_VERSION;
        case TlsVersion::tls1_1: return TLS1_1_VERSION;
        case TlsVersion::tls1_2: return TLS1_2_VERSION;
        case TlsVersion::tls1_3: break;
    }
    return TLS1_3_VERSION;
}

/// The least that holds for anybody, and whether it holds for everybody (RFC 2449 §6.7).
pop3::Expiry expiry_before_login(const Config& config) {
    std::optional<std::chrono::milliseconds> least;
    bool varies = false;
    const auto consider = [&](const std::optional<std::chrono::milliseconds>& limit) {
        varies = varies || limit != least;
        if (limit && (!least || *limit < *least)) least = limit;
    };
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        if (i == 0) least = config.routes[0].policy.expire_after;
        consider(config.routes[i].policy.expire_after);
    }
    for (const auto& account : config.accounts) {
        if (!account.expire_after) continue;
        const bool never = *account.expire_after == std::chrono::milliseconds::zero();
        consider(never ? std::nullopt : account.expire_after);
    }
    auto expiry = pop3::expiry_of(least);
    expiry.depends_on_user = varies && least;
    return expiry;
}

/// The most that holds for anybody (RFC 2449 §6.5).
pop3::LoginDelay delay_before_login(const Config& config) {
    pop3::LoginDelay most;
    for (const auto& route : config.routes)
        most.seconds = std::max(most.seconds, pop3::login_delay_of(route.login_delay).seconds);
    most.depends_on_user = !std::ranges::all_of(config.routes, [&](const RouteConfig& route) {
        return pop3::login_delay_of(route.login_delay).seconds == most.seconds;
    });
    return most;
}

/// What clients are offered: no mechanism that no route would take.
pop3::Policy logins_on(const ListenConfig& listen, const Config& config) {
    const auto any_route = [&](ClientAuth auth) {
        return std::ranges::any_of(config.routes, [&](const RouteConfig& route) { return route.auth == auth; });
    };
    pop3::Policy policy;
    policy.passwords =
        !std::ranges::all_of(config.routes, [](const RouteConfig& route) { return route.auth == ClientAuth::oauth; });
    policy.tokens = any_route(ClientAuth::oauth);
    policy.certificates = any_route(ClientAuth::certificate);
    policy.apop = listen.apop;
    policy.cram_md5 = listen.cram_md5;
    policy.login_delay = delay_before_login(config);
    return policy;
}

}  // namespace

Result<std::shared_ptr<const ListenerInfo>> make_listener_info(const ListenConfig& listen, const Config& config,
                                                               const ServerTls& tls, std::string address) {
    auto info = std::make_shared<ListenerInfo>();
    info->config = listen;
    info->address = std::move(address);
    info->expiry = expiry_before_login(config);
    info->logins = logins_on(listen, config);
    for (const auto& [text, networks] :
         {std::pair(&listen.rpop_from, &info->rpop_from), std::pair(&listen.trusted_proxies, &info->trusted_proxies)}) {
        auto parsed = Networks::parse(*text);
        if (parsed.has_error()) return parsed.error();
        *networks = std::move(*parsed);
    }
    if (listen.tls != TlsMode::none) {
        auto context = TlsServerContext::make(tls.certificates, protocol_of(listen.min_tls), Application::pop3,
                                              {.asked_for = listen.client_certificates != ClientCertificates::off,
                                               .required = listen.client_certificates == ClientCertificates::required,
                                               .ca_file = listen.client_ca_file},
                                              tls.tickets);
        if (context.has_error()) return context.error();
        info->tls = std::move(*context);
    }
    return std::shared_ptr<const ListenerInfo>(std::move(info));
}

Result<std::shared_ptr<ServerCertificates>> load_certificates(const Config& config) {
    auto files = certificate_files(config);
    if (files.empty()) return std::shared_ptr<ServerCertificates>();
    return ServerCertificates::load(std::move(files));
}

}  // namespace popgate
