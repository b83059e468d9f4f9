#pragma once

#include "backends/errors.hpp"

#include <memory>
#include <string>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace popgate {

class ResumableSessions;
class ServerCertificates;
class TicketKeys;

/// What TLS listeners share.
struct ServerTls {
    std::shared_ptr<ServerCertificates> certificates;  ///< null where there are none
    std::shared_ptr<TicketKeys> tickets;
};

/// OpenSSL's protocol versions, as its TLS1_2_VERSION and so on.
using TlsProtocol = int;

/// Whether clients are asked for a certificate of their own.
struct ClientCertificatePolicy {
    bool asked_for = false;
    bool required = false;  ///< whoever has none gets no TLS
    std::string ca_file;    ///< PEM: who may have signed it
};

/// What is spoken inside of TLS.
enum class Application { pop3, http };

/// What a listener demands of TLS, the same for implicit TLS and after STLS.
/// Read-only once made, so shared by all threads.
class TlsServerContext {
public:
    /// Reads the clients' authorities; the certificate is chosen at each handshake. Below TLS 1.2 OpenSSL's security
    /// level has to be lowered as well, for this context alone.
    /// A client that sends ALPN without the application's name is refused (RFC 7301), one that sends none is served.
    /// A session is resumed by any context with the same `tickets` that demands the same of clients.
    static Result<std::shared_ptr<TlsServerContext>> make(std::shared_ptr<ServerCertificates> certificates,
                                                          TlsProtocol minimum, Application application,
                                                          const ClientCertificatePolicy& clients,
                                                          std::shared_ptr<TicketKeys> tickets);
    SSL_CTX* native() const { return context_.get(); }

private:
    explicit TlsServerContext(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}
    std::shared_ptr<SSL_CTX> context_;
};

/// How upstreams are verified: chain and host name, TLS 1.2 or newer. Sessions are resumed for up to an hour.
class TlsClientContext {
public:
    /// `ca_file`: PEM, trusted instead of the system's authorities; empty for the system's.
    static Result<std::shared_ptr<TlsClientContext>> make(const std::string& ca_file, bool verify);
    SSL_CTX* native() const { return context_.get(); }
    bool verifies() const { return verifies_; }
    /// Before the handshake: `ssl` is of this context, and the other side is called so. False: out of memory.
    bool resume(SSL* ssl, const std::string& host) const;

private:
    TlsClientContext(std::shared_ptr<SSL_CTX> context, std::shared_ptr<ResumableSessions> sessions, bool verifies)
        : context_(std::move(context)), sessions_(std::move(sessions)), verifies_(verifies) {}
    std::shared_ptr<SSL_CTX> context_;
    std::shared_ptr<ResumableSessions> sessions_;
    bool verifies_;
};

/// OpenSSL's oldest queued error as text; empties this thread's queue.
std::string take_openssl_error();

}  // namespace popgate
