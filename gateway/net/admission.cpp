#include "gateway/net/admission.hpp"

#include "gateway/net/client_network.hpp"

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
    : admission_(std::exchange(other.admission_, nullptr)), group_(other.group_) {}

Admission::Permit::~Permit() {
    if (!admission_) return;
    const std::lock_guard guard(admission_->mutex_);
    --admission_->total_;
    const auto found = admission_->by_address_.find(group_);
    if (--found->second == 0) admission_->by_address_.erase(found);
}

std::optional<Admission::Permit> Admission::admit(const asio::ip::address& client) {
    const auto group = client_network(client);
    const std::lock_guard guard(mutex_);
    if (total_ >= total_cap_) return std::nullopt;
    const auto found = by_address_.find(group);
    if (found != by_address_.end() && found->second >= address_cap_) return std::nullopt;
    ++by_address_[group];
    ++total_;
    return Permit(*this, group);
}

}  // namespace popgate
