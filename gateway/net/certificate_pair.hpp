#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;
struct stack_st_X509;

namespace popgate {

/// Where a server's certificate and its key are.
struct CertificateFiles {
    std::string certificate;  ///< PEM: the chain, the server's own certificate first
    std::string key;          ///< PEM, without a passphrase; may be the same file
    std::string names{};      ///< separated by spaces, those it is shown for; empty: the names in the certificate

    bool operator==(const CertificateFiles&) const = default;
};

/// A certificate with its key, as it was read. Never changed, so shared by all threads.
struct CertificatePair {
    std::string file;                ///< of the certificate
    std::vector<std::string> names;  ///< lower case, each as is_server_name() says; may be none
    std::string key_type;            ///< "RSA", "EC", ...
    std::chrono::system_clock::time_point not_before;
    std::chrono::system_clock::time_point not_after;
    std::shared_ptr<X509> certificate;
    std::shared_ptr<EVP_PKEY> key;
    std::shared_ptr<stack_st_X509> chain;  ///< what follows it in its file

    /// Whether a client that wants this server, given as is_server_name() says, would take the certificate.
    bool is_for(std::string_view name) const;
};

/// What came of reading a pair.
struct CertificateReading {
    std::shared_ptr<const CertificatePair> pair;  ///< null when it cannot be used
    std::string problem;                          ///< then, why
    std::string content;                          ///< a digest of what was read, to tell one state from another
};

/// Reads both files. Blocks.
CertificateReading read_certificate_pair(const CertificateFiles& files);

/// Whether this is a host's DNS name in ASCII, or "*." before one. An IP address is none.
bool is_server_name(std::string_view name);

}  // namespace popgate
