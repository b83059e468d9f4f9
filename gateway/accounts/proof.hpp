#pragma once

#include "gateway/accounts/secret.hpp"

#include <string>
#include <vector>

namespace popgate {

/// What a client shows to be let in as `user`.
struct Proof {
    enum class Method {
        password,      ///< `secret` is it
        token,         ///< `secret` is an OAuth2 access token (RFC 7628, XOAUTH2)
        apop,          ///< `secret` is MD5(challenge, shared secret) in hex (RFC 1939 §7)
        cram_md5,      ///< `secret` is HMAC-MD5(shared secret, challenge) in hex (RFC 2195)
        certificate,   ///< nothing more than its TLS certificate (SASL EXTERNAL, RFC 4422 appendix A)
        trusted_host,  ///< nothing more than its address (RPOP, RFC 1081)
    };
    Method method = Method::password;
    std::string user;
    Secret secret;
    std::string challenge{};  ///< apop, cram_md5: what it was given
};

/// Who asks.
struct ClientInfo {
    std::string address;                           ///< IP address, without the port
    std::vector<std::string> certificate_names{};  ///< of a TLS certificate that was verified: addresses, then the CN
    unsigned attempt = 1;                          ///< of this session, from 1
};

}  // namespace popgate
