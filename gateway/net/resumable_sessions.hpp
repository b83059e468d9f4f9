#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

typedef struct ssl_session_st SSL_SESSION;

namespace popgate {

struct SslSessionFree {
    void operator()(SSL_SESSION* session) const;
};
using SslSession = std::unique_ptr<SSL_SESSION, SslSessionFree>;

/// TLS sessions with upstreams that may be resumed, by host: a resumed one needs no signature there and no look at the
/// chain here. Any thread may use it.
class ResumableSessions {
public:
    /// With TLS 1.3 each is used once (RFC 8446 §C.4). Null where there is none that is younger than an hour, or than
    /// its server says, with a certificate that is still valid.
    SslSession take(const std::string& host);
    void keep(const std::string& host, SslSession session);

private:
    std::mutex mutex_;
    std::map<std::string, std::vector<SslSession>> sessions_;
};

}  // namespace popgate
