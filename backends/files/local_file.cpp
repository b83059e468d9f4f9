#include "backends/files/local_file.hpp"

#include "backends/user_path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace popgate::local {

Descriptor::~Descriptor() {
    const int error = errno;  // of the call that led here
    if (number_ >= 0) ::close(number_);
    errno = error;
}

Error system_error(int number, const std::string& what) {
    Error error{Errc::temporary, "the mailbox is not available", what + ": " + std::generic_category().message(number)};
    switch (number) {
        case EACCES:
        case EPERM:
        case EROFS:
        case ELOOP: error.code = Errc::permanent; break;
        case ENOSPC:
        case EDQUOT:
        case EFBIG: error.text = "disk full"; break;
        default: break;
    }
    return error;
}

Descriptor open_at(int directory, const std::string& name, int flags, unsigned mode) {
    return Descriptor(::openat(directory, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode));
}

std::ptrdiff_t read_at(int file, std::uint64_t offset, char* to, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
        const auto got = ::pread(file, to + done, size - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return static_cast<std::ptrdiff_t>(done);
}

bool write_at(int file, std::uint64_t offset, std::string_view data) {
    while (!data.empty()) {
        const auto put = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        data.remove_prefix(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return true;
}

namespace {

std::vector<std::string_view> split_path(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        path.remove_prefix(1);  // the '/'
        const auto end = std::min(path.find('/'), path.size());
        parts.push_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return parts;
}

bool names_user(std::string_view pattern) {
    for (std::size_t at = 0; (at = pattern.find('%', at)) != std::string_view::npos; at += 2)
        if (at + 1 < pattern.size() && pattern[at + 1] != '%') return true;
    return false;
}

}  // namespace

Result<UserPath> UserPath::expand(std::string_view pattern, std::string_view user) {
    const auto text = expand_user_path(pattern, user);
    if (!text) return text.error();
    const auto patterns = split_path(pattern);
    const auto parts = split_path(*text);
    if (parts.size() != patterns.size() || pattern.substr(0, 1) != "/" || text->front() != '/')
        return Error{Errc::permanent, "the mailbox is not available", "bad path: " + std::string(pattern)};

    UserPath path;
    bool has_user = false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const bool is_user = names_user(patterns[i]);
        // A domain of ".." or an empty one would lead to another user's place, or to the place of all users.
        if (is_user && (parts[i].empty() || parts[i] == "." || parts[i] == ".."))
            return Error{Errc::auth, "wrong user name or password", "user name leads out of the path: " + *text};
        if (!parts[i].empty()) path.parts_.emplace_back(parts[i]);
        if (is_user) {
            path.followed_ = path.parts_.size();
            has_user = true;
        }
    }
    if (path.parts_.empty())
        return Error{Errc::permanent, "the mailbox is not available", "bad path: " + std::string(pattern)};
    if (!has_user) path.followed_ = path.parts_.size();
    return path;
}

std::string UserPath::joined(std::size_t count) const {
    std::string path;
    for (std::size_t i = 0; i < count; ++i) path += "/" + parts_[i];
    return path.empty() ? "/" : path;
}

std::string UserPath::canonical() const {
    std::error_code error;
    const auto path = std::filesystem::weakly_canonical(text(), error);
    return error ? text() : path.string();
}

Result<Descriptor> UserPath::open_first(std::size_t count) const {
    const auto followed = std::min(count, followed_);
    Descriptor directory(::open(joined(followed).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (std::size_t i = followed; directory && i < count; ++i)
        directory =
            Descriptor(::openat(directory.get(), parts_[i].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
        // Even "permission denied" is told as temporary: to the user it is a mailbox that is not there now.
        auto error = system_error(errno, joined(count));
        error.code = Errc::temporary;
        return error;
    }
    return directory;
}

Result<std::string> path_pattern(std::string_view url, std::string_view kind) {
    const bool fits = url.substr(0, kind.size()) == kind && url.substr(kind.size(), 2) == ":/";
    const auto path = fits ? url.substr(kind.size() + 1) : std::string_view();
    const auto tried = fits ? UserPath::expand(path, "user@example.com") : Result<UserPath>(Error{});
    if (!tried) return Error{Errc::permanent, "expected " + std::string(kind) + ":/absolute/path/%u", std::string(url)};
    return std::string(path);
}

}  // namespace popgate::local
