#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

typedef struct evp_pkey_st EVP_PKEY;

namespace popgate::oauth {

/// RFC 4648 §5, without padding.
std::string base64url(std::string_view octets);
/// Nothing but that; an error for anything else.
Result<std::string> decode_base64url(std::string_view text);

/// Of so many random octets, as base64url: states, nonces, verifiers, ids.
std::string random_token(std::size_t octets);

/// SHA-256 as base64url: the S256 code challenge of a verifier (RFC 7636 §4.2), a certificate's x5t#S256.
std::string sha256_base64url(std::string_view octets);

/// An RSA private key that signs JSON Web Tokens (RFC 7515, RFC 7518 §3.3 and §3.5).
class SigningKey {
public:
    enum class Algorithm { rs256, ps256 };

    /// The text names no octet of the key.
    static Result<SigningKey> from_pem(const Secret& pem);

    /// Header and claims are JSON. Throws where OpenSSL cannot sign, which a key that could be read does not do.
    std::string sign(std::string_view header, std::string_view claims, Algorithm algorithm) const;

    EVP_PKEY* native() const { return key_.get(); }

private:
    explicit SigningKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
    std::shared_ptr<EVP_PKEY> key_;
};

/// What a client proves itself with instead of a secret.
struct ClientCertificate {
    SigningKey key;
    std::string thumbprint;  ///< x5t#S256
    std::string chain;       ///< x5c: a JSON array of base64 DER, the client's own first
};

/// Errc::permanent: what is wrong with which of the two; a key that does not belong to the certificate too.
Result<ClientCertificate> read_client_certificate(const Secret& certificate_pem, const Secret& key_pem);

/// The assertion with which a client authenticates at `token_url` (RFC 7523 §2.2 and §3), good for ten minutes, with an
/// id of its own each time. `now`: seconds since 1970. Microsoft wants PS256 and the chain.
std::string client_assertion(const ClientCertificate& certificate, const std::string& client_id,
                             const std::string& token_url, bool for_microsoft, std::int64_t now);

}  // namespace popgate::oauth
