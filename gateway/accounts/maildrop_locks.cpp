#include "gateway/accounts/maildrop_locks.hpp"

namespace popgate {

MaildropLocks::Lock::~Lock() {
    const std::lock_guard guard(locks_.mutex_);
    locks_.held_.erase(key_);
}

std::unique_ptr<MaildropLocks::Lock> MaildropLocks::try_lock(const std::string& key) {
    const std::lock_guard guard(mutex_);
    if (!held_.insert(key).second) return nullptr;
    return std::make_unique<Lock>(*this, key);
}

}  // namespace popgate
