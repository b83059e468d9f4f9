#pragma once

#include "gateway/accounts/secret.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace popgate {

/// How often an account may log in (LOGIN-DELAY, RFC 2449 §6.5): every `delay` on average, and a few times in a row.
/// In memory, bounded; any thread may use it. Names are taken in any case of their letters.
class LoginDelays {
public:
    using Clock = std::chrono::steady_clock;

    struct Rule {
        std::chrono::milliseconds delay{};  ///< zero: any number
        std::uint32_t burst = 1;            ///< logins that may follow one another at once; 1 or more
    };

    explicit LoginDelays(std::size_t most_accounts = 50'000) : most_accounts_(most_accounts) {}

    /// Whether this login comes too soon and is by the same secret as the last one that was let in, so that it can be
    /// refused without asking anybody, and tells a stranger nothing.
    bool is_known_too_soon(const std::string& user, const Secret& secret, const Rule& rule,
                           Clock::time_point now) const;

    /// A login that was proved. False where it comes too soon; it does not count then.
    bool admit(const std::string& user, const Secret& secret, const Rule& rule, Clock::time_point now);

    /// A login that was admitted has come to nothing by no fault of its client.
    void give_back(const std::string& user, const Rule& rule);

private:
    struct Account {
        std::string user;
        Clock::time_point paid_until{};  // each login costs a delay
        std::string secret{};  // its keyed_hash()
    };
    const Account* find(const std::string& user) const;

    std::size_t most_accounts_;
    mutable std::mutex mutex_;
    std::list<Account> accounts_;  // the least recently used first
    std::unordered_map<std::string_view, std::list<Account>::iterator> by_user_;
};

}  // namespace popgate
