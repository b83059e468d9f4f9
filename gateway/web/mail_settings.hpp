#pragma once

#include "gateway/config/config.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::web {

/// What a mail program must know to reach this server.
struct MailSettings {
    struct Port {
        std::uint16_t number = 0;
        TlsMode tls = TlsMode::implicit;
        bool operator==(const Port&) const = default;
    };
    std::string host;
    std::vector<Port> ports;  ///< implicit TLS first, then STARTTLS, then in clear
    std::string service_name;
};

/// A listener and the address that it was given.
using BoundListener = std::pair<ListenConfig, boost::asio::ip::tcp::endpoint>;

/// Those on loopback are left out where there are others: nobody else reaches them.
MailSettings mail_settings(const EnrolmentConfig& enrolment, const std::vector<BoundListener>& listeners);

/// "https://mail.example.com:8443" of a URL, in lower case and without its scheme's own port; empty where it has none.
std::string origin_of(std::string_view url);
/// "mail.example.com" of an origin; an IPv6 address without its brackets.
std::string host_of(std::string_view origin);

}  // namespace popgate::web
