#include "gateway/state/claims.hpp"

#include "gateway/state/file_steps.hpp"
#include "gateway/state/packing.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace popgate {

namespace {

constexpr std::uint64_t claim_seed = 4;

Error unusable(const std::string& path) {
    return Error{Errc::temporary, "the accounts are not available",
                 path + ": " + std::generic_category().message(errno)};
}

}  // namespace

class Claims::Held final : public Claim {
public:
    Held(std::shared_ptr<Claims> claims, std::int64_t octet) : claims_(std::move(claims)), octet_(octet) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() override { claims_->release(octet_); }

private:
    std::shared_ptr<Claims> claims_;
    std::int64_t octet_;
};

Claims::~Claims() {
    if (file_ >= 0) ::close(file_);
}

bool Claims::open() {
    if (file_ >= 0) {
        // Others would lock the file that has this name now.
        struct stat status {};
        if (held_.empty() && (::fstat(file_, &status) != 0 || inode_of(path_) != status.st_ino))
            ::close(std::exchange(file_, -1));
    }
    if (file_ >= 0) return true;
    make_private_file(path_);
    file_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return file_ >= 0;
}

bool Claims::set_lock(short kind, std::int64_t octet) const {
    struct flock lock {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = octet;
    lock.l_len = 1;
    int result = 0;
    do {
        result = ::fcntl(file_, F_OFD_SETLK, &lock);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

Result<std::unique_ptr<Claim>> Claims::try_claim(const std::string& what) {
    const auto octet = static_cast<std::int64_t>(packing::checksum(what, claim_seed) >> 2);
    const std::lock_guard lock(mutex_);
    if (held_.contains(octet)) return std::unique_ptr<Claim>();
    if (!path_.empty()) {
        if (!open()) return unusable(path_);
        if (!set_lock(F_WRLCK, octet)) {
            if (errno == EAGAIN || errno == EACCES) return std::unique_ptr<Claim>();
            return unusable(path_);
        }
    }
    held_.insert(octet);
    return std::unique_ptr<Claim>(std::make_unique<Held>(shared_from_this(), octet));
}

void Claims::release(std::int64_t octet) {
    const std::lock_guard lock(mutex_);
    if (file_ >= 0) set_lock(F_UNLCK, octet);
    held_.erase(octet);
}

}  // namespace popgate
