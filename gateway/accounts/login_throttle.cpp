#include "gateway/accounts/login_throttle.hpp"

#include "backends/ascii.hpp"
#include "gateway/net/client_network.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace popgate {

namespace {

// No address holds a NUL, and no user name does either.
std::string key_of(const std::string& user, const std::string& network) { return in_lower_case(user) + '\0' + network; }

}  // namespace

LoginThrottle::LoginThrottle(Limits limits) : limits_(limits) {
    if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) throw std::runtime_error("no random numbers");
}

std::string LoginThrottle::network_of(const std::string& address) {
    boost::system::error_code error;
    const auto parsed = boost::asio::ip::make_address(address, error);
    return error ? address : client_network(parsed).to_string();
}

void LoginThrottle::set_longest(std::chrono::milliseconds longest) {
    const std::lock_guard guard(mutex_);
    limits_.longest = std::max(longest, limits_.first);
}

std::size_t LoginThrottle::Hash::operator()(const Digest& digest) const {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
}

LoginThrottle::Digest LoginThrottle::digest_of(const std::string& user, const Secret& password) const {
    auto text = user + '\0' + password.reveal();
    std::array<unsigned char, EVP_MAX_MD_SIZE> code{};
    unsigned length = 0;
    const auto* made = HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
                            reinterpret_cast<const unsigned char*>(text.data()), text.size(), code.data(), &length);
    Secret::wipe(text);
    if (!made) throw std::runtime_error("HMAC-SHA-256 is not to be had");
    Digest digest{};
    std::copy_n(code.begin(), digest.size(), digest.begin());
    return digest;
}

std::chrono::milliseconds LoginThrottle::delay_after(unsigned failures) const {
    auto delay = limits_.first;
    for (unsigned i = 1; i < failures && delay < limits_.longest; ++i) delay *= 2;
    return std::min(delay, limits_.longest);
}

std::chrono::milliseconds LoginThrottle::delay_of(unsigned own, unsigned all) const {
    const auto delay = delay_after(own);
    return all > limits_.strangers ? std::max(delay, delay_after(all - limits_.strangers)) : delay;
}

std::chrono::milliseconds LoginThrottle::delay_after(unsigned own, unsigned all) const {
    const std::lock_guard lock(mutex_);
    return delay_of(own, all);
}

const LoginThrottle::Failures* LoginThrottle::find(const std::string& key, Clock::time_point now) const {
    const auto found = failures_.by_key.find(key);
    if (found == failures_.by_key.end() || found->second->failures.last + limits_.memory < now) return nullptr;
    return &found->second->failures;
}

LoginThrottle::Failures& LoginThrottle::touch(const std::string& key, Clock::time_point now) {
    auto& [entries, by_key] = failures_;
    if (const auto found = by_key.find(key); found != by_key.end()) {
        entries.splice(entries.end(), entries, found->second);
        auto& failures = entries.back().failures;
        if (failures.last + limits_.memory < now) failures = {};
        return failures;
    }
    // In the order of their last failures.
    while (!entries.empty() &&
           (entries.front().failures.last + limits_.memory < now || entries.size() >= limits_.entries))
        erase(std::string(entries.front().key));
    entries.push_back({key, {}});
    by_key.emplace(entries.back().key, std::prev(entries.end()));
    return entries.back().failures;
}

void LoginThrottle::erase(const std::string& key) {
    const auto found = failures_.by_key.find(key);
    if (found == failures_.by_key.end()) return;
    const auto entry = found->second;
    failures_.by_key.erase(found);  // its key lies in the entry
    failures_.entries.erase(entry);
}

LoginThrottle::Clock::time_point LoginThrottle::check_at(const std::string& user, const std::string& address,
                                                         Clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    const auto* failures = find(key_of(user, network_of(address)), now);
    return failures ? std::clamp(failures->told_at, now, now + limits_.longest) : now;
}

bool LoginThrottle::is_known_wrong(const std::string& user, const Secret& password, Clock::time_point now) const {
    const auto digest = digest_of(user, password);
    const std::lock_guard lock(mutex_);
    const auto found = refused_until_.find(digest);
    return found != refused_until_.end() && now < found->second;
}

LoginThrottle::Refusal LoginThrottle::failed(const std::string& user, const std::string& address,
                                             const Secret& password, Clock::time_point now) {
    const auto digest = digest_of(user, password);
    const auto network = network_of(address);
    const std::lock_guard lock(mutex_);
    while (!refused_.empty() && (refused_.front().until < now || refused_.size() >= limits_.entries)) {
        refused_until_.erase(refused_.front().digest);
        refused_.pop_front();
    }
    if (refused_until_.emplace(digest, now + limits_.same_password).second)
        refused_.push_back({digest, now + limits_.same_password});

    auto& own = touch(key_of(user, network), now);
    const bool is_repetition = own.count > 0 && own.password == digest;
    own.password = digest;
    own.last = now;
    if (!is_repetition) ++own.count;
    const auto own_count = own.count;

    auto& all = touch(key_of({}, network), now);
    all.last = now;
    if (!is_repetition) ++all.count;
    const auto told_at = now + delay_of(own_count, all.count);
    if (const auto found = failures_.by_key.find(key_of(user, network)); found != failures_.by_key.end())
        found->second->failures.told_at = std::max(found->second->failures.told_at, told_at);
    return {told_at, !is_repetition};
}

void LoginThrottle::succeeded(const std::string& user, const std::string& address) {
    const std::lock_guard lock(mutex_);
    erase(key_of(user, network_of(address)));
}

}  // namespace popgate
