#include "backends/limiter.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace popgate {

namespace {

using namespace std::chrono_literals;

// Of the units of a minute, what may be used at once; the rest comes evenly, so that in no minute there are more.
constexpr std::uint32_t burst_share = 10;
constexpr Clock::duration burst = Clock::duration(60s) / burst_share;
constexpr auto proof_lifetime = 1h;
constexpr std::size_t accounts_before_sweep = 1024;

Error busy(std::string detail) { return {Errc::temporary, "the mail server is asked too much", std::move(detail)}; }

}  // namespace

struct Limiter::State {
    struct Account {
        unsigned in_use = 0;
        Deadline hold{};         // back_off()
        Deadline units_until{};  // units that were taken are paid for by then
        Deadline proved_until{};
        bool one_at_a_time = false;
        bool is_idle(Deadline now) const {
            return in_use == 0 && hold <= now && units_until <= now && proved_until <= now;
        }
    };

    /// A fiber that sleeps. `fiber` is touched by that fiber's thread alone, the rest under the mutex.
    struct Waiter {
        Fiber* fiber;
        boost::asio::io_context& context;
        std::string account;
        bool has_slot = false;
    };

    explicit State(const UpstreamLimits& what) : limits(what) {}

    bool has_room(const Account& account) const {
        const auto most = account.one_at_a_time ? 1 : limits.concurrent_per_account;
        return (most == 0 || account.in_use < most) &&
               (limits.concurrent_per_application == 0 || in_use < limits.concurrent_per_application);
    }

    /// Units are paid in the order of asking. Gives when the request may go, as far as they and back_off() tell.
    Result<Deadline> take_units(const std::string& name, std::uint32_t units, Deadline deadline) {
        const std::lock_guard lock(mutex);
        auto& account = accounts[name];
        const auto now = Clock::now();
        auto start = std::max(now, account.hold);
        if (start > std::max(now, deadline)) return busy("the server has asked for a pause");
        if (limits.units_per_minute == 0 || units == 0) return start;
        const auto price = price_of(units);
        const auto paid = std::max(account.units_until, start) + price;
        start = std::max(start, paid - std::max(burst, price));
        if (start > std::max(now, deadline)) return busy("the quota of this account");
        account.units_until = paid;
        return start;
    }

    /// How long the units take to come. The evenly flowing part is smaller by what may come at once.
    Clock::duration price_of(std::uint32_t units) const {
        return Clock::duration(60s) * units / limits.units_per_minute * burst_share / (burst_share - 1);
    }

    bool occupy_spare(const std::string& name, std::uint32_t units) {
        const std::lock_guard lock(mutex);
        auto& account = accounts[name];
        const auto now = Clock::now();
        if (account.hold > now) return false;
        const auto most = account.one_at_a_time ? 1 : limits.concurrent_per_account;
        if (most != 0 && account.in_use + 2 > most) return false;
        if (limits.concurrent_per_application != 0 && 2 * (in_use + 1) > limits.concurrent_per_application)
            return false;
        if (limits.units_per_minute != 0 && units != 0) {
            const auto paid = std::max(account.units_until, now) + price_of(units);
            if (paid > now + burst / 2) return false;
            account.units_until = paid;
        }
        occupy(account);
        return true;
    }

    Deadline hold_of(const std::string& name) const {
        const std::lock_guard lock(mutex);
        const auto found = accounts.find(name);
        return found == accounts.end() ? Deadline{} : found->second.hold;
    }

    /// Null when there was none before the deadline.
    std::shared_ptr<Slot::Held> hold_slot(const std::string& name) const;
    std::shared_ptr<Slot::Held> wait_for_slot(Fiber& fiber, const std::string& name, Deadline deadline,
                                              bool one_at_a_time);

    void occupy(Account& account) {
        ++account.in_use;
        ++in_use;
    }

    void want_offered(const std::string& name);

    void give_back(const std::string& name, bool of_account, bool of_application) {
        const std::lock_guard lock(mutex);
        if (of_account) --accounts[name].in_use;
        if (of_application) --in_use;
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
        if (accounts.size() < sweep_at) return;
        const auto now = Clock::now();
        std::erase_if(accounts, [&](const auto& each) {
            return each.second.is_idle(now) &&
                   std::ranges::none_of(waiters, [&](const auto& waiter) { return waiter->account == each.first; });
        });
        sweep_at = std::max(accounts_before_sweep, 2 * accounts.size());
    }

    std::weak_ptr<State> self;  // what is held keeps it alive
    const UpstreamLimits limits;
    mutable std::mutex mutex;
    unsigned in_use = 0;
    std::size_t sweep_at = accounts_before_sweep;
    std::unordered_map<std::string, Account> accounts;
    std::list<std::shared_ptr<Waiter>> waiters;
    std::vector<Slot::Held*> offered;
};

struct Limiter::Slot::Held {
    std::shared_ptr<Limiter::State> state;
    std::string account;
    bool is_in_application = true;
    boost::asio::io_context* context = nullptr;  // this and the next: while it is offered
    std::function<void()> wanted;
    void leave_application() {
        if (std::exchange(is_in_application, false)) state->give_back(account, false, true);
    }
    void withdraw() {
        const std::lock_guard lock(state->mutex);
        std::erase(state->offered, this);
    }
    ~Held() {
        if (context) withdraw();
        state->give_back(account, true, is_in_application);
    }
};

/// Of one slot of this account, under the mutex.
void Limiter::State::want_offered(const std::string& name) {
    const auto found =
        std::ranges::find(offered, name, [](const Slot::Held* each) -> const std::string& { return each->account; });
    if (found == offered.end()) return;
    boost::asio::post(*(*found)->context, std::move((*found)->wanted));
    offered.erase(found);
}

/// Of what was occupied for it.
std::shared_ptr<Limiter::Slot::Held> Limiter::State::hold_slot(const std::string& name) const {
    auto held = std::make_shared<Slot::Held>();
    held->state = self.lock();
    held->account = name;
    return held;
}

std::shared_ptr<Limiter::Slot::Held> Limiter::State::wait_for_slot(Fiber& fiber, const std::string& name,
                                                                   Deadline deadline, bool one_at_a_time) {
    const auto waiter = std::make_shared<Waiter>(Waiter{&fiber, fiber.context(), name, false});
    {
        const std::lock_guard lock(mutex);
        // Who waits for room that there is not for it now is not passed by another of its account.
        accounts[name].one_at_a_time = one_at_a_time;
        const bool is_first = std::ranges::none_of(waiters, [&](const auto& other) { return other->account == name; });
        if (is_first && has_room(accounts[name])) {
            occupy(accounts[name]);
            waiter->has_slot = true;
        } else {
            waiters.push_back(waiter);
            want_offered(name);
        }
    }
    const auto has_slot = [&] {
        const std::lock_guard lock(mutex);
        return waiter->has_slot;
    };
    while (!has_slot() && !fiber.interrupted() && Clock::now() < std::min(deadline, fiber.limit()))
        fiber.sleep_until(deadline);
    waiter->fiber = nullptr;
    const std::lock_guard lock(mutex);
    if (!waiter->has_slot) {
        std::erase(waiters, waiter);
        return nullptr;
    }
    return hold_slot(name);
}

Limiter::Limiter(const UpstreamLimits& limits) : state_(std::make_shared<State>(limits)) { state_->self = state_; }

Limiter::~Limiter() = default;

void Limiter::back_off(const std::string& account, Deadline until) {
    const std::lock_guard lock(state_->mutex);
    auto& hold = state_->accounts[account].hold;
    hold = std::max(hold, until);
}

Status Limiter::wait_out(Fiber& fiber, const std::string& account, Deadline deadline) {
    for (;;) {
        const auto hold = state_->hold_of(account);
        if (hold <= Clock::now()) return {};
        // The limit comes nearer when the process drains.
        if (hold > std::min(deadline, fiber.limit()) || fiber.interrupted())
            return busy("the server has asked for a pause");
        fiber.sleep_until(hold);
    }
}

std::optional<Limiter::Slot> Limiter::acquire_spare(const std::string& account, std::uint32_t units) {
    if (!state_->occupy_spare(account, units)) return std::nullopt;
    Slot slot;
    slot.held_ = state_->hold_slot(account);
    return slot;
}

void Limiter::set_proved(const std::string& credential, bool is_proved) {
    const std::lock_guard lock(state_->mutex);
    state_->accounts[credential].proved_until = is_proved ? Clock::now() + proof_lifetime : Deadline{};
}

bool Limiter::is_proved(const std::string& credential) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->accounts.find(credential);
    return found != state_->accounts.end() && Clock::now() < found->second.proved_until;
}

void Limiter::Slot::begin_body() {
    if (held_) held_->leave_application();
}

bool Limiter::Slot::offer(boost::asio::io_context& context, std::function<void()> wanted) {
    if (!held_) return false;
    auto& state = *held_->state;
    const std::lock_guard lock(state.mutex);
    if (std::ranges::any_of(state.waiters, [&](const auto& each) { return each->account == held_->account; }))
        return false;
    held_->context = &context;
    held_->wanted = std::move(wanted);
    state.offered.push_back(held_.get());
    return true;
}

void Limiter::Slot::withdraw() {
    if (held_) held_->withdraw();
}

Result<Limiter::Slot> Limiter::acquire(Fiber& fiber, const std::string& account, std::uint32_t units, Deadline deadline,
                                       bool one_at_a_time) {
    deadline = std::min(deadline, fiber.limit());
    auto start = state_->take_units(account, units, deadline);
    if (!start) return start.error();
    for (;;) {
        while (Clock::now() < *start)
            if (!fiber.sleep_until(*start) && (fiber.interrupted() || fiber.limit() <= Clock::now()))
                return busy("no time left");
        Slot slot;
        slot.held_ = state_->wait_for_slot(fiber, account, deadline, one_at_a_time);
        if (!slot.held_) return busy("too many requests at once");
        // While it was waited for, another request may have been told to pause.
        const auto hold = state_->hold_of(account);
        if (hold <= Clock::now()) return slot;
        if (hold > deadline) return busy("the server has asked for a pause");
        start = hold;
    }
}

}  // namespace popgate
