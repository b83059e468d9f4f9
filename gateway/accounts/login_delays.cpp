#include "gateway/accounts/login_delays.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace popgate {

namespace {

bool comes_too_soon(LoginDelays::Clock::time_point paid_until, const LoginDelays::Rule& rule,
                    LoginDelays::Clock::time_point now) {
    return now + rule.delay * (rule.burst - 1) < paid_until;
}

}  // namespace

LoginDelays::LoginDelays(std::size_t most_accounts) : most_accounts_(most_accounts) {
    if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) throw std::runtime_error("no random numbers");
}

LoginDelays::Digest LoginDelays::digest_of(const std::string& user, const Secret& secret) const {
    auto text = user + '\0' + secret.reveal();
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

const LoginDelays::Account* LoginDelays::find(const std::string& user) const {
    const auto found = by_user_.find(user);
    return found == by_user_.end() ? nullptr : &*found->second;
}

bool LoginDelays::is_known_too_soon(const std::string& user, const Secret& secret, const Rule& rule,
                                    Clock::time_point now) const {
    if (rule.delay == rule.delay.zero() || secret.reveal().empty()) return false;
    const auto digest = digest_of(user, secret);
    const std::lock_guard guard(mutex_);
    const auto* account = find(user);
    return account && account->secret == digest && comes_too_soon(account->paid_until, rule, now);
}

bool LoginDelays::admit(const std::string& user, const Secret& secret, const Rule& rule, Clock::time_point now) {
    if (rule.delay == rule.delay.zero()) return true;
    const auto digest = digest_of(user, secret);
    const std::lock_guard guard(mutex_);
    if (const auto found = by_user_.find(user); found != by_user_.end()) {
        accounts_.splice(accounts_.end(), accounts_, found->second);
    } else {
        if (accounts_.size() >= most_accounts_) {
            by_user_.erase(accounts_.front().user);
            accounts_.pop_front();
        }
        accounts_.push_back({user});
        by_user_.emplace(accounts_.back().user, std::prev(accounts_.end()));
    }
    auto& account = accounts_.back();
    account.secret = digest;
    if (comes_too_soon(account.paid_until, rule, now)) return false;
    account.paid_until = std::max(account.paid_until, now) + rule.delay;
    return true;
}

}  // namespace popgate
