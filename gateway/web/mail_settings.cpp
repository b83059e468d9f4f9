#include "gateway/web/mail_settings.hpp"

#include "backends/ascii.hpp"

#include <algorithm>

namespace popgate::web {

namespace {

int rank(TlsMode mode) { return mode == TlsMode::implicit ? 0 : mode == TlsMode::starttls ? 1 : 2; }

}  // namespace

MailSettings mail_settings(const EnrolmentConfig& enrolment, const std::vector<BoundListener>& listeners) {
    MailSettings settings;
    settings.host = enrolment.pop3_host.empty() ? host_of(origin_of(enrolment.url)) : enrolment.pop3_host;
    settings.service_name = enrolment.service_name;
    const bool all_local =
        std::ranges::all_of(listeners, [](const BoundListener& each) { return each.second.address().is_loopback(); });
    for (const auto& [config, endpoint] : listeners) {
        if (!all_local && endpoint.address().is_loopback()) continue;
        const MailSettings::Port port{endpoint.port(), config.tls};
        if (std::ranges::find(settings.ports, port) == settings.ports.end()) settings.ports.push_back(port);
    }
    std::ranges::stable_sort(settings.ports, {}, [](const MailSettings::Port& each) { return rank(each.tls); });
    return settings;
}

std::string origin_of(std::string_view url) {
    const auto scheme_end = url.find("://");
    if (scheme_end == std::string_view::npos) return {};
    std::string origin(url.substr(0, url.find_first_of("/?#", scheme_end + 3)));
    std::ranges::transform(origin, origin.begin(), lower);
    const std::string_view own_port = origin.starts_with("https:") ? ":443" : ":80";
    if (origin.ends_with(own_port)) origin.resize(origin.size() - own_port.size());
    return origin;
}

std::string host_of(std::string_view origin) {
    auto host = origin.substr(std::min(origin.find("://") + 3, origin.size()));
    if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
    return std::string(host.substr(0, host.find(':')));
}

}  // namespace popgate::web
