#include "gateway/accounts/account_sessions.hpp"

#include "backends/ascii.hpp"

namespace popgate {

AccountSessions::Permit::~Permit() {
    const std::lock_guard guard(sessions_.mutex_);
    const auto found = sessions_.counts_.find(user_);
    if (--found->second == 0) sessions_.counts_.erase(found);
}

std::unique_ptr<AccountSessions::Permit> AccountSessions::admit(const std::string& name, std::uint32_t most) {
    const auto user = in_lower_case(name);
    const std::lock_guard guard(mutex_);
    auto& count = counts_[user];
    if (count >= most) return nullptr;
    auto permit = std::make_unique<Permit>(*this, user);
    ++count;
    return permit;
}

}  // namespace popgate
