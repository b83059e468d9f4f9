#include "gateway/accounts/maildrop_locks.hpp"

namespace popgate {

MaildropLocks::Lock::~Lock() {
    if (!held_) return;
    const std::lock_guard guard(locks_.mutex_);
    locks_.held_.erase(key_);
}

std::unique_ptr<MaildropLocks::Lock> MaildropLocks::try_lock(const std::string& key) {
    auto lock = std::make_unique<Lock>(*this, key);
    const std::lock_guard guard(mutex_);
    lock->held_ = held_.insert(key).second;
    return lock->held_ ? std::move(lock) : nullptr;
}

}  // namespace popgate
