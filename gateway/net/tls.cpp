#include "gateway/net/tls.hpp"

#include "gateway/net/resumable_sessions.hpp"
#include "gateway/net/server_certificates.hpp"
#include "gateway/net/ticket_keys.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace popgate {

namespace {

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method, TlsProtocol minimum) {
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
    if (!context) return nullptr;
    SSL_CTX_set_min_proto_version(context.get(), minimum);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Idle sessions keep no 16 KiB record buffers; a write may be resumed from another address.
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

// With the length in front, as ALPN has them.
constexpr unsigned char alpn_pop3[] = {4, 'p', 'o', 'p', '3'};
constexpr unsigned char alpn_http[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                unsigned int offered_length, void* argument) {
    // Anything else is a stray program, or an attack that plays two protocols against each other.
    const auto* ours = static_cast<const unsigned char*>(argument);
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_length, ours, ours[0] + 1u, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

Error problem(std::string text) {
    const std::string reason = take_openssl_error();
    return {Errc::permanent, reason.empty() ? std::move(text) : text + ": " + reason, {}};
}

/// What a server's context works with; it belongs to the SSL_CTX, which lives as long as its connections.
struct ServerParts {
    std::shared_ptr<ServerCertificates> certificates;
    std::shared_ptr<TicketKeys> tickets;
};

void free_parts(void*, void* parts, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<ServerParts*>(parts); }

int parts_index() {
    static const int index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nullptr, nullptr, nullptr, free_parts);
    return index;
}

int choose_certificate(SSL* ssl, void* certificates) {
    return static_cast<const ServerCertificates*>(certificates)->use_for(ssl) ? 1 : 0;
}

bool set_up_ticket(const TicketKeys::Key& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                   bool is_new) {
    char digest[] = "SHA256";
    auto mac_key = key.mac;
    const std::array<OSSL_PARAM, 3> parameters{
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key.data(), mac_key.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    const bool done = EVP_MAC_CTX_set_params(mac, parameters.data()) == 1 &&
                      EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, is_new ? 1 : 0) == 1;
    OPENSSL_cleanse(mac_key.data(), mac_key.size());
    return done;
}

/// OpenSSL's answers: below 0 is a failure, 0 no such key, 2 one whose ticket is to be replaced.
int use_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                   int is_new) {
    auto& keys = *static_cast<ServerParts*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), parts_index()))->tickets;
    auto current = keys.current();
    if (!current) return -1;
    if (is_new == 1) {
        std::ranges::copy(current->name, name);
        const bool done = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
                          set_up_ticket(*current, iv, cipher, mac, true);
        OPENSSL_cleanse(&*current, sizeof *current);
        return done ? 1 : -1;
    }
    TicketKeys::Name asked_for{};
    std::copy_n(name, asked_for.size(), asked_for.begin());
    auto key = keys.find(asked_for);
    const bool is_current = asked_for == current->name;
    OPENSSL_cleanse(&*current, sizeof *current);
    if (!key) return 0;
    const bool done = set_up_ticket(*key, iv, cipher, mac, false);
    OPENSSL_cleanse(&*key, sizeof *key);
    if (!done) return -1;
    // With TLS 1.3 clients use a ticket once (RFC 8446 §C.4), and get another one each time.
    return is_current && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

/// Whoever has a session of one listener may resume it at another only where the same is demanded: application,
/// versions, a certificate of the client, and of whom.
bool set_session_context(SSL_CTX* context, TlsProtocol minimum, Application application,
                         const ClientCertificatePolicy& clients) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const std::array<int, 4> policy{minimum, static_cast<int>(application), clients.asked_for ? 1 : 0,
                                    clients.required ? 1 : 0};
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    bool ok = hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1 &&
              EVP_DigestUpdate(hash.get(), policy.data(), sizeof policy) == 1;
    const auto* authorities = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    for (int i = 0; ok && i < sk_X509_OBJECT_num(authorities); ++i) {
        const X509* authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(authorities, i));
        if (!authority) continue;  // a list of revoked ones
        ok = X509_digest(authority, EVP_sha256(), digest.data(), &size) == 1 &&
             EVP_DigestUpdate(hash.get(), digest.data(), size) == 1;
    }
    static_assert(SSL_MAX_SID_CTX_LENGTH == 32);
    return ok && EVP_DigestFinal_ex(hash.get(), digest.data(), &size) == 1 &&
           SSL_CTX_set_session_id_context(context, digest.data(), size) == 1;
}

/// Of a connection to an upstream: whose session it is, and where it is kept.
struct UpstreamParts {
    std::shared_ptr<ResumableSessions> sessions;
    std::string host;
};

void free_upstream_parts(void*, void* parts, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<UpstreamParts*>(parts);
}

int upstream_parts_index() {
    static const int index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nullptr, nullptr, nullptr, free_upstream_parts);
    return index;
}

/// 1: the session is ours now.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    const auto* parts = static_cast<const UpstreamParts*>(SSL_get_ex_data(ssl, upstream_parts_index()));
    if (!parts) return 0;
    parts->sessions->keep(parts->host, SslSession(session));
    return 1;
}

}  // namespace

std::string take_openssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return {};
    const char* reason = ERR_reason_error_string(code);
    return reason ? reason : "error " + std::to_string(code);
}

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::make(std::shared_ptr<ServerCertificates> certificates,
                                                                 TlsProtocol minimum, Application application,
                                                                 const ClientCertificatePolicy& clients,
                                                                 std::shared_ptr<TicketKeys> tickets) {
    ERR_clear_error();
    auto context = make_context(TLS_server_method(), minimum);
    if (!context) return problem("cannot set up TLS");
    if (minimum < TLS1_2_VERSION) SSL_CTX_set_cipher_list(context.get(), "DEFAULT:@SECLEVEL=0");
    auto parts = std::make_unique<ServerParts>(ServerParts{std::move(certificates), std::move(tickets)});
    // The chain goes out as its file has it, and is not searched for at each handshake.
    SSL_CTX_set_mode(context.get(), SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_cert_cb(context.get(), choose_certificate, parts->certificates.get());
    if (SSL_CTX_set_ex_data(context.get(), parts_index(), parts.get()) != 1) return problem("cannot set up TLS");
    static_cast<void>(parts.release());  // it is the context's now
    // Sessions resume by stateless tickets: no cache that a flood of clients could fill.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), use_ticket_key);
    const auto* const name = application == Application::http ? alpn_http : alpn_pop3;
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, const_cast<unsigned char*>(name));
    if (clients.asked_for) {
        if (SSL_CTX_load_verify_file(context.get(), clients.ca_file.c_str()) != 1)
            return problem("cannot read certificates from " + clients.ca_file);
        SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(clients.ca_file.c_str()));
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | (clients.required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           nullptr);
    }
    if (!set_session_context(context.get(), minimum, application, clients)) return problem("cannot set up TLS");
    return std::shared_ptr<TlsServerContext>(new TlsServerContext(std::move(context)));
}

Result<std::shared_ptr<TlsClientContext>> TlsClientContext::make(const std::string& ca_file, bool verify) {
    ERR_clear_error();
    auto context = make_context(TLS_client_method(), TLS1_2_VERSION);
    if (!context) return problem("cannot set up TLS");
    if (!ca_file.empty()) {
        if (SSL_CTX_load_verify_file(context.get(), ca_file.c_str()) != 1)
            return problem("cannot read certificates from " + ca_file);
    } else if (verify) {
        SSL_CTX_set_default_verify_paths(context.get());
    }
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), keep_session);
    SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    return std::shared_ptr<TlsClientContext>(
        new TlsClientContext(std::move(context), std::make_shared<ResumableSessions>(), verify));
}

bool TlsClientContext::resume(SSL* ssl, const std::string& host) const {
    auto parts = std::make_unique<UpstreamParts>(UpstreamParts{sessions_, host});
    if (SSL_set_ex_data(ssl, upstream_parts_index(), parts.get()) != 1) return false;
    static_cast<void>(parts.release());  // it is the connection's now
    // One that cannot be used costs a whole handshake, which the server decides on anyway.
    if (const auto session = sessions_->take(host)) SSL_set_session(ssl, session.get());
    return true;
}

}  // namespace popgate
