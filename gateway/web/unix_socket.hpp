#pragma once

#include "backends/errors.hpp"

#include <sys/types.h>

#include <string>

namespace popgate::web {

/// A listening Unix socket and its file, which goes with it. The file has mode 0660: who may connect is a matter of its
/// owner and group, and of the folder that it lies in.
class UnixSocket {
public:
    /// Replaces the file of a server that has died; one that somebody serves, or that is no socket, stays. The error's
    /// text names the path and the cause.
    static Result<UnixSocket> listen(const std::string& path);

    UnixSocket(UnixSocket&& other) noexcept;
    UnixSocket& operator=(UnixSocket&&) = delete;
    /// Closes what was not released, and removes the file unless another server has put its own there.
    ~UnixSocket();

    /// The descriptor, which is the caller's to close from then on.
    int release();

private:
    explicit UnixSocket(int descriptor) : descriptor_(descriptor) {}

    std::string path_;  // empty: no file of ours
    int descriptor_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace popgate::web
