#pragma once

#include "backends/errors.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace popgate {

/// What an upstream allows.
struct UpstreamLimits {
    unsigned concurrent_per_account = 4;       ///< requests, or connections, at once; 0: any number
    unsigned concurrent_per_application = 64;  ///< of all accounts; 0: any number
    std::uint32_t units_per_minute = 0;        ///< of one account, see Request::units; 0: not counted
};

/// Keeps the requests of all sessions within an upstream's limits, and knows whose credentials are proved. First come,
/// first served, and an account that is at its limit holds up no other. Any thread may use it; what is waited for
/// suspends the fiber alone.
class Limiter {
public:
    explicit Limiter(const UpstreamLimits& limits);
    ~Limiter();
    Limiter(const Limiter&) = delete;
    Limiter& operator=(const Limiter&) = delete;

    /// Room for one request; given back when it goes.
    class Slot {
    public:
        Slot() = default;
        Slot(Slot&&) noexcept = default;
        Slot& operator=(Slot&&) noexcept = default;
        /// The answer's body has begun, and whoever reads it may take all day: it counts for its account alone now.
        void begin_body();
        /// Nothing is done with it just now: who waits for a slot of the account may have it. `wanted` is called on the
        /// context's thread then, once, and should give it back. False where somebody waits already, and nothing is
        /// offered.
        bool offer(boost::asio::io_context& context, std::function<void()> wanted);
        /// `wanted` may still be called, if it was wanted before.
        void withdraw();

    private:
        friend class Limiter;
        struct Held;
        std::shared_ptr<Held> held_;
    };

    /// Waits for a slot, for the units, and for the end of what back_off() has asked for.
    /// Errc::temporary when that would take longer than `deadline`; told at once where it can be foreseen.
    /// `one_at_a_time`: this account has no more than that under way.
    Result<Slot> acquire(Fiber& fiber, const std::string& account, std::uint32_t units, Deadline deadline,
                         bool one_at_a_time = false);

    /// Room for what nobody waits for yet; does not wait. Nothing where the server has asked for a pause, where no
    /// other slot of the account would be left, or where more than half of the slots of the application, or of the
    /// units that may be used at once, would be taken.
    std::optional<Slot> acquire_spare(const std::string& account, std::uint32_t units);

    /// The server has said that this account asks too much: nobody asks for it before `until`.
    void back_off(const std::string& account, Deadline until);
    /// Waits for the end of what back_off() has asked for; Errc::temporary when that would take longer than `deadline`,
    /// told at once. For who has a slot and asks again.
    Status wait_out(Fiber& fiber, const std::string& account, Deadline deadline);

    /// Whether the server has taken a credential; remembered for an hour.
    void set_proved(const std::string& credential, bool is_proved);
    bool is_proved(const std::string& credential) const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace popgate
