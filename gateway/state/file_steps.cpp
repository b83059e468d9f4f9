#include "gateway/state/file_steps.hpp"

#include "gateway/state/sqlite_database.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <optional>
#include <system_error>

namespace popgate {

namespace {

constexpr mode_t directory_mode = 0750;
constexpr mode_t file_mode = 0600;

std::optional<struct stat> status_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return status;
}

std::string directory_of(const std::string& path) {
    const auto end = path.rfind('/');
    return end == 0 || end == std::string::npos ? "/" : path.substr(0, end);
}

}  // namespace

std::uint64_t inode_of(const std::string& path) {
    const auto status = status_of(path);
    return status ? status->st_ino : 0;
}

bool file_exists(const std::string& path) { return status_of(path).has_value(); }

bool is_file_below(const std::string& path, std::uint64_t octets) {
    const auto status = status_of(path);
    return status && S_ISREG(status->st_mode) && static_cast<std::uint64_t>(status->st_size) < octets;
}

bool directory_is_read_only(const std::string& path) {
    // With the rights of the moment, not with those the process began with.
    return ::faccessat(AT_FDCWD, directory_of(path).c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

void make_directory_of(const std::string& path) {
    const auto directory = directory_of(path);
    for (std::size_t end = 1; end != std::string::npos;) {
        end = directory.find('/', end + 1);
        const auto name = directory.substr(0, end);
        // mkdir() takes the umask off.
        if (::mkdir(name.c_str(), directory_mode) == 0) ::chmod(name.c_str(), directory_mode);
    }
}

bool make_private_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file_mode);
    if (file < 0) return false;
    bool done = ::fchmod(file, file_mode) == 0;
    const auto directory = status_of(directory_of(path));
    // A command that root runs must not leave files that the daemon cannot use.
    if (directory && ::geteuid() == 0) done = ::fchown(file, directory->st_uid, directory->st_gid) == 0 && done;
    ::close(file);
    return done;
}

void make_private(const std::string& path) {
    const auto status = status_of(path);
    if (status && S_ISREG(status->st_mode) && (status->st_mode & 07777) != file_mode)
        ::chmod(path.c_str(), file_mode);  // where it is another's, that fails, and is theirs to decide
}

void remove_database(const std::string& path) {
    for (const auto* end : {"", "-wal", "-shm", "-journal"}) ::unlink((path + end).c_str());
}

void sync_directory_of(const std::string& path) {
    const int directory = ::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    ::fsync(directory);
    ::close(directory);
}

std::string replacement_of(const std::string& path) { return path + ".replacement"; }

void finish_replacement(const std::string& path) {
    for (const auto* end : {"-wal", "-shm", "-journal"}) ::unlink((path + end).c_str());
    sync_directory_of(path);
    if (::rename(replacement_of(path).c_str(), path.c_str()) != 0)
        throw sqlite::Failure(sqlite::Failure::Kind::other,
                              "renaming " + replacement_of(path) + ": " + std::generic_category().message(errno));
    sync_directory_of(path);
}

std::string time_stamp() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 24> text{};
    std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
    return text.data();
}

}  // namespace popgate
