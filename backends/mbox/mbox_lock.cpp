#include "backends/mbox/mbox_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <string_view>
#include <utility>

namespace popgate::mbox {

using local::Descriptor;
using local::system_error;

namespace {

constexpr auto forgotten_after = 300;  // seconds, as liblockfile has it
constexpr std::string_view our_note = "popgate";

Error busy() { return {Errc::in_use, "the mailbox is locked by another program, please wait", {}}; }

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

bool is_alive(pid_t process) { return process > 0 && (::kill(process, 0) == 0 || errno == EPERM); }

std::string dotfile_name(const std::string& name) { return name + ".lock"; }

}  // namespace

Result<Stamp> stamp_of(int file) {
    struct stat status {};
    if (::fstat(file, &status) != 0) return system_error(errno, "mbox");
    return Stamp{status.st_dev,         status.st_ino,          static_cast<std::uint64_t>(status.st_size),
                 status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                 status.st_ctim.tv_nsec};
}

OpenMbox open_mbox(int directory, const std::string& name) {
    OpenMbox mbox{local::open_at(directory, name, O_RDWR), true};
    if (!mbox.file && (errno == EACCES || errno == EROFS || errno == EPERM))
        mbox = {local::open_at(directory, name, O_RDONLY), false};
    return mbox;
}

Result<std::shared_ptr<LockedMbox>> LockedMbox::try_lock(const local::UserPath& path) {
    auto directory = path.open_parent();
    if (!directory) return directory.error();
    auto mbox = open_mbox(directory->get(), path.leaf());
    if (!mbox.file && errno == ENOENT) return std::shared_ptr<LockedMbox>();
    if (!mbox.file) return system_error(errno, path.text());
    struct stat status {};
    if (::fstat(mbox.file.get(), &status) != 0) return system_error(errno, path.text());
    if (!S_ISREG(status.st_mode))
        return Error{Errc::permanent, "the mailbox is not available", path.text() + " is not a regular file"};

    const std::shared_ptr<LockedMbox> locked(new LockedMbox(std::move(*directory), std::move(mbox), path.leaf()));

    // First fcntl, then the dotfile, as Debian's policy (11.6) has it. An open-file-description lock respects and stops
    // those of other programs, and unlike theirs is not lost when another session here closes the same file.
    struct flock whole {};
    whole.l_type = static_cast<short>(locked->mbox_.writable ? F_WRLCK : F_RDLCK);
    whole.l_whence = SEEK_SET;
    if (::fcntl(locked->file(), F_OFD_SETLK, &whole) != 0) {
        if (errno == EAGAIN || errno == EACCES) return busy();
        return system_error(errno, "locking " + path.text());
    }
    if (auto status_of_dotfile = locked->lock_dotfile(); !status_of_dotfile) return status_of_dotfile.error();
    if (!locked->is_still_in_place()) return busy();

    if (auto recovered = recover(locked->place()); !recovered) return recovered.error();
    return locked;
}

Status LockedMbox::make(const local::UserPath& path, const LockedMbox& like) {
    const auto directory = path.open_parent();
    if (!directory) return directory.error();
    struct stat owner {
    }, made{};
    if (::fstat(like.file(), &owner) != 0) return system_error(errno, like.name_);
    // It appears with its owner, as it could not be given to them after a crash between the two.
    static std::atomic<unsigned> drafts = 0;
    const auto draft = "." + path.leaf() + ".popgate-" + std::to_string(::getpid()) + "-" + std::to_string(++drafts);
    ::unlinkat(directory->get(), draft.c_str(), 0);
    const auto file = local::open_at(directory->get(), draft, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (!file) return system_error(errno, path.text());
    int error = 0;
    if (::fstat(file.get(), &made) != 0) error = errno;
    // A group that only root can give is no reason to fail: the mode gives it nothing.
    if (error == 0 && (made.st_uid != owner.st_uid || made.st_gid != owner.st_gid) &&
        ::fchown(file.get(), owner.st_uid, owner.st_gid) != 0 && made.st_uid != owner.st_uid)
        error = errno;
    if (error == 0 && ::linkat(directory->get(), draft.c_str(), directory->get(), path.leaf().c_str(), 0) != 0)
        error = errno;
    ::unlinkat(directory->get(), draft.c_str(), 0);
    if (error != 0 && error != EEXIST) return system_error(error, path.text());
    const auto readable = local::open_at(directory->get(), ".", O_RDONLY | O_DIRECTORY);
    if (readable && ::fsync(readable.get()) != 0) return system_error(errno, path.text());
    return {};
}

Status LockedMbox::lock_dotfile() {
    if (!mbox_.writable) return {};  // who can only read harms nobody, and checks what it reads
    const auto dotfile = dotfile_name(name_);
    // It appears with its contents, as a crash between the two would leave a lock of which nobody knows whose it is.
    // One name for the draft is enough: only the holder of the fcntl lock makes it.
    const auto draft = "." + name_ + ".popgate-lock";
    for (const bool again : {false, true}) {
        ::unlinkat(directory_.get(), draft.c_str(), 0);
        dotfile_ = local::open_at(directory_.get(), draft, O_WRONLY | O_CREAT | O_EXCL, 0644);
        const auto text = std::to_string(::getpid()) + "\n" + std::string(our_note) + "\n";
        const bool is_made = dotfile_ && local::write_at(dotfile_.get(), 0, text) &&
                             ::linkat(directory_.get(), draft.c_str(), directory_.get(), dotfile.c_str(), 0) == 0;
        const int error = errno;
        if (dotfile_) ::unlinkat(directory_.get(), draft.c_str(), 0);
        if (is_made) return {};
        dotfile_ = {};
        switch (error) {
            case EACCES:
            case EPERM:
            case EROFS:
            case ENOSPC:
            case EDQUOT:
            case ENAMETOOLONG: return {};  // then the fcntl lock alone must do
            case EEXIST: break;
            default: return system_error(error, dotfile);
        }
        if (again || !dotfile_is_forgotten()) break;
        ::unlinkat(directory_.get(), dotfile.c_str(), 0);
    }
    return busy();
}

// Only asked by the holder of the fcntl lock, so no two sessions remove the same one.
bool LockedMbox::dotfile_is_forgotten() const {
    const auto file = local::open_at(directory_.get(), dotfile_name(name_), O_RDONLY);
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) return false;
    std::array<char, 64> text{};
    const auto size = local::read_at(file.get(), 0, text.data(), text.size());
    if (size < 0) return false;
    const std::string_view content(text.data(), static_cast<std::size_t>(size));
    pid_t process = 0;
    std::from_chars(content.data(), content.data() + content.size(), process);

    // A popgate that still worked on the mailbox would hold the fcntl lock, which we have.
    const bool is_ours = content.find(our_note) != std::string_view::npos;
    if (is_ours && (process == ::getpid() || !is_alive(process))) return true;
    return std::time(nullptr) - status.st_mtim.tv_sec > forgotten_after && !is_alive(process);
}

bool LockedMbox::is_still_in_place() const {
    struct stat opened {
    }, named{};
    return ::fstat(file(), &opened) == 0 &&
           ::fstatat(directory_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && same_file(opened, named);
}

LockedMbox::~LockedMbox() {
    if (!dotfile_) return;
    struct stat ours {
    }, named{};
    const auto dotfile = dotfile_name(name_);
    if (::fstat(dotfile_.get(), &ours) == 0 &&
        ::fstatat(directory_.get(), dotfile.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && same_file(ours, named))
        ::unlinkat(directory_.get(), dotfile.c_str(), 0);
}

void LockedMbox::refresh() const {
    if (dotfile_) ::futimens(dotfile_.get(), nullptr);
}

Status LockedMbox::cut(const std::vector<Range>& ranges) const {
    if (!mbox_.writable)
        return Error{Errc::permanent, "messages cannot be removed from this mailbox", name_ + ": not writable"};
    return cut_out(place(), ranges);
}

bool LockedMbox::will_be_cut() const { return has_journal(place()); }

}  // namespace popgate::mbox
