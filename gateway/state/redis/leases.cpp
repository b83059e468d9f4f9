#include "gateway/state/redis/leases.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/state/redis/mailbox_store.hpp"
#include "gateway/state/redis/scripts.hpp"

#include <openssl/rand.h>
#include <boost/asio/dispatch.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <stdexcept>
#include <utility>

namespace popgate::redis {

using namespace std::chrono_literals;

namespace {

constexpr auto freeing_limit = 1s;
constexpr auto look_at_end = 100ms;
constexpr std::size_t most_to_be_freed = 10'000;
constexpr std::size_t renewed_at_once = 100;

std::string random_token() {
    std::array<unsigned char, 12> octets{};
    if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) throw std::runtime_error("no random numbers");
    std::string text;
    for (const auto octet : octets)
        for (const auto digit : {octet >> 4, octet & 15}) text += "0123456789abcdef"[digit];
    return text;
}

Error not_held(const char* why) {
    return {Errc::temporary, "the lock of the mailbox was lost", std::string("state store: ") + why};
}

}  // namespace

class Leases::Lease {
public:
    Lease(std::string its_key, std::string its_epoch, std::string its_token, boost::asio::io_context& its_context)
        : key(std::move(its_key)), epoch(std::move(its_epoch)), token(std::move(its_token)), context(its_context) {}

    const std::string key, epoch, token;
    boost::asio::io_context& context;
    std::atomic<Deadline> until = Deadline::min();  // by this node's clock
    std::atomic<bool> lost = false;
};

Leases::Leases(std::shared_ptr<Client> client, std::string node, Rules rules)
    : client_(std::move(client)), node_(std::move(node)), rules_(rules) {}

Run Leases::unlocking(const Lease& lease) const { return {&scripts::unlock, {lease.key}, {lease.token}}; }

Result<Leases::Answer> Leases::take(Fiber& fiber, std::string key, std::string epoch) {
    auto lease =
        std::make_shared<Lease>(std::move(key), std::move(epoch), node_ + '/' + random_token(), fiber.context());
    const auto asked = Clock::now();
    std::vector<Run> runs{
        {&scripts::lock, {lease->key, lease->epoch}, {lease->token, std::to_string(rules_.life.count())}}};
    const auto replies = client_->run_replicated(fiber, std::move(runs), rules_.replicas);
    if (!replies) {
        const std::lock_guard guard(mutex_);
        if (to_be_freed_.size() < most_to_be_freed) to_be_freed_.push_back(unlocking(*lease));
        return replies.error();
    }
    const auto& reply = replies->front();
    if (reply.kind != Reply::Kind::array || reply.elements.size() != 2) return refused(reply);
    const auto outcome = reply.elements[0].integer;
    const std::chrono::milliseconds wait(std::max<std::int64_t>(reply.elements[1].integer, 0));
    if (outcome < 0) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
        return Error{
            Errc::temporary,
            "the shared state has just begun anew; mailboxes can be opened in " + std::to_string(seconds) + " s",
            "state store: a new epoch"};
    }
    if (outcome == 0) return Answer{nullptr, wait};
    lease->until = asked + rules_.life - rules_.life / 10;
    const std::lock_guard guard(mutex_);
    held_.emplace(lease->token, lease);
    return Answer{std::move(lease), {}};
}

Deadline Leases::held_until(const Lease& lease) { return lease.lost ? Deadline::min() : lease.until.load(); }

bool Leases::is_lost(const Lease& lease) { return lease.lost; }

Status Leases::confirm(Fiber& fiber, Lease& lease) {
    const auto asked = Clock::now();
    if (asked >= held_until(lease)) return not_held("a lease was not renewed in time");
    std::vector<Run> runs{
        {&scripts::renew, {lease.key, lease.epoch}, {lease.token, std::to_string(rules_.life.count())}}};
    const auto replies = [&] {
        const Fiber::LimitScope limit(fiber, lease.until);
        return client_->run_replicated(fiber, std::move(runs), rules_.replicas);
    }();
    if (!replies) return not_held(replies.error().detail.c_str());
    if (replies->front().kind != Reply::Kind::integer) return not_held(replies->front().text.c_str());
    if (replies->front().integer != 1) {
        lease.lost = true;
        return not_held("another node has the lease");
    }
    if (Clock::now() >= held_until(lease)) return not_held("a lease was not renewed in time");
    lease.until = asked + rules_.life - rules_.life / 10;
    return {};
}

void Leases::forget(const Lease& lease) {
    const std::lock_guard guard(mutex_);
    held_.erase(lease.token);
}

void Leases::free(Fiber& fiber, const std::shared_ptr<Lease>& lease) {
    forget(*lease);
    const Fiber::LimitScope limit(fiber, Clock::now() + freeing_limit);
    if (client_->run(fiber, unlocking(*lease))) return;
    const std::lock_guard guard(mutex_);
    if (to_be_freed_.size() < most_to_be_freed) to_be_freed_.push_back(unlocking(*lease));
}

void Leases::let_go(const std::shared_ptr<Lease>& lease) {
    forget(*lease);
    boost::asio::dispatch(lease->context, [client = client_, &context = lease->context, run = unlocking(*lease)] {
        client->post(context, run);
    });
}

void Leases::keep_up(Fiber& fiber, const std::function<bool()>& is_needed, const std::function<void(Fiber&)>& also) {
    bool is_ending = false;
    for (auto next = Clock::now();;) {
        if (fiber.interrupted()) {
            is_ending = true;
            fiber.resume_waits();
        }
        const bool is_last = is_ending && !is_needed();
        if (is_last || Clock::now() >= next) {
            next = Clock::now() + rules_.life / 3;
            try {
                renew_all(fiber);
                const Fiber::LimitScope limit(fiber, Clock::now() + rules_.life / 3);
                also(fiber);
            } catch (const std::exception& error) {  // no memory; the next round may have some
                log(LogLevel::error, "renewal_failed", {{"error", error.what()}});
            }
        }
        if (is_last) return;
        fiber.sleep_until(is_ending ? std::min(next, Clock::now() + look_at_end) : next);
    }
}

void Leases::renew_all(Fiber& fiber) {
    std::vector<std::shared_ptr<Lease>> leases;
    std::vector<Run> to_be_freed;
    {
        const std::lock_guard guard(mutex_);
        for (const auto& [token, lease] : held_) leases.push_back(lease);
        to_be_freed.swap(to_be_freed_);
    }
    for (const auto& run : to_be_freed) client_->post(fiber.context(), run);
    // Those that end first go first, bucket by bucket.
    std::ranges::stable_sort(leases, {}, [](const auto& each) { return each->until.load(); });
    std::map<std::string, std::size_t> places;
    std::vector<std::vector<std::shared_ptr<Lease>>> groups;
    for (auto& lease : leases) {
        const auto [place, is_new] = places.try_emplace(lease->epoch, groups.size());
        if (is_new || groups[place->second].size() == renewed_at_once) {
            place->second = groups.size();
            groups.emplace_back();
        }
        groups[place->second].push_back(std::move(lease));
    }
    // What cannot be renewed within this is tried again by the next round, which must begin in time.
    const Fiber::LimitScope limit(fiber, Clock::now() + rules_.life / 3);
    for (const auto& group : groups) {
        const bool could = renew(fiber, group);
        if (!could && (fiber.interrupted() || Clock::now() >= fiber.limit())) return;
    }
}

/// False where the server could not be asked.
bool Leases::renew(Fiber& fiber, const std::vector<std::shared_ptr<Lease>>& leases) {
    const auto asked = Clock::now();
    std::vector<Run> runs;
    for (const auto& lease : leases)
        runs.push_back(
            {&scripts::renew,
             {lease->key, lease->epoch},
             // One that has run out is not to be had again; the server is asked to know that it is there.
             {asked < held_until(*lease) ? lease->token : std::string(), std::to_string(rules_.life.count())}});
    const auto replies = client_->run_replicated(fiber, std::move(runs), rules_.replicas);
    if (!replies) return false;
    for (std::size_t i = 0; i < leases.size(); ++i) {
        const auto& reply = (*replies)[i];
        if (reply.kind != Reply::Kind::integer) continue;
        auto& lease = *leases[i];
        // What ran out while the answer was on its way may be another's by now.
        if (reply.integer == 1 && Clock::now() < held_until(lease))
            lease.until = asked + rules_.life - rules_.life / 10;
        else
            lose(lease);
    }
    return true;
}

void Leases::lose(Lease& lease) {
    if (lease.lost.exchange(true)) return;
    {
        const std::lock_guard guard(mutex_);
        if (!held_.contains(lease.token)) return;  // it was freed meanwhile
    }
    metrics::leases_lost.add();
    log(LogLevel::warning, "lease_lost", {{"key", lease.key}});
}

}  // namespace popgate::redis
