#pragma once

#include <boost/asio/ip/address.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace popgate {

/// Counts sessions in total and per client address, and refuses those over the caps. Any thread may use it. An IPv6
/// client counts by its /64, which is what one of them can move about in.
class Admission {
public:
    struct Caps {
        std::uint32_t total = 0;
        std::uint32_t of_address = 0;
        std::uint32_t stress_at = 100;  ///< per cent of `total`; 100: never
    };
    explicit Admission(const Caps& caps) { set_caps(caps); }
    /// For who comes from now on.
    void set_caps(const Caps& caps);

    /// One admitted session; counted as long as it lives.
    class Permit {
    public:
        Permit(Permit&& other) noexcept;
        Permit& operator=(Permit&&) = delete;
        ~Permit();
        /// Of a session that was admitted for nobody: false when its client's cap is reached. Once.
        bool count_for(const boost::asio::ip::address& client);

    private:
        friend class Admission;
        explicit Permit(Admission& admission) : admission_(&admission) {}
        Admission* admission_;
        std::optional<boost::asio::ip::address> group_;
    };

    /// Nothing when a cap is reached.
    std::optional<Permit> admit(const boost::asio::ip::address& client);
    /// For a client that is not known yet: only the total counts.
    std::optional<Permit> admit_for_nobody();

    std::uint32_t sessions() const { return total_.load(std::memory_order_relaxed); }
    /// Near the cap; until there are clearly fewer again. Whoever turns it on or off logs it.
    bool under_stress() const { return under_stress_.load(std::memory_order_relaxed); }

private:
    void judge_stress();

    mutable std::mutex mutex_;
    Caps caps_;
    std::atomic<std::uint32_t> total_{0};  // changed under the mutex
    std::atomic<bool> under_stress_{false};
    struct Hash {
        std::size_t operator()(const boost::asio::ip::address& address) const;
    };
    std::unordered_map<boost::asio::ip::address, std::uint32_t, Hash> by_address_;
};

}  // namespace popgate
