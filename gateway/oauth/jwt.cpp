#include "gateway/oauth/jwt.hpp"

#include "gateway/net/tls.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

namespace popgate::oauth {

namespace json = boost::json;

namespace {

constexpr std::int64_t assertion_lifetime = 600;

struct Free {
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, Free>;

Bio reader(const Secret& pem) {
    return Bio(BIO_new_mem_buf(pem.reveal().data(), static_cast<int>(pem.reveal().size())));
}

// A passphrase is never asked for: there is nobody to ask.
int no_passphrase(char*, int, int, void*) { return -1; }

std::string base64(std::string_view octets) {
    std::string text(4 * ((octets.size() + 2) / 3) + 1, '\0');
    const int length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(octets.data()), static_cast<int>(octets.size()));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

std::string der_of(X509* certificate) {
    unsigned char* octets = nullptr;
    const int length = i2d_X509(certificate, &octets);
    if (length <= 0) throw std::runtime_error("a certificate that cannot be written");
    std::string der(reinterpret_cast<const char*>(octets), static_cast<std::size_t>(length));
    OPENSSL_free(octets);
    return der;
}

int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    return c == '_' ? 63 : -1;
}

}  // namespace

std::string base64url(std::string_view octets) {
    auto text = base64(octets);
    while (text.ends_with('=')) text.pop_back();
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

Result<std::string> decode_base64url(std::string_view text) {
    const Error bad{Errc::temporary, "no base64url", {}};
    if (text.size() % 4 == 1) return bad;
    std::string octets;
    octets.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const int value = value_of(c);
        if (value < 0) return bad;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        octets += static_cast<char>(bits >> count & 0xFF);
    }
    if (bits & ((1u << count) - 1)) return bad;
    return octets;
}

std::string random_token(std::size_t octets) {
    std::string random(octets, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(octets)) != 1)
        throw std::runtime_error("no random numbers");
    auto text = base64url(random);
    Secret::wipe(random);
    return text;
}

std::string sha256_base64url(std::string_view octets) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(octets.data()), octets.size(), digest.data());
    return base64url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

Result<SigningKey> SigningKey::from_pem(const Secret& pem) {
    const auto source = reader(pem);
    std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(source.get(), nullptr, no_passphrase, nullptr),
                                  EVP_PKEY_free);
    if (!key) {
        (void)take_openssl_error();
        return Error{Errc::permanent, "holds no private key in PEM, or one with a passphrase", {}};
    }
    if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key.get()) < 2048)
        return Error{Errc::permanent, "is no RSA key of 2048 bits or more", {}};
    return SigningKey(std::move(key));
}

std::string SigningKey::sign(std::string_view header, std::string_view claims, Algorithm algorithm) const {
    auto token = base64url(header) + '.' + base64url(claims);
    const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* parameters = nullptr;  // the context's own
    std::size_t length = 0;
    const auto* octets = reinterpret_cast<const unsigned char*>(token.data());
    bool good = context && EVP_DigestSignInit(context.get(), &parameters, EVP_sha256(), nullptr, key_.get()) == 1;
    if (good && algorithm == Algorithm::ps256)
        good = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    good = good && EVP_DigestSign(context.get(), nullptr, &length, octets, token.size()) == 1;
    std::string signature(length, '\0');
    good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, octets,
                                  token.size()) == 1;
    if (!good) throw std::runtime_error("cannot sign: " + take_openssl_error());
    signature.resize(length);
    return token + '.' + base64url(signature);
}

Result<ClientCertificate> read_client_certificate(const Secret& certificate_pem, const Secret& key_pem) {
    auto key = SigningKey::from_pem(key_pem);
    if (!key) return Error{Errc::permanent, "client_key: " + key.error().text, {}};
    const auto source = reader(certificate_pem);
    json::array chain;
    std::string thumbprint;
    for (;;) {
        const std::unique_ptr<X509, Free> certificate(PEM_read_bio_X509(source.get(), nullptr, no_passphrase, nullptr));
        if (!certificate) break;
        const auto der = der_of(certificate.get());
        if (chain.empty()) {
            if (X509_check_private_key(certificate.get(), key->native()) != 1) {
                (void)take_openssl_error();
                return Error{Errc::permanent, "client_key: is not the key of the first certificate", {}};
            }
            thumbprint = sha256_base64url(der);
        }
        chain.emplace_back(base64(der));
    }
    (void)take_openssl_error();  // of the end of the file
    if (chain.empty()) return Error{Errc::permanent, "client_certificate: holds no certificate in PEM", {}};
    return ClientCertificate{std::move(*key), std::move(thumbprint), json::serialize(chain)};
}

std::string client_assertion(const ClientCertificate& certificate, const std::string& client_id,
                             const std::string& token_url, bool for_microsoft, std::int64_t now) {
    const auto quoted = [](const std::string& text) { return json::serialize(json::value(text)); };
    std::string header = R"({"alg":")" + std::string(for_microsoft ? "PS256" : "RS256") +
                         R"(","typ":"JWT","x5t#S256":)" + quoted(certificate.thumbprint);
    if (for_microsoft) header += R"(,"x5c":)" + certificate.chain;
    header += '}';
    const json::object claims{{"iss", client_id},
                              {"sub", client_id},
                              {"aud", token_url},
                              {"jti", random_token(16)},
                              {"nbf", now},
                              {"iat", now},
                              {"exp", now + assertion_lifetime}};
    return certificate.key.sign(header, json::serialize(claims),
                                for_microsoft ? SigningKey::Algorithm::ps256 : SigningKey::Algorithm::rs256);
}

}  // namespace popgate::oauth
