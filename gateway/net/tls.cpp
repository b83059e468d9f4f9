#include "gateway/net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

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

}  // namespace

std::string take_openssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return {};
    const char* reason = ERR_reason_error_string(code);
    return reason ? reason : "error " + std::to_string(code);
}

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::make(const std::string& certificate, const std::string& key,
                                                                 TlsProtocol minimum, Application application,
                                                                 const ClientCertificatePolicy& clients) {
    ERR_clear_error();
    auto context = make_context(TLS_server_method(), minimum);
    if (!context) return problem("cannot set up TLS");
    if (minimum < TLS1_2_VERSION) SSL_CTX_set_cipher_list(context.get(), "DEFAULT:@SECLEVEL=0");
    if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1)
        return problem("cannot use the certificate " + certificate);
    if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
        return problem("cannot use the key " + key);
    if (SSL_CTX_check_private_key(context.get()) != 1)
        return problem("the key " + key + " does not belong to the certificate " + certificate);
    // Sessions resume by stateless tickets: no cache that a flood of clients could fill.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    static constexpr unsigned char id[] = "popgate";
    SSL_CTX_set_session_id_context(context.get(), id, sizeof id - 1);
    SSL_CTX_set_num_tickets(context.get(), 1);
    const auto* const name = application == Application::http ? alpn_http : alpn_pop3;
    SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, const_cast<unsigned char*>(name));
    if (clients.asked_for) {
        if (SSL_CTX_load_verify_file(context.get(), clients.ca_file.c_str()) != 1)
            return problem("cannot read certificates from " + clients.ca_file);
        SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(clients.ca_file.c_str()));
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | (clients.required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           nullptr);
    }
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
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    return std::shared_ptr<TlsClientContext>(new TlsClientContext(std::move(context), verify));
}

}  // namespace popgate
