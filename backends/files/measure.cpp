#include "backends/files/measure.hpp"

#include <openssl/evp.h>

#include <new>
#include <stdexcept>

namespace popgate::local {

void OctetCounter::add(std::string_view piece) {
    if (piece.empty()) return;
    octets_ += piece.size();
    char before = last_;
    for (std::size_t at = 0; (at = piece.find('\n', at)) != std::string_view::npos; ++at) {
        if (at > 0) before = piece[at - 1];
        if (before != '\r') ++octets_;
        before = '\n';
    }
    last_ = piece.back();
}

namespace {

void require(int openssl_answer) {
    if (openssl_answer != 1) throw std::runtime_error("SHA-256 does not work");
}

// Looked up once: OpenSSL 3 takes longer to find an algorithm by name than to hash a short message.
const EVP_MD* sha256() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return algorithm;
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    if (!context_) throw std::bad_alloc();
    start();
}

void Sha256::start() { require(EVP_DigestInit_ex2(context_.get(), sha256(), nullptr)); }

void Sha256::add(std::string_view piece) { require(EVP_DigestUpdate(context_.get(), piece.data(), piece.size())); }

Digest Sha256::finish() {
    Digest digest{};
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr));
    start();
    return digest;
}

std::string to_hex(const unsigned char* digest, std::size_t bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
        text += digits[digest[i] >> 4];
        text += digits[digest[i] & 15];
    }
    return text;
}

}  // namespace popgate::local
