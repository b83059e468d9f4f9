#include "gateway/config/files.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace popgate {

namespace {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Certificate = std::unique_ptr<X509, Deleter<X509_free>>;

/// The first cause that OpenSSL named (what follows is where it came by), and an empty queue for the next.
std::string openssl_reason() {
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason ? reason : "unknown reason";
}

int no_passphrase(char*, int, int, void*) { return -1; }

std::string date_problem(const X509* certificate) {
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) return "the certificate has expired";
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) return "the certificate is not valid yet";
    return {};
}

Key read_key(const std::string& path) {
    const Bio file(BIO_new_file(path.c_str(), "r"));
    return Key(file ? PEM_read_bio_PrivateKey(file.get(), nullptr, no_passphrase, nullptr) : nullptr);
}

}  // namespace

std::string why_unreadable(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    std::array<char, 1> octet{};
    const bool readable = file >= 0 && ::read(file, octet.data(), octet.size()) >= 0;
    std::string problem = readable ? "" : path + " cannot be read: " + std::strerror(errno);
    if (file >= 0) ::close(file);
    return problem;
}

bool is_readable_by_all(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

bool is_user(const std::string& name) { return ::getpwnam(name.c_str()) != nullptr; }

std::string why_no_authorities(const std::string& path) {
    if (std::string problem = why_unreadable(path); !problem.empty()) return problem;
    const Bio file(BIO_new_file(path.c_str(), "r"));
    const X509Certificate first(file ? PEM_read_bio_X509(file.get(), nullptr, no_passphrase, nullptr) : nullptr);
    if (first) return {};
    ERR_clear_error();
    return path + " holds no PEM certificate";
}

CertificateReport inspect_certificate(const std::string& certificate, const std::string& key) {
    CertificateReport report{why_unreadable(certificate), why_unreadable(key), {}};
    const Context context(SSL_CTX_new(TLS_server_method()));
    if (!context) {
        report.certificate = "OpenSSL does not start: " + openssl_reason();
        return report;
    }
    if (report.certificate.empty()) {
        if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) == 1) {
            report.date = date_problem(SSL_CTX_get0_certificate(context.get()));
        } else {
            report.certificate = certificate + " holds no certificate that can be used: " + openssl_reason();
        }
    }
    if (!report.key.empty()) return report;
    const Key private_key = read_key(key);
    if (!private_key) {
        report.key = key + " holds no PEM private key that opens without a passphrase";
        ERR_clear_error();
    } else if (report.certificate.empty() && SSL_CTX_use_PrivateKey(context.get(), private_key.get()) != 1) {
        report.key = key + " does not belong to the certificate " + certificate + ": " + openssl_reason();
    }
    return report;
}

}  // namespace popgate
