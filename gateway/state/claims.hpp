#pragma once

#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace popgate {

/// Claims on names, held by locks on octets of a file: the system frees them when their process ends. Two names may
/// share an octet; then one waits for the other, and nothing worse. Any thread may use it; it blocks for no lock.
class Claims : public std::enable_shared_from_this<Claims> {
public:
    /// An empty path: within this object alone. The file is made at the first claim.
    explicit Claims(std::string path) : path_(std::move(path)) {}
    ~Claims();
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;

    /// Null where somebody else has it. Errc::temporary: the file cannot be used.
    Result<std::unique_ptr<Claim>> try_claim(const std::string& what);

private:
    class Held;
    bool set_lock(short kind, std::int64_t octet) const;
    bool open();
    void release(std::int64_t octet);

    const std::string path_;
    std::mutex mutex_;
    int file_ = -1;
    std::set<std::int64_t> held_;  // locks of one open file do not exclude each other
};

}  // namespace popgate
