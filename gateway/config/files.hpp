#pragma once

#include <string>

namespace popgate {

/// Why a file cannot be used, in words; empty when it can.
std::string why_unreadable(const std::string& path);

/// True when everybody on this machine may read it.
bool is_readable_by_all(const std::string& path);

/// Whether this machine knows a user of that name. Blocks.
bool is_user(const std::string& name);

/// As why_unreadable(), for a file that must hold at least one PEM certificate.
std::string why_no_authorities(const std::string& path);

/// What is wrong with a server's certificate and key; empty where nothing is.
struct CertificateReport {
    std::string certificate;
    std::string key;
    std::string date;  ///< not yet or no longer valid: bad, but it does not keep the server from starting
};
CertificateReport inspect_certificate(const std::string& certificate, const std::string& key);

}  // namespace popgate
