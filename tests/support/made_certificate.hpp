#pragma once

#include "gateway/net/certificate_pair.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace popgate {

/// A certificate and its key as PEM, made when a test runs.
struct MadeCertificate {
    std::string certificate;
    std::string key;
};

struct CertificateWishes {
    std::vector<std::string> names{};  ///< DNS names of its subjectAltName; none: no such extension
    std::string common_name = "popgate test";
    std::string type = "EC";  ///< or "RSA"
    bool is_authority = false;
    long seconds = 24 * 3600;                    ///< valid for so long from an hour ago on; negative: it has expired
    const MadeCertificate* authority = nullptr;  ///< who signs it; null: itself
};

inline std::shared_ptr<BIO> pem_bio(const std::string& pem) {
    return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

inline std::string pem_text(BIO* bio) {
    std::string text(BIO_ctrl_pending(bio), '\0');
    BIO_read(bio, text.data(), static_cast<int>(text.size()));
    return text;
}

inline MadeCertificate make_certificate(const CertificateWishes& wishes) {
    const auto must = [](bool done) {
        if (!done) throw std::runtime_error("OpenSSL makes no certificate");
    };
    const std::shared_ptr<EVP_PKEY> key(wishes.type == "RSA"
                                            ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})
                                            : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"),
                                        EVP_PKEY_free);
    const std::shared_ptr<X509> made(X509_new(), X509_free);
    must(key && made);
    std::shared_ptr<EVP_PKEY> signer = key;
    std::shared_ptr<X509> issuer = made;
    if (wishes.authority) {
        signer = {PEM_read_bio_PrivateKey(pem_bio(wishes.authority->key).get(), nullptr, nullptr, nullptr),
                  EVP_PKEY_free};
        issuer = {PEM_read_bio_X509(pem_bio(wishes.authority->certificate).get(), nullptr, nullptr, nullptr),
                  X509_free};
    }
    static long serial = 0;
    must(X509_set_version(made.get(), X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(made.get()), wishes.seconds < 0 ? 2 * wishes.seconds : -3600) != nullptr);
    must(X509_gmtime_adj(X509_getm_notAfter(made.get()), wishes.seconds) != nullptr);
    must(X509_set_pubkey(made.get(), key.get()) == 1);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(wishes.common_name.c_str()), -1, -1,
                                    0) == 1);
    must(X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get())) == 1);
    const auto extend = [&](int what, const std::string& value) {
        const std::shared_ptr<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str()),
                                                        X509_EXTENSION_free);
        must(extension && X509_add_ext(made.get(), extension.get(), -1) == 1);
    };
    std::string names;
    for (const auto& name : wishes.names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
    if (!names.empty()) extend(NID_subject_alt_name, names);
    if (wishes.is_authority) extend(NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(made.get(), signer.get(), EVP_sha256()) > 0);
    const std::shared_ptr<BIO> certificate_pem(BIO_new(BIO_s_mem()), BIO_free);
    const std::shared_ptr<BIO> key_pem(BIO_new(BIO_s_mem()), BIO_free);
    must(PEM_write_bio_X509(certificate_pem.get(), made.get()) == 1);
    must(PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return {pem_text(certificate_pem.get()), pem_text(key_pem.get())};
}

/// PEM files in a temporary directory.
class CertificateFolder {
public:
    CertificateFolder() {
        auto pattern = (std::filesystem::temp_directory_path() / "popgate-test-XXXXXX").string();
        if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary directory");
        path_ = pattern;
    }
    ~CertificateFolder() { std::filesystem::remove_all(path_); }
    CertificateFolder(const CertificateFolder&) = delete;
    CertificateFolder& operator=(const CertificateFolder&) = delete;

    std::string path(const std::string& name) const { return path_ / name; }

    /// As a careful program does it: the name leads to the old content or the new.
    void put(const std::string& name, const std::string& content) const {
        std::ofstream(path(name + ".new")) << content;
        std::filesystem::rename(path(name + ".new"), path(name));
    }
    CertificateFiles put(const std::string& name, const MadeCertificate& made) const {
        put(name + ".pem", made.certificate);
        put(name + ".key", made.key);
        return {.certificate = path(name + ".pem"), .key = path(name + ".key")};
    }

private:
    std::filesystem::path path_;
};

}  // namespace popgate
