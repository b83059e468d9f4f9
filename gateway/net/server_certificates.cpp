#include "gateway/net/server_certificates.hpp"

#include "backends/ascii.hpp"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace popgate {

/// What tells that a name leads to other content than before: also a symbolic link that was turned, or a file that was
/// renamed into its place.
struct ServerCertificates::Stamp {
    std::array<std::int64_t, 8> parts{};

    Stamp() = default;
    explicit Stamp(const std::string& path) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) {
            parts[0] = errno;
            return;
        }
        parts = {0,
                 static_cast<std::int64_t>(status.st_dev),
                 static_cast<std::int64_t>(status.st_ino),
                 status.st_size,
                 status.st_mtim.tv_sec,
                 status.st_mtim.tv_nsec,
                 status.st_ctim.tv_sec,
                 status.st_ctim.tv_nsec};
    }
    bool operator==(const Stamp&) const = default;
};

struct ServerCertificates::Watched {
    CertificateFiles files;
    Stamp certificate{};
    Stamp key{};
    std::string content{};  ///< digest of what is in use
    std::string broken{};   ///< digest of what could not be used at the last look
    std::string told{};     ///< digest of what a problem was reported of
    std::string problem{};  ///< as it was reported
};

namespace {

/// Each type of key once: the first counts.
void add_pair(ServerCertificates::Pairs& pairs, const std::shared_ptr<const CertificatePair>& pair) {
    const auto is_of_type = [&](const auto& other) { return other->key_type == pair->key_type; };
    if (std::ranges::none_of(pairs, is_of_type)) pairs.push_back(pair);
}

}  // namespace

ServerCertificates::Set::Set(Pairs all) : pairs(std::move(all)) {
    for (const auto& pair : pairs)
        for (const auto& name : pair->names) add_pair(by_name[name], pair);
    standard = {pairs.front()};
    if (pairs.front()->names.empty()) return;
    // Another type of key for the same name, for clients that want the default.
    for (const auto& pair : by_name[pairs.front()->names.front()]) add_pair(standard, pair);
}

ServerCertificates::ServerCertificates(std::vector<Watched> watched, Pairs pairs)
    : watched_(std::move(watched)), set_(std::make_shared<const Set>(std::move(pairs))) {}

ServerCertificates::~ServerCertificates() = default;

Result<std::shared_ptr<ServerCertificates>> ServerCertificates::load(std::vector<CertificateFiles> files) {
    if (files.empty()) return Error{Errc::permanent, "TLS needs a certificate", {}};
    std::vector<Watched> watched;
    Pairs pairs;
    for (auto& each : files) {
        // Before it is read: whatever changes meanwhile is seen at the next look.
        Watched one{.files = std::move(each)};
        one.certificate = Stamp(one.files.certificate);
        one.key = Stamp(one.files.key);
        auto reading = read_certificate_pair(one.files);
        if (!reading.pair) return Error{Errc::permanent, std::move(reading.problem), {}};
        one.content = std::move(reading.content);
        watched.push_back(std::move(one));
        pairs.push_back(std::move(reading.pair));
    }
    return std::shared_ptr<ServerCertificates>(new ServerCertificates(std::move(watched), std::move(pairs)));
}

bool ServerCertificates::look_at(Watched& watched, std::shared_ptr<const CertificatePair>& pair) {
    const Stamp certificate(watched.files.certificate);
    const Stamp key(watched.files.key);
    if (watched.broken.empty() && certificate == watched.certificate && key == watched.key) return false;
    watched.certificate = certificate;
    watched.key = key;
    auto reading = read_certificate_pair(watched.files);
    if (!reading.pair) {
        const bool is_still = reading.content == watched.broken;
        watched.broken = std::move(reading.content);
        if (!is_still || watched.told == watched.broken) return false;
        watched.told = watched.broken;
        watched.problem = std::move(reading.problem);
        return true;
    }
    const bool had_problem = !watched.problem.empty();
    const bool is_new = reading.content != watched.content;
    watched.broken.clear();
    watched.told.clear();
    watched.problem.clear();
    watched.content = std::move(reading.content);
    if (is_new) pair = std::move(reading.pair);
    return is_new || had_problem;
}

std::vector<ServerCertificates::Change> ServerCertificates::refresh() {
    const std::scoped_lock lock(refreshing_);
    Pairs pairs = current()->pairs;
    std::vector<Change> changes;
    std::vector<Change> problems;
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        auto& watched = watched_[i];
        if (look_at(watched, pairs[i])) changes.push_back({watched.files.certificate, watched.problem});
        if (!watched.problem.empty()) problems.push_back({watched.files.certificate, watched.problem});
    }
    if (changes.empty()) return changes;
    auto set = std::make_shared<const Set>(std::move(pairs));
    const std::scoped_lock moment(mutex_);
    set_ = std::move(set);
    problems_ = std::move(problems);
    return changes;
}

void ServerCertificates::replace_with(ServerCertificates& others) {
    const std::scoped_lock lock(refreshing_);
    watched_ = std::move(others.watched_);
    const std::scoped_lock moment(mutex_);
    set_ = others.current();
    problems_.clear();
}

std::shared_ptr<const ServerCertificates::Set> ServerCertificates::current() const {
    const std::scoped_lock lock(mutex_);
    return set_;
}

std::shared_ptr<const ServerCertificates::Pairs> ServerCertificates::choose(std::string_view server) const {
    const auto set = current();
    const auto found = [&](const Pairs& pairs) { return std::shared_ptr<const Pairs>(set, &pairs); };
    if (server.ends_with('.')) server.remove_suffix(1);
    // Nothing is kept of what clients ask for: they may ask for anything, for ever.
    if (server.starts_with('*') || !is_server_name(server)) return found(set->standard);
    const auto name = in_lower_case(server);
    if (const auto exact = set->by_name.find(name); exact != set->by_name.end()) return found(exact->second);
    if (const auto dot = name.find('.'); dot != std::string::npos) {
        const auto wildcard = set->by_name.find("*" + name.substr(dot));
        if (wildcard != set->by_name.end()) return found(wildcard->second);
    }
    return found(set->standard);
}

bool ServerCertificates::use_for(SSL* ssl) const {
    const char* const server = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const auto pairs = choose(server ? server : "");
    SSL_certs_clear(ssl);
    return std::ranges::all_of(*pairs, [&](const auto& pair) {
        return SSL_use_cert_and_key(ssl, pair->certificate.get(), pair->key.get(), pair->chain.get(), 1) == 1;
    });
}

std::vector<ServerCertificates::Expiry> ServerCertificates::expiries() const {
    std::vector<Expiry> expiries;
    for (const auto& pair : current()->pairs)
        expiries.push_back({pair->names.empty() ? pair->file : pair->names.front(), pair->not_after});
    return expiries;
}

std::vector<ServerCertificates::Change> ServerCertificates::problems() const {
    const std::scoped_lock lock(mutex_);
    return problems_;
}

}  // namespace popgate
