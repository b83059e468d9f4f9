#include "gateway/accounts/login_delays.hpp"

#include "backends/ascii.hpp"
#include "gateway/accounts/keyed_hash.hpp"

#include <algorithm>
#include <iterator>

namespace popgate {

namespace {

bool comes_too_soon(LoginDelays::Clock::time_point paid_until, const LoginDelays::Rule& rule,
                    LoginDelays::Clock::time_point now) {
    return now + rule.delay * (rule.burst - 1) < paid_until;
}

}  // namespace

const LoginDelays::Account* LoginDelays::find(const std::string& user) const {
    const auto found = by_user_.find(user);
    return found == by_user_.end() ? nullptr : &*found->second;
}

bool LoginDelays::is_known_too_soon(const std::string& name, const Secret& secret, const Rule& rule,
                                    Clock::time_point now) const {
    if (rule.delay == rule.delay.zero() || secret.reveal().empty()) return false;
    const auto user = in_lower_case(name);
    const auto digest = keyed_hash(user, secret);
    const std::lock_guard guard(mutex_);
    const auto* account = find(user);
    return account && account->secret == digest && comes_too_soon(account->paid_until, rule, now);
}

bool LoginDelays::admit(const std::string& name, const Secret& secret, const Rule& rule, Clock::time_point now) {
    if (rule.delay == rule.delay.zero()) return true;
    const auto user = in_lower_case(name);
    const auto digest = keyed_hash(user, secret);
    const std::lock_guard guard(mutex_);
    if (const auto found = by_user_.find(user); found != by_user_.end()) {
        accounts_.splice(accounts_.end(), accounts_, found->second);
    } else {
        if (accounts_.size() >= most_accounts_) {
            by_user_.erase(accounts_.front().user);
            accounts_.pop_front();
        }
        accounts_.push_back({user, {}, {}});
        by_user_.emplace(accounts_.back().user, std::prev(accounts_.end()));
    }
    auto& account = accounts_.back();
    account.secret = digest;
    if (comes_too_soon(account.paid_until, rule, now)) return false;
    account.paid_until = std::max(account.paid_until, now) + rule.delay;
    return true;
}

void LoginDelays::give_back(const std::string& name, const Rule& rule) {
    const auto user = in_lower_case(name);
    const std::lock_guard guard(mutex_);
    if (const auto found = by_user_.find(user); found != by_user_.end()) found->second->paid_until -= rule.delay;
}

}  // namespace popgate
