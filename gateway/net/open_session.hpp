#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace popgate {

/// A POP3 session that is open now, as an administrator sees it.
struct OpenSession {
    std::uint64_t id = 0;  ///< of this process, never given twice
    std::string user;      ///< empty before USER or AUTH
    std::string from;      ///< the client's address and port, the true one behind a proxy
    std::string listener;  ///< as bound
    std::string tls;       ///< "TLSv1.3 TLS_AES_256_GCM_SHA384" or "none"
    std::string backend;   ///< the route's URL; empty before login
    std::string state;     ///< "authorization", "transaction" or "update" (RFC 1939 §3)
    std::string command;   ///< the last one, its name alone
    std::chrono::milliseconds age{};
    std::chrono::milliseconds idle{};  ///< since the last command
    std::uint64_t messages = 0;        ///< of the maildrop
    std::uint64_t retrieved = 0;
    std::uint64_t octets_sent = 0;
};

}  // namespace popgate
