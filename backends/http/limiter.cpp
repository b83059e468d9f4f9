#include "backends/http/limiter.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace popgate::http {

namespace {

using namespace std::chrono_literals;

// Of the units of a minute, what may be used at once; the rest comes evenly, so that in no minute there are more.
constexpr std::uint32_t burst_share = 10;
constexpr std::size_t accounts_before_sweep = 1024;

Error busy(std::string detail) {
    return {Errc::temporary, "the mail server is asked too much, please wait and retry", std::move(detail)};
}

}  // namespace

struct Limiter::State {
    struct Account {
        unsigned in_use = 0;
        Deadline hold{};         // back_off()
        Deadline units_until{};  // units that were taken are paid for by then
        bool is_idle(Deadline now) const { return in_use == 0 && hold <= now && units_until <= now; }
    };

    /// A fiber that sleeps. `fiber` is touched by that fiber's thread alone, the rest under the mutex.
    struct Waiter {
        Fiber* fiber;
        boost::asio::io_context& context;
        std::string account;
        bool has_slot = false;
    };

    explicit State(const Limits& what) : limits(what) {}

    bool has_room(const Account& account) const {
        return (limits.concurrent_per_account == 0 || account.in_use < limits.concurrent_per_account) &&
               (limits.concurrent_per_application == 0 || in_use < limits.concurrent_per_application);
    }

    void occupy(Account& account) {
        ++account.in_use;
        ++in_use;
    }

    void give_back(const std::string& name) {
        const std::lock_guard lock(mutex);
        --accounts[name].in_use;
        --in_use;
        for (auto each = waiters.begin(); each != waiters.end();) {
            auto& account = accounts[(*each)->account];
            if (!has_room(account)) {
                ++each;
                continue;
            }
            occupy(account);
            (*each)->has_slot = true;
            boost::asio::post((*each)->context, [waiter = *each] {
                if (waiter->fiber) waiter->fiber->wake();
            });
            each = waiters.erase(each);
        }
        sweep();
    }

    void sweep() {
        if (accounts.size() < accounts_before_sweep) return;
        const auto now = Clock::now();
        std::erase_if(accounts, [&](const auto& each) {
            return each.second.is_idle(now) &&
                   std::ranges::none_of(waiters, [&](const auto& waiter) { return waiter->account == each.first; });
        });
    }

    const Limits limits;
    std::mutex mutex;
    unsigned in_use = 0;
    std::unordered_map<std::string, Account> accounts;
    std::list<std::shared_ptr<Waiter>> waiters;
};

struct Limiter::Slot::Held {
    std::shared_ptr<Limiter::State> state;
    std::string account;
    ~Held() { state->give_back(account); }
};

Limiter::Slot& Limiter::Slot::operator=(Slot&& other) noexcept {
    held_ = std::move(other.held_);
    return *this;
}

Limiter::Slot::~Slot() = default;

Limiter::Limiter(const Limits& limits) : state_(std::make_shared<State>(limits)) {}

Limiter::~Limiter() = default;

void Limiter::back_off(const std::string& account, Deadline until) {
    const std::lock_guard lock(state_->mutex);
    auto& hold = state_->accounts[account].hold;
    hold = std::max(hold, until);
}

Result<Limiter::Slot> Limiter::acquire(Fiber& fiber, const std::string& account, std::uint32_t units,
                                       Deadline deadline) {
    deadline = std::min(deadline, fiber.limit());
    // When the request may go, as far as units and back-off tell. Units are paid in the order of asking.
    const auto now = Clock::now();
    Deadline start = now;
    {
        const std::lock_guard lock(state_->mutex);
        auto& known = state_->accounts[account];
        if (known.hold > std::max(now, deadline)) return busy("the server has asked for a pause");
        start = std::max(start, known.hold);
        const auto per_minute = state_->limits.units_per_minute;
        if (per_minute > 0 && units > 0) {
            const auto burst = Clock::duration(60s) / burst_share;
            // The evenly flowing part is smaller by what may come at once.
            const auto price = Clock::duration(60s) * units / per_minute * burst_share / (burst_share - 1);
            const auto paid = std::max(known.units_until, start) + price;
            start = std::max(start, paid - std::max(burst, price));
            if (start > std::max(now, deadline)) return busy("the quota of this account");
            known.units_until = paid;
        }
    }
    while (Clock::now() < start)
        if (!fiber.sleep_until(start) && (fiber.interrupted() || fiber.limit() <= Clock::now()))
            return busy("no time left");

    const auto waiter = std::make_shared<State::Waiter>(State::Waiter{&fiber, fiber.context(), account, false});
    const auto has_slot = [&] {
        const std::lock_guard lock(state_->mutex);
        return waiter->has_slot;
    };
    {
        const std::lock_guard lock(state_->mutex);
        auto& known = state_->accounts[account];
        // Who waits for room that there is not for it now is not passed by another of its account.
        const bool is_first =
            std::ranges::none_of(state_->waiters, [&](const auto& other) { return other->account == account; });
        if (is_first && state_->has_room(known)) {
            state_->occupy(known);
            waiter->has_slot = true;
        } else {
            state_->waiters.push_back(waiter);
        }
    }
    while (!has_slot() && !fiber.interrupted() && Clock::now() < deadline) fiber.sleep_until(deadline);
    waiter->fiber = nullptr;
    {
        const std::lock_guard lock(state_->mutex);
        if (!waiter->has_slot) {
            std::erase(state_->waiters, waiter);
            return busy("too many requests at once");
        }
    }
    Slot slot;
    slot.held_ = std::make_shared<Slot::Held>();
    slot.held_->state = state_;
    slot.held_->account = account;
    return slot;
}

}  // namespace popgate::http
