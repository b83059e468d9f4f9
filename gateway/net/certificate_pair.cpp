#include "gateway/net/certificate_pair.hpp"

#include "backends/ascii.hpp"
#include "gateway/net/tls.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace popgate {

namespace {

constexpr std::size_t longest_pem = 1024 * 1024;

/// A file's octets, wiped at the end: it may hold a key.
struct PemText {
    std::string octets;
    std::string problem;
    PemText() = default;
    PemText(const PemText&) = delete;
    PemText& operator=(const PemText&) = delete;
    ~PemText() { OPENSSL_cleanse(octets.data(), octets.size()); }
};

bool is_same(const struct stat& a, const struct stat& b) {
    return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

void read_pem(const std::string& path, PemText& text) {
    const auto fail = [&](const std::string& why) { text.problem = path + " cannot be read: " + why; };
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return fail(std::generic_category().message(errno));
    const std::unique_ptr<const int, void (*)(const int*)> closer(&file, [](const int* open) { ::close(*open); });
    struct stat before {};
    struct stat after {};
    if (::fstat(file, &before) != 0) return fail(std::generic_category().message(errno));
    if (!S_ISREG(before.st_mode)) return fail("it is no regular file");
    const auto size = static_cast<std::size_t>(before.st_size);
    if (size > longest_pem) return fail("it is longer than 1 MiB");
    text.octets.resize(size);
    for (std::size_t done = 0; done < size;) {
        const auto count = ::read(file, text.octets.data() + done, size - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(std::generic_category().message(errno));
        if (count == 0) return fail("it became shorter meanwhile");
        done += static_cast<std::size_t>(count);
    }
    if (::fstat(file, &after) != 0 || !is_same(before, after)) fail("it was written meanwhile");
}

std::shared_ptr<BIO> bio_over(const std::string& octets) {
    return {BIO_new_mem_buf(octets.data(), static_cast<int>(octets.size())), BIO_free};
}

int refuse_passphrase(char*, int, int, void*) { return -1; }

std::string pem_reason() {
    const std::string reason = take_openssl_error();
    return reason.empty() ? "" : ": " + reason;
}

/// The chain as a whole: a file that ends in the middle of a certificate is none.
std::string read_chain(const std::string& octets, CertificatePair& pair) {
    const auto bio = bio_over(octets);
    pair.certificate.reset(PEM_read_bio_X509_AUX(bio.get(), nullptr, refuse_passphrase, nullptr), X509_free);
    if (!pair.certificate) return "holds no certificate that can be used" + pem_reason();
    pair.chain.reset(sk_X509_new_null(), [](STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); });
    while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, refuse_passphrase, nullptr))
        sk_X509_push(pair.chain.get(), next);
    const unsigned long end = ERR_peek_last_error();
    if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
        return "holds a broken certificate after the first" + pem_reason();
    ERR_clear_error();
    return {};
}

/// What a listener would say of it, the security level included.
std::string why_refused(const CertificatePair& pair) {
    const std::shared_ptr<SSL_CTX> scratch(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    if (scratch &&
        SSL_CTX_use_cert_and_key(scratch.get(), pair.certificate.get(), pair.key.get(), pair.chain.get(), 1) == 1)
        return {};
    const std::string reason = take_openssl_error();
    return reason.empty() ? "OpenSSL does not start" : reason;
}

std::string text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

void add_name(std::vector<std::string>& names, std::string_view text) {
    if (!is_server_name(text)) return;
    auto name = in_lower_case(text);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
}

std::vector<std::string> names_in(X509* certificate) {
    std::vector<std::string> names;
    bool has_dns_names = false;
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> alternatives(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(alternatives.get(), i);
        if (name->type != GEN_DNS) continue;
        has_dns_names = true;
        add_name(names, text_of(name->d.dNSName));
    }
    // RFC 6125 §6.4.4: the common name counts where no DNS name is.
    const auto* subject = X509_get_subject_name(certificate);
    for (int at = -1; !has_dns_names && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        add_name(names, text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    return names;
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string pair_problem(const CertificateFiles& files, const PemText& certificate, const PemText& key,
                         CertificatePair& pair) {
    if (!certificate.problem.empty()) return certificate.problem;
    if (!key.problem.empty()) return key.problem;
    if (const auto problem = read_chain(certificate.octets, pair); !problem.empty())
        return files.certificate + " " + problem;
    pair.key.reset(PEM_read_bio_PrivateKey(bio_over(key.octets).get(), nullptr, refuse_passphrase, nullptr),
                   EVP_PKEY_free);
    if (!pair.key) {
        ERR_clear_error();
        return files.key + " holds no PEM private key that opens without a passphrase";
    }
    if (X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
        ERR_clear_error();
        return files.key + " does not belong to the certificate " + files.certificate;
    }
    if (const auto why = why_refused(pair); !why.empty()) return files.certificate + " cannot be used: " + why;
    return {};
}

std::string digest_of(const PemText& certificate, const PemText& key) {
    const std::shared_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
    for (const PemText* part : {&certificate, &key}) {
        for (const std::string* text : {&part->octets, &part->problem}) {
            const std::string heading = std::to_string(text->size()) + ' ';  // where one part ends and the next begins
            EVP_DigestUpdate(context.get(), heading.data(), heading.size());
            EVP_DigestUpdate(context.get(), text->data(), text->size());
        }
    }
    EVP_DigestFinal_ex(context.get(), digest.data(), &size);
    return {digest.begin(), digest.begin() + size};
}

}  // namespace

bool CertificatePair::is_for(std::string_view name) const {
    if (!name.starts_with('*'))
        return X509_check_host(certificate.get(), name.data(), name.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                               nullptr) == 1;
    return std::ranges::count(names_in(certificate.get()), in_lower_case(name)) > 0;
}

CertificateReading read_certificate_pair(const CertificateFiles& files) {
    ERR_clear_error();
    PemText certificate;
    PemText key;
    read_pem(files.certificate, certificate);
    read_pem(files.key, key);
    CertificateReading reading;
    reading.content = digest_of(certificate, key);
    auto pair = std::make_shared<CertificatePair>();
    reading.problem = pair_problem(files, certificate, key, *pair);
    if (!reading.problem.empty()) return reading;
    pair->file = files.certificate;
    for (const auto& name : words_of(files.names)) add_name(pair->names, name);
    if (pair->names.empty()) pair->names = names_in(pair->certificate.get());
    pair->key_type = EVP_PKEY_get0_type_name(pair->key.get());
    pair->not_before = time_of(X509_get0_notBefore(pair->certificate.get()));
    pair->not_after = time_of(X509_get0_notAfter(pair->certificate.get()));
    reading.pair = std::move(pair);
    return reading;
}

bool is_server_name(std::string_view name) {
    if (name.size() > 253) return false;  // RFC 1035 §2.3.4, as text
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.empty()) return false;
    while (true) {
        const auto label = name.substr(0, name.find('.'));
        const auto is_allowed = [](unsigned char c) {
            return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_');
        };
        if (label.empty() || label.size() > 63 || !std::ranges::all_of(label, is_allowed)) return false;
        if (label.size() == name.size())  // the last, whose letters tell it from an IP address
            return !std::ranges::all_of(label, [](unsigned char c) { return std::isdigit(c) != 0; });
        name.remove_prefix(label.size() + 1);
    }
}

}  // namespace popgate
