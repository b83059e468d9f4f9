#include "gateway/config/check_certificates.hpp"

#include "backends/ascii.hpp"
#include "gateway/accounts/secret_file.hpp"
#include "gateway/config/files.hpp"
#include "gateway/config/names.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace popgate {

namespace {

class CertificateChecker {
public:
    explicit CertificateChecker(const Config& config) : config_(config) {}

    std::vector<ConfigProblem> check() {
        check_default();
        for (std::size_t i = 0; i < config_.certificates.size(); ++i)
            check_listed(config_.certificates[i], "certificate[" + std::to_string(i) + ']', i);
        return std::move(problems_);
    }

private:
    void check_default() {
        const TlsConfig& tls = config_.tls;
        if (!tls.certificate.empty() && !tls.key.empty()) return check_files({tls.certificate, tls.key}, "tls");
        const auto& listeners = config_.listeners;
        const auto needs_tls =
            std::ranges::find_if(listeners, [](const ListenConfig& listen) { return listen.tls != TlsMode::none; });
        if (config_.certificates.empty() && needs_tls != listeners.end())
            error("listen[" + std::to_string(needs_tls - listeners.begin()) + "].tls",
                  "TLS needs a certificate and its key (certificate and key in [tls])");
        else if (!tls.certificate.empty())
            error("tls.key", "is missing: certificate goes with a key");
        else if (!tls.key.empty())
            error("tls.certificate", "is missing: key goes with a certificate");
    }

    void check_listed(const CertificateFiles& files, const std::string& path, std::size_t index) {
        if (files.certificate.empty())
            error(path + ".certificate", "is missing, as \"/etc/popgate/tls/fullchain.pem\"");
        if (files.key.empty()) error(path + ".key", "is missing, as \"/etc/popgate/tls/privkey.pem\"");
        for (const auto& name : words_of(files.names))
            if (!is_server_name(name))
                error(path + ".names",
                      in_quotes(name) + " is no host name, as \"mail.example.com\" or \"*.example.com\"");
        if (files.certificate.empty() || files.key.empty()) return;
        check_files(files, path);
        if (pair_ && pair_->names.empty() && (index > 0 || !config_.tls.certificate.empty()))
            error(path + ".names", "is missing, and the certificate holds no DNS name");
    }

    void check_files(CertificateFiles files, const std::string& path) {
        pair_ = nullptr;
        files.key = secret_path(files.key);
        if (files.key.empty())
            return error(path + ".key", "is no credential that systemd has given ($CREDENTIALS_DIRECTORY)");
        const CertificateReport report = inspect_certificate(files.certificate, files.key);
        if (!report.certificate.empty()) error(path + ".certificate", report.certificate);
        if (!report.date.empty()) warning(path + ".certificate", report.date);
        if (!report.key.empty()) error(path + ".key", report.key);
        if (is_readable_by_all(files.key))
            warning(path + ".key", files.key + " can be read by everybody on this machine");
        if (!report.certificate.empty() || !report.key.empty()) return;
        const auto reading = read_certificate_pair(files);
        if (!reading.pair) return error(path + ".certificate", reading.problem);
        pair_ = reading.pair;
        check_names(words_of(files.names), path);
    }

    void check_names(const std::vector<std::string>& written, const std::string& path) {
        for (const auto& name : written)
            if (is_server_name(name) && !pair_->is_for(name))
                warning(path + ".names", "the certificate is not for " + in_quotes(name) + ": clients will refuse it");
        for (const auto& name : pair_->names) {
            if (std::ranges::count(written, name, in_lower_case) > 1)
                warning(path + ".names", in_quotes(name) + " is here twice");
            const auto [first, is_new] = taken_.try_emplace({name, pair_->key_type}, path);
            if (!is_new)
                warning(path + ".names", "is never shown to clients that want " + in_quotes(name) + ": " +
                                             first->second + " is, with a key of the same type");
        }
    }

    void error(std::string key, std::string text) {
        problems_.push_back({{}, 0, std::move(key), std::move(text), false});
    }
    void warning(std::string key, std::string text) {
        problems_.push_back({{}, 0, std::move(key), std::move(text), true});
    }

    const Config& config_;
    std::shared_ptr<const CertificatePair> pair_;                       ///< the one being judged, if it can be used
    std::map<std::pair<std::string, std::string>, std::string> taken_;  ///< name and type of key: by which section
    std::vector<ConfigProblem> problems_;
};

}  // namespace

std::vector<ConfigProblem> check_certificates(const Config& config) { return CertificateChecker(config).check(); }

}  // namespace popgate
