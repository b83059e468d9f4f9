#include "gateway/net/resumable_sessions.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <ctime>

namespace popgate {

namespace {

constexpr std::size_t most_of_a_host = 8;
constexpr std::size_t most_hosts = 256;     // auth_url may name any
constexpr std::time_t longest_life = 3600;  // seconds

std::time_t made_at(const SSL_SESSION* session) {
#if OPENSSL_VERSION_PREREQ(3, 3)
    return SSL_SESSION_get_time_ex(session);
#else
    return SSL_SESSION_get_time(session);
#endif
}

bool is_good(SSL_SESSION* session) {
    const auto age = std::time(nullptr) - made_at(session);
    const X509* certificate = SSL_SESSION_get0_peer(session);
    return SSL_SESSION_is_resumable(session) == 1 && age >= 0 &&
           age < std::min<std::time_t>(longest_life, SSL_SESSION_get_timeout(session)) && certificate &&
           X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

}  // namespace

void SslSessionFree::operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }

SslSession ResumableSessions::take(const std::string& host) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(host);
    if (found == sessions_.end()) return nullptr;
    auto& kept = found->second;
    while (!kept.empty()) {
        auto last = std::move(kept.back());
        kept.pop_back();
        if (!is_good(last.get())) continue;
        // Before TLS 1.3 one may be used as often as it is good, and its server gives no other one meanwhile.
        if (SSL_SESSION_get_protocol_version(last.get()) < TLS1_3_VERSION) {
            SSL_SESSION_up_ref(last.get());
            kept.emplace_back(last.get());
        }
        return last;
    }
    sessions_.erase(found);
    return nullptr;
}

void ResumableSessions::keep(const std::string& host, SslSession session) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= most_hosts && !sessions_.contains(host)) sessions_.clear();
    auto& kept = sessions_[host];
    if (kept.size() >= most_of_a_host) kept.erase(kept.begin());
    kept.push_back(std::move(session));
}

}  // namespace popgate
