#pragma once

#include "gateway/state/state_store.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

namespace popgate {

/// One session at a time per mailbox, in this process. Any thread may use it.
class MaildropLocks : public std::enable_shared_from_this<MaildropLocks> {
public:
    /// Null when another session holds it.
    std::unique_ptr<MaildropHold> try_lock(const std::string& key);

private:
    class Lock;
    std::mutex mutex_;
    std::unordered_set<std::string> held_;
};

}  // namespace popgate
