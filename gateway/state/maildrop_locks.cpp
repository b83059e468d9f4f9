#include "gateway/state/maildrop_locks.hpp"

#include <utility>

namespace popgate {

class MaildropLocks::Lock final : public MaildropHold {
public:
    Lock(std::shared_ptr<MaildropLocks> locks, std::string key) : locks_(std::move(locks)), key_(std::move(key)) {}
    ~Lock() override { free(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    Status confirm(Fiber&) override { return {}; }
    void release(Fiber&) override { free(); }

private:
    void free() {
        if (const auto locks = std::exchange(locks_, nullptr)) {
            const std::lock_guard guard(locks->mutex_);
            locks->held_.erase(key_);
        }
    }

    std::shared_ptr<MaildropLocks> locks_;
    std::string key_;
};

std::unique_ptr<MaildropHold> MaildropLocks::try_lock(const std::string& key) {
    {
        const std::lock_guard guard(mutex_);
        if (!held_.insert(key).second) return nullptr;
    }
    return std::make_unique<Lock>(shared_from_this(), key);
}

}  // namespace popgate
