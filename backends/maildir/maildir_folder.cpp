#include "backends/maildir/maildir_folder.hpp"

#include "backends/files/measure.hpp"
#include "backends/maildir/maildir_files.hpp"
#include "backends/modified_utf7.hpp"

#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <vector>

namespace popgate::maildir {

using local::Descriptor;
using local::system_error;

namespace {

constexpr std::size_t longest_name = 255;  // of a file

std::string random_hex() {
    std::array<unsigned char, 8> bytes{};
    // Should there be none, the name may be taken: that is an error then, as nothing is overwritten.
    (void)::RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    return local::to_hex(bytes.data(), bytes.size());
}

/// What is made belongs to whom the Maildir belongs to, should popgate be root, and lets in whom that lets in.
bool adopt(int directory, const char* name, unsigned mode, const struct stat& maildir) {
    const auto made = local::open_at(directory, name, O_RDONLY);
    if (!made) return false;
    if (::geteuid() == 0 && ::fchown(made.get(), maildir.st_uid, maildir.st_gid) != 0) return false;
    return ::fchmod(made.get(), mode) == 0;
}

bool make_directory(int directory, const char* name, const struct stat& maildir) {
    if (::mkdirat(directory, name, 0700) != 0) return errno == EEXIST;
    return adopt(directory, name, maildir.st_mode & 07777, maildir);
}

/// `cur` comes last: where it is, all is there.
bool make_folder(int root, const std::string& name) {
    struct stat maildir {};
    if (::fstat(root, &maildir) != 0 || !make_directory(root, name.c_str(), maildir)) return false;
    const auto folder = local::open_at(root, name, O_RDONLY | O_DIRECTORY);
    if (!folder) return false;
    for (const auto* part : {"tmp", "new"})
        if (!make_directory(folder.get(), part, maildir)) return false;
    // Delivery agents know by this empty file that they are in a folder.
    if (const auto mark = local::open_at(folder.get(), "maildirfolder", O_WRONLY | O_CREAT | O_EXCL, 0600)) {
        if (!adopt(folder.get(), "maildirfolder", maildir.st_mode & 0666, maildir)) return false;
    } else if (errno != EEXIST) {
        return false;
    }
    return make_directory(folder.get(), "cur", maildir) && ::fsync(folder.get()) == 0;
}

std::optional<Target> try_open(int root, const std::string& name) {
    const auto folder = local::open_at(root, name, O_RDONLY | O_DIRECTORY);
    if (!folder) return std::nullopt;
    Target target{local::open_at(folder.get(), "cur", O_RDONLY | O_DIRECTORY), {}};
    if (!target.cur) return std::nullopt;
    target.tmp = local::open_at(folder.get(), "tmp", O_RDONLY | O_DIRECTORY);
    if (!target.tmp) return std::nullopt;
    return target;
}

/// rename() that overwrites nothing.
int rename_to_new(int from_directory, const std::string& from, int to_directory, const std::string& to) {
    if (::renameat2(from_directory, from.c_str(), to_directory, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (::linkat(from_directory, from.c_str(), to_directory, to.c_str(), 0) != 0) return errno;
    if (::unlinkat(from_directory, from.c_str(), 0) == 0) return 0;
    const int error = errno;  // renamed by another program meanwhile, perhaps
    ::unlinkat(to_directory, to.c_str(), 0);
    return error;
}

int copy_contents(int from, int to) {
    std::vector<char> block(local::block_size);
    for (std::uint64_t offset = 0;;) {
        const auto got = local::read_at(from, offset, block.data(), block.size());
        if (got < 0) return errno;
        if (got == 0) return 0;
        if (!local::write_at(to, offset, {block.data(), static_cast<std::size_t>(got)})) return errno;
        offset += static_cast<std::uint64_t>(got);
    }
}

/// The copy is whole and on the disk before the original goes.
int move_by_copy(int directory, const std::string& name, const Target& target, const std::string& to) {
    const auto original = local::open_at(directory, name, O_RDONLY);
    struct stat status {};
    if (!original || ::fstat(original.get(), &status) != 0) return errno;
    const auto draft = "popgate." + random_hex();
    const auto copy = local::open_at(target.tmp.get(), draft, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!copy) return errno;
    const auto failed = [&](int error) {
        ::unlinkat(target.tmp.get(), draft.c_str(), 0);
        return error;
    };
    if (const int error = copy_contents(original.get(), copy.get())) return failed(error);
    if (::geteuid() == 0 && ::fchown(copy.get(), status.st_uid, status.st_gid) != 0) return failed(errno);
    // A file's time is what other programs take for the message's arrival.
    const std::array times{status.st_atim, status.st_mtim};
    if (::fchmod(copy.get(), status.st_mode & 0777) != 0 || ::futimens(copy.get(), times.data()) != 0 ||
        ::fsync(copy.get()) != 0)
        return failed(errno);
    if (const int error = rename_to_new(target.tmp.get(), draft, target.cur.get(), to)) return failed(error);
    if (::fsync(target.cur.get()) == 0 && ::unlinkat(directory, name.c_str(), 0) == 0) return 0;
    const int error = errno;
    ::unlinkat(target.cur.get(), to.c_str(), 0);
    return error;
}

int put(int directory, const std::string& name, const Target& target, const std::string& to) {
    const int error = rename_to_new(directory, name, target.cur.get(), to);
    return error == EXDEV ? move_by_copy(directory, name, target, to) : error;
}

/// Nothing and errno when one of them cannot be read.
std::optional<bool> same_contents(int directory, const std::string& name, int other_directory,
                                  const std::string& other_name) {
    const auto one = local::open_at(directory, name, O_RDONLY);
    if (!one) return std::nullopt;
    const auto other = local::open_at(other_directory, other_name, O_RDONLY);
    if (!other) return std::nullopt;
    std::vector<char> block(local::block_size), other_block(local::block_size);
    for (std::uint64_t offset = 0;;) {
        const auto got = local::read_at(one.get(), offset, block.data(), block.size());
        const auto other_got = local::read_at(other.get(), offset, other_block.data(), other_block.size());
        if (got < 0 || other_got < 0) return std::nullopt;
        if (got != other_got || !std::equal(block.begin(), block.begin() + got, other_block.begin())) return false;
        if (got == 0) return true;
        offset += static_cast<std::uint64_t>(got);
    }
}

/// Another unique name with the same time of delivery, and the same size where the name tells one (",S=123").
std::string another_name(const std::string& base) {
    const auto dot = std::min(base.find('.'), base.size());
    return base.substr(0, dot) + ".R" + random_hex() + (dot < base.size() ? base.substr(dot) : std::string());
}

}  // namespace

Result<std::string> folder_directory(std::string_view utf8) {
    const auto wrong = [&](const char* why) {
        return Error{Errc::permanent, "\"" + std::string(utf8) + "\" cannot be the name of a folder: " + why, {}};
    };
    auto name = to_modified_utf7(utf8);
    if (!name) return wrong("it is not UTF-8 or holds control characters");
    std::replace(name->begin(), name->end(), '/', '.');
    name->insert(name->begin(), '.');
    if (name->back() == '.' || name->find("..") != std::string::npos) return wrong("a level of it is empty");
    if (name->size() > longest_name) return wrong("it is too long");
    if (::strcasecmp(name->c_str(), ".INBOX") == 0) return wrong("that is where the messages are");
    return std::move(*name);
}

Result<Target> open_target(const local::UserPath& maildir, const std::string& directory) {
    const auto place = maildir.open_directory();
    if (!place) return place.error();
    const auto root = local::open_at(place->get(), ".", O_RDONLY | O_DIRECTORY);
    if (!root) return system_error(errno, maildir.text());
    auto target = try_open(root.get(), directory);
    if (!target && errno == ENOENT && make_folder(root.get(), directory)) target = try_open(root.get(), directory);
    if (!target) return system_error(errno, maildir.text() + "/" + directory);
    return std::move(*target);
}

int move_file(int directory, const std::string& name, const Target& target) {
    const auto base = base_name(name);
    const auto suffix = base.size() < name.size() ? name.substr(base.size()) : ":2,";
    const int error = put(directory, name, target, base + suffix);
    if (error != EEXIST) return error;
    const auto same = same_contents(directory, name, target.cur.get(), base + suffix);
    if (!same) return errno;
    if (*same) return ::unlinkat(directory, name.c_str(), 0) == 0 ? 0 : errno;
    return put(directory, name, target, another_name(base) + suffix);
}

}  // namespace popgate::maildir
