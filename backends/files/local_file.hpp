#pragma once

#include "backends/errors.hpp"
#include "gateway/net/blocking_call.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::local {

/// What is read from a file, and given to a BodySink, at once.
inline constexpr std::size_t block_size = 64 * 1024;

/// A file descriptor, closed when it goes.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor();

    int get() const { return number_; }
    int release() { return std::exchange(number_, -1); }
    explicit operator bool() const { return number_ >= 0; }

private:
    int number_ = -1;
};

/// An errno as the seam tells it: permanent when an administrator must act. `what`, a path perhaps, is for the log.
Error system_error(int number, const std::string& what);

/// Opens, without ever following a symbolic link in the last component or waiting for a FIFO. errno tells of a failure.
Descriptor open_at(int directory, const std::string& name, int flags, unsigned mode = 0);

/// Reads until `size` bytes or the end of the file; -1 and errno at a failure.
std::ptrdiff_t read_at(int file, std::uint64_t offset, char* to, std::size_t size);

/// Writes all of `data`; false and errno at a failure.
bool write_at(int file, std::uint64_t offset, std::string_view data);

/// The path of a user's mail.
///
/// The components up to the last that names the user are the administrator's, and symbolic links in them are
/// followed. Those below belong to the user, who could point them at somebody else's mail: there none is followed.
class UserPath {
public:
    /// `pattern` is absolute, with %u, %n and %d as expand_user_path() has them.
    static Result<UserPath> expand(std::string_view pattern, std::string_view user);

    std::string text() const { return joined(parts_.size()); }
    const std::string& leaf() const { return parts_.back(); }

    /// Names the place for the lock: one name however it is reached. Blocks.
    std::string canonical() const;

    /// Open only as a place to start from (O_PATH). Both block.
    Result<Descriptor> open_directory() const { return open_first(parts_.size()); }
    Result<Descriptor> open_parent() const { return open_first(parts_.size() - 1); }

private:
    std::string joined(std::size_t count) const;
    Result<Descriptor> open_first(std::size_t count) const;

    std::vector<std::string> parts_;  // without the empty one before the first '/'
    std::size_t followed_ = 0;        // so many of them may be symbolic links
};

/// Tells whether a URL is KIND:/absolute/path, and gives the pattern after the ':'.
Result<std::string> path_pattern(std::string_view url, std::string_view kind);

/// Runs `function`, which gives a Result, on the blocking pool. It owns all that it touches, as blocking_call() says.
template <class Function>
auto on_pool(Fiber& fiber, std::chrono::milliseconds limit, Function function) -> decltype(function()) {
    using Answer = decltype(function());
    // The inner optional is the proof that the function ran: a Result that was only default-constructed says success.
    auto answer = blocking_call(fiber, Clock::now() + limit, [function = std::move(function)]() mutable {
        return std::optional<Answer>(function());
    });
    if (answer && *answer) return std::move(**answer);
    return Error{Errc::temporary, "the mailbox is not available",
                 "files: too slow, interrupted, or too many calls at once"};
}

}  // namespace popgate::local
