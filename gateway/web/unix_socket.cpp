#include "gateway/web/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace popgate::web {

namespace {

constexpr mode_t for_owner_and_group = 0660;

int open_unix_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/// A file that was left behind: nobody listens on it any more.
bool is_left_behind(const sockaddr_un& address) {
    struct stat status {};
    // A connection to a file that is no socket is refused, too.
    if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const int probe = open_unix_socket();
    if (probe < 0) return false;
    const bool is_refused =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED;
    ::close(probe);
    return is_refused;
}

}  // namespace

Result<UnixSocket> UnixSocket::listen(const std::string& path) {
    const auto failed = [&path](int cause) {
        return Error{
            Errc::permanent, "cannot listen on unix:" + path + ": " + std::generic_category().message(cause), {}};
    };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return failed(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    UnixSocket made(open_unix_socket());
    if (made.descriptor_ < 0) return failed(errno);
    // Before there is a file, so that it is never open to more; after it, because the umask may have taken some away.
    ::fchmod(made.descriptor_, for_owner_and_group);
    const auto bind = [&] {
        return ::bind(made.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    };
    if (!bind() && (errno != EADDRINUSE || !is_left_behind(address) || ::unlink(path.c_str()) != 0 || !bind()))
        return failed(errno);
    made.path_ = path;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || ::chmod(path.c_str(), for_owner_and_group) != 0) return failed(errno);
    made.device_ = status.st_dev;
    made.inode_ = status.st_ino;
    if (::listen(made.descriptor_, SOMAXCONN) != 0) return failed(errno);
    return made;
}

UnixSocket::UnixSocket(UnixSocket&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      device_(other.device_),
      inode_(other.inode_) {}

UnixSocket::~UnixSocket() {
    if (descriptor_ >= 0) ::close(descriptor_);
    struct stat status {};
    if (!path_.empty() && ::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
        ::unlink(path_.c_str());
}

int UnixSocket::release() { return std::exchange(descriptor_, -1); }

}  // namespace popgate::web
