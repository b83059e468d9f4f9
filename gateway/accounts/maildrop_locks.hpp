#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

namespace popgate {

/// One session at a time per mailbox (RFC 1939 §4), in this process. Any thread may use it.
class MaildropLocks {
public:
    /// Held as long as it lives.
    class Lock {
    public:
        Lock(MaildropLocks& locks, const std::string& key) : locks_(locks), key_(key) {}
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;
        ~Lock();

    private:
        friend class MaildropLocks;
        MaildropLocks& locks_;
        std::string key_;
        bool held_ = false;
    };

    /// Null when another session holds it.
    std::unique_ptr<Lock> try_lock(const std::string& key);

private:
    std::mutex mutex_;
    std::unordered_set<std::string> held_;
};

}  // namespace popgate
