#pragma once

#include "gateway/accounts/secret.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace popgate {

/// Makes guessing slow without locking anybody out: what a refusal waits for grows with the failures of one user from
/// one network, and of one network over all users, see client_network(). A user's logins from elsewhere are as fast as
/// ever. In memory, bounded; any thread may use it.
class LoginThrottle {
public:
    using Clock = std::chrono::steady_clock;

    struct Limits {
        std::chrono::milliseconds first{1000};  ///< how soon a first refusal is told; it doubles with each failure
        std::chrono::milliseconds longest{30'000};
        unsigned strangers = 10;                 ///< failures of one network over all users that cost nothing more
        std::chrono::minutes memory{15};         ///< so long after the last failure all is forgotten
        std::chrono::seconds same_password{60};  ///< so long the same wrong password is not asked about again
        std::size_t entries = 50'000;            ///< of each kind; the oldest go first
    };
    explicit LoginThrottle(Limits limits);

    /// Limits::longest from now on.
    void set_longest(std::chrono::milliseconds longest);

    /// Not before then is this user's next password looked at: a refusal of before is still to be told, and whoever
    /// opens many connections would learn more at once. At most `longest` after `now`.
    Clock::time_point check_at(const std::string& user, const std::string& address, Clock::time_point now) const;

    /// True where this very password has just been refused for this user: nobody needs to be asked again.
    bool is_known_wrong(const std::string& user, const Secret& password, Clock::time_point now) const;

    /// When this failure may be told. The same password again counts once: programs try it with one mechanism after
    /// another.
    struct Refusal {
        Clock::time_point told_at;
        bool counted;  ///< false for such a repetition
    };
    Refusal failed(const std::string& user, const std::string& address, const Secret& password, Clock::time_point now);

    /// What this user has failed from there is forgotten.
    void succeeded(const std::string& user, const std::string& address);

    /// The wait after so many failures of a user, and of his network over all users.
    std::chrono::milliseconds delay_after(unsigned own, unsigned all) const;
    std::chrono::milliseconds memory() const { return limits_.memory; }
    /// The client_network() of an address, as text; what is no address stays as it is.
    static std::string network_of(const std::string& address);

private:
    using Digest = std::array<unsigned char, 16>;
    struct Failures {
        unsigned count = 0;
        Clock::time_point last{};
        Clock::time_point told_at{};
        Digest password{};  // the last one
    };
    /// The least recently used go first.
    struct Table {
        struct Entry {
            std::string key;
            Failures failures;
        };
        std::list<Entry> entries;
        std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key;
    };

    Digest digest_of(const std::string& user, const Secret& password) const;
    std::chrono::milliseconds delay_after(unsigned failures) const;
    std::chrono::milliseconds delay_of(unsigned own, unsigned all) const;
    const Failures* find(const std::string& key, Clock::time_point now) const;
    Failures& touch(const std::string& key, Clock::time_point now);
    void erase(const std::string& key);

    Limits limits_;                        // the longest under the mutex
    std::array<unsigned char, 32> key_{};  // of this process, so that a memory dump tells no more than a guess would
    mutable std::mutex mutex_;
    Table failures_;
    /// Refused passwords, the oldest first.
    struct Refused {
        Digest digest;
        Clock::time_point until;
    };
    struct Hash {
        std::size_t operator()(const Digest& digest) const;
    };
    std::list<Refused> refused_;
    std::unordered_map<Digest, Clock::time_point, Hash> refused_until_;
};

}  // namespace popgate
