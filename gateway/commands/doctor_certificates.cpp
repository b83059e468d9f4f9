#include "gateway/commands/doctor_certificates.hpp"

#include "gateway/commands/doctor_files.hpp"
#include "gateway/config/files.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace popgate::commands {

namespace {

constexpr std::int64_t day = 24 * 3600;
constexpr std::int64_t days_to_renew = 21;
constexpr const char* certificate_check = "certificate";

template <auto Free>
struct FreeWith {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using File = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Cert = std::unique_ptr<X509, FreeWith<X509_free>>;
using Trust = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using TrustContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;

void free_names(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }  // what is in it belongs to somebody else

std::vector<Cert> read_chain(const std::string& path) {
    std::vector<Cert> chain;
    const File file(BIO_new_file(path.c_str(), "r"));
    while (file) {
        Cert next(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
        if (!next) break;
        chain.push_back(std::move(next));
    }
    ERR_clear_error();
    return chain;
}

/// Its common name, or the whole subject where there is none.
std::string common_name(const X509_NAME* name) {
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const auto* entry = at < 0 ? nullptr : X509_NAME_get_entry(name, at);
    const auto* text = entry ? X509_NAME_ENTRY_get_data(entry) : nullptr;
    unsigned char* octets = nullptr;
    if (const int size = text ? ASN1_STRING_to_UTF8(&octets, text) : -1; size >= 0) {
        std::string out(octets, octets + size);
        OPENSSL_free(octets);
        return out;
    }
    char line[256] = {};
    X509_NAME_oneline(name, line, sizeof line);
    return line;
}

std::string subject_of(const Cert& certificate) { return common_name(X509_get_subject_name(certificate.get())); }

std::int64_t seconds_of(const ASN1_TIME* time) {
    std::tm parts{};
    return ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

std::string names_in(const Cert& certificate) {
    const std::unique_ptr<GENERAL_NAMES, FreeWith<free_names>> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
    std::string all;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const auto* each = sk_GENERAL_NAME_value(names.get(), i);
        if (each->type != GEN_DNS) continue;
        const auto* octets = reinterpret_cast<const char*>(ASN1_STRING_get0_data(each->d.dNSName));
        all += (all.empty() ? "" : ", ") +
               std::string(octets, static_cast<std::size_t>(ASN1_STRING_length(each->d.dNSName)));
    }
    return all.empty() ? subject_of(certificate) : all;
}

bool has_signed(const Cert& issuer, const Cert& subject) {
    return X509_check_issued(issuer.get(), subject.get()) == X509_V_OK;
}

/// Whether this machine's authorities vouch for the first, with the help of the others.
bool is_trusted_here(const std::vector<Cert>& chain) {
    const Trust trust(X509_STORE_new());
    const TrustContext context(X509_STORE_CTX_new());
    const std::unique_ptr<STACK_OF(X509), FreeWith<free_stack>> others(sk_X509_new_null());
    for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others.get(), chain[i].get());
    X509_STORE_set_default_paths(trust.get());
    const bool good = X509_STORE_CTX_init(context.get(), trust.get(), chain.front().get(), others.get()) == 1 &&
                      X509_verify_cert(context.get()) == 1;
    ERR_clear_error();
    return good;
}

Finding judge_dates(const std::string& path, const std::vector<Cert>& chain, std::int64_t now) {
    const auto* first_to_end = &chain.front();
    for (const auto& each : chain) {
        const std::string whose = &each == &chain.front() ? "it" : "the certificate of " + subject_of(each) + " in it";
        const auto begin = seconds_of(X509_get0_notBefore(each.get()));
        const auto end = seconds_of(X509_get0_notAfter(each.get()));
        if (begin > now)
            return {certificate_check, path, Verdict::failure, whose + " is not valid before " + time_text(begin),
                    "Is this machine's clock right? Else wait, or install one that is valid."};
        if (end < now)
            return {certificate_check, path, Verdict::failure, whose + " has expired on " + time_text(end),
                    "Renew it: clients refuse it, or have their users click a warning away."};
        if (end < seconds_of(X509_get0_notAfter(first_to_end->get()))) first_to_end = &each;
    }
    const auto end = seconds_of(X509_get0_notAfter(first_to_end->get()));
    const auto left = (end - now) / day;
    const auto text = "valid until " + time_text(end) + ", " + std::to_string(left) + " days more";
    if (left < days_to_renew)
        return {certificate_check, path, Verdict::warning, text,
                "Renew it soon; if something does that by itself, it should have done so by now."};
    return {certificate_check, path, Verdict::ok, text};
}

Finding judge_chain(const std::string& path, const std::vector<Cert>& chain) {
    const auto warning = [&](std::string text, std::string advice) {
        return Finding{certificate_check, path, Verdict::warning, std::move(text), std::move(advice)};
    };
    for (std::size_t i = 1; i < chain.size(); ++i) {
        if (has_signed(chain[i], chain[i - 1])) continue;
        const bool is_elsewhere = std::ranges::any_of(
            chain, [&](const Cert& other) { return &other != &chain[i - 1] && has_signed(other, chain[i - 1]); });
        return warning("the certificate of " + subject_of(chain[i]) + " stands behind that of " +
                           subject_of(chain[i - 1]) + ", which it has not signed",
                       is_elsewhere ? "Put them in order: the server's own first, then each behind the one that it "
                                      "has signed."
                                    : "Take it out, and put the one that has signed there: " +
                                          common_name(X509_get_issuer_name(chain[i - 1].get())) + ".");
    }
    if (is_trusted_here(chain))
        return {certificate_check, path, Verdict::ok,
                "the chain is whole: " + std::to_string(chain.size()) +
                    " in the file, and an authority that this "
                    "machine trusts"};
    const auto& last = chain.back();
    if (has_signed(last, last))
        return warning(chain.size() == 1 ? "it is signed by itself"
                                         : "its authority, " + subject_of(last) + ", is not trusted by this machine",
                       "Clients must be told to trust it.");
    const auto authority = common_name(X509_get_issuer_name(last.get()));
    return warning("its authority, " + authority + ", is not in the file, and not trusted by this machine",
                   "If it is an intermediate one, append its certificate to the file (\"fullchain\"); if it is your "
                   "own, clients must be told to trust it.");
}

}  // namespace

std::vector<Finding> examine_certificate(const std::string& certificate, const std::string& key,
                                         const std::vector<std::string>& names, std::int64_t now) {
    std::vector<Finding> findings;
    const auto report = inspect_certificate(certificate, key);
    const auto chain = report.certificate.empty() ? read_chain(certificate) : std::vector<Cert>();
    if (chain.empty()) {
        findings.push_back({certificate_check, certificate, Verdict::failure, report.certificate,
                            "See certificate in [tls]: PEM, the server's own first, then the chain."});
    } else {
        findings.push_back(judge_dates(certificate, chain, now));
        findings.push_back(judge_chain(certificate, chain));
    }
    for (const auto& name : names) {
        if (chain.empty() || name.empty()) continue;
        const bool covered = X509_check_host(chain.front().get(), name.data(), name.size(), 0, nullptr) == 1;
        findings.push_back(
            {certificate_check, certificate, covered ? Verdict::ok : Verdict::failure,
             covered ? "covers " + name : "is for " + names_in(chain.front()) + ", not for " + name,
             covered ? "" : "Get one with that name in it: programs that go there will refuse this one."});
    }
    if (!report.key.empty())
        findings.push_back({certificate_check, key, Verdict::failure, report.key,
                            "See key in [tls]: PEM without a passphrase, and of this very certificate."});
    else
        findings.push_back(examine_secret_file(certificate_check, key, "the key fits the certificate"));
    return findings;
}

}  // namespace popgate::commands
