#include "gateway/accounts/fleet_throttle.hpp"

#include "backends/ascii.hpp"
#include "gateway/state/state_store.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace popgate {

namespace {

// What people type as a user name may be long, and is now and then a password.
std::string name_of(const std::string& kind, const std::string& user, const std::string& network) {
    const auto text = kind + '\0' + in_lower_case(user) + '\0' + network;
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    std::string name;
    for (std::size_t i = 0; i < 16; ++i)
        for (const auto digit : {digest[i] >> 4, digest[i] & 15}) name += "0123456789abcdef"[digit];
    return name;
}

std::string own_name(const std::string& user, const std::string& address) {
    return name_of("login", user, LoginThrottle::network_of(address));
}

}  // namespace

Status FleetThrottle::judged(const Status& status) const {
    if (status || when_away_ == WithoutThrottles::local) return {};
    return Error{Errc::temporary, "logins cannot be counted", status.error().detail};
}

Result<FleetThrottle::Record> FleetThrottle::look(Fiber& fiber, const std::string& user, const std::string& address) {
    if (!shared_) return Record{};
    const auto known = shared_->look(fiber, own_name(user, address));
    if (known) return Record{known->wait, known->has_failed};
    if (auto status = judged(known.error()); !status) return status.error();
    return Record{};
}

std::chrono::milliseconds FleetThrottle::failed(Fiber& fiber, const std::string& user, const std::string& address,
                                                const LoginThrottle& throttle) {
    if (!shared_) return {};
    const auto memory = throttle.memory();
    const auto name = own_name(user, address);
    const auto own = shared_->count(fiber, name, memory);
    const auto all = shared_->count(fiber, name_of("network", {}, LoginThrottle::network_of(address)), memory);
    // What this node has counted by itself holds anyway.
    if (!own || !all) return {};
    const auto delay = throttle.delay_after(*own, *all);
    (void)shared_->hold_up(fiber, name, delay);
    return delay;
}

void FleetThrottle::succeeded(Fiber& fiber, const std::string& user, const std::string& address, const Record& record) {
    if (shared_ && record.has_failed) (void)shared_->forget(fiber, own_name(user, address));
}

Result<bool> FleetThrottle::admit(Fiber& fiber, const std::string& user, const LoginDelays::Rule& rule) {
    if (!shared_ || rule.delay.count() == 0) return true;
    const auto admitted = shared_->admit(fiber, name_of("delay", user, {}), rule.delay, rule.burst);
    if (admitted) return *admitted;
    if (auto status = judged(admitted.error()); !status) return status.error();
    return true;
}

void FleetThrottle::give_back(Fiber& fiber, const std::string& user, const LoginDelays::Rule& rule) {
    if (shared_ && rule.delay.count() != 0) (void)shared_->give_back(fiber, name_of("delay", user, {}), rule.delay);
}

}  // namespace popgate
