#include "gateway/net/admission.hpp"

#include "gateway/net/client_network.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace popgate {

namespace asio = boost::asio;

std::size_t Admission::Hash::operator()(const asio::ip::address& address) const {
    if (address.is_v4()) return std::hash<std::uint32_t>()(address.to_v4().to_uint());
    const auto bytes = address.to_v6().to_bytes();
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Admission::Permit::Permit(Permit&& other) noexcept
    : admission_(std::exchange(other.admission_, nullptr)), group_(std::move(other.group_)) {}

Admission::Permit::~Permit() {
    if (!admission_) return;
    const std::lock_guard guard(admission_->mutex_);
    --admission_->total_;
    admission_->judge_stress();
    if (!group_) return;
    const auto found = admission_->by_address_.find(*group_);
    if (--found->second == 0) admission_->by_address_.erase(found);
}

bool Admission::Permit::count_for(const asio::ip::address& client) {
    const auto group = client_network(client);
    const std::lock_guard guard(admission_->mutex_);
    const auto found = admission_->by_address_.find(group);
    if (found != admission_->by_address_.end() && found->second >= admission_->caps_.of_address) {
        metrics::connections_refused.add(metrics::Refusal::max_sessions_per_address);
        return false;
    }
    ++admission_->by_address_[group];
    group_ = group;
    return true;
}

void Admission::set_caps(const Caps& caps) {
    const std::lock_guard guard(mutex_);
    caps_ = caps;
    judge_stress();
}

std::optional<Admission::Permit> Admission::admit(const asio::ip::address& client) {
    auto permit = admit_for_nobody();
    if (permit && !permit->count_for(client)) return std::nullopt;
    return permit;
}

std::optional<Admission::Permit> Admission::admit_for_nobody() {
    const std::lock_guard guard(mutex_);
    if (total_ >= caps_.total) {
        metrics::connections_refused.add(metrics::Refusal::max_sessions);
        return std::nullopt;
    }
    ++total_;
    judge_stress();
    return Permit(*this);
}

void Admission::judge_stress() {
    const auto per_cent = std::uint64_t{100} * total_ / std::max(caps_.total, 1u);
    const bool was = under_stress_;
    // Not at every session that comes and goes.
    const auto threshold = was ? caps_.stress_at * 9 / 10 : caps_.stress_at;
    const bool is = caps_.stress_at < 100 && per_cent >= threshold;
    if (is == was) return;
    under_stress_ = is;
    log(is ? LogLevel::warning : LogLevel::info, is ? "stress_begins" : "stress_ends",
        {{"sessions", std::uint64_t{total_}}, {"max_sessions", std::uint64_t{caps_.total}}});
}

}  // namespace popgate
