#pragma once

#include "gateway/accounts/secret.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace popgate {

/// Makes guessing slow without locking anybody out: the delay grows with the failures of one user from one address, and
/// of one address over all users; a user's logins from elsewhere are as fast as ever. IPv6 addresses count by their
/// /64. In memory, bounded; any thread may use it.
class LoginThrottle {
public:
    using Clock = std::chrono::steady_clock;

    struct Limits {
        std::chrono::milliseconds first{1000};  ///< after one failure; it doubles with each
        std::chrono::milliseconds longest{30'000};
        std::chrono::minutes memory{15};         ///< so long after the last failure all is forgotten
        std::chrono::seconds same_password{60};  ///< so long the same wrong password is not asked about again
        std::size_t entries = 50'000;            ///< the oldest go first
    };
    explicit LoginThrottle(Limits limits) : limits_(limits) {}

    /// When a refusal may be told to this client, now that it has failed so often.
    Clock::time_point answer_at(const std::string& user, const std::string& address, Clock::time_point asked) const;

    /// True where this very password has just been refused for this user: nobody needs to be asked again.
    bool is_known_wrong(const std::string& user, const Secret& password, Clock::time_point now) const;

    /// The same password twice in a row counts once: programs try it with one mechanism after another.
    void failed(const std::string& user, const std::string& address, const Secret& password, Clock::time_point now);
    void succeeded(const std::string& user, const std::string& address);

private:
    Limits limits_;
};

}  // namespace popgate
