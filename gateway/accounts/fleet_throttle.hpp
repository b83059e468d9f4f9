#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/login_delays.hpp"
#include "gateway/accounts/login_throttle.hpp"
#include "gateway/config/config.hpp"

#include <chrono>
#include <string>

namespace popgate {

class Fiber;
class SharedThrottles;

/// What LoginThrottle and LoginDelays count in this process, counted by all nodes together where the state store is
/// shared: then whoever guesses is as slow at many nodes as at one. Shared by all threads; calls may suspend.
/// Errc::temporary: the store is away, and the configuration refuses logins then; else this node counts alone.
class FleetThrottle {
public:
    /// `shared` is null where this process is alone.
    FleetThrottle(SharedThrottles* shared, WithoutThrottles when_away) : shared_(shared), when_away_(when_away) {}

    /// What the nodes know of a user who comes from this address.
    struct Record {
        std::chrono::milliseconds wait{};  ///< until his next password is looked at
        bool has_failed = false;
    };
    Result<Record> look(Fiber& fiber, const std::string& user, const std::string& address);

    /// A failure that counts (LoginThrottle::Refusal::counted). How long the refusal waits.
    std::chrono::milliseconds failed(Fiber& fiber, const std::string& user, const std::string& address,
                                     const LoginThrottle& throttle);
    /// After look().
    void succeeded(Fiber& fiber, const std::string& user, const std::string& address, const Record& record);

    /// As LoginDelays::admit().
    Result<bool> admit(Fiber& fiber, const std::string& user, const LoginDelays::Rule& rule);
    void give_back(Fiber& fiber, const std::string& user, const LoginDelays::Rule& rule);

private:
    Status judged(const Status& status) const;

    SharedThrottles* shared_;
    WithoutThrottles when_away_;
};

}  // namespace popgate
