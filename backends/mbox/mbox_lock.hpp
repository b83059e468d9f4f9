#pragma once

#include "backends/files/local_file.hpp"
#include "backends/mbox/mbox_journal.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

struct stat;

namespace popgate::mbox {

/// Which file it was and in which state. An equal stamp means an unchanged file.
struct Stamp {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_seconds = 0, modified_nanoseconds = 0, changed_seconds = 0, changed_nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
};
Result<Stamp> stamp_of(int file);

/// Opens an mbox without locking it; writable when permissions allow, or else to read only. errno tells of a failure.
struct OpenMbox {
    local::Descriptor file;
    bool writable = false;
};
OpenMbox open_mbox(int directory, const std::string& name);

/// An mbox, open and locked against delivery agents, other mail programs and other sessions. Blocks in all it does,
/// its destructor, which unlocks, too: for the blocking pool only.
class LockedMbox {
public:
    /// One try. Errc::in_use: somebody else has it now. A null pointer: there is no such file.
    /// When it succeeds, a removal that a crash interrupted has been finished.
    static Result<std::shared_ptr<LockedMbox>> try_lock(const local::UserPath& path);

    /// Makes an empty mbox, for the owner of `like` alone, unless there is one.
    static Status make(const local::UserPath& path, const LockedMbox& like);

    LockedMbox(const LockedMbox&) = delete;
    LockedMbox& operator=(const LockedMbox&) = delete;
    ~LockedMbox();

    int file() const { return mbox_.file.get(); }
    bool writable() const { return mbox_.writable; }

    /// Tells those who wait that the lock is not a forgotten one; to be called every minute.
    void refresh() const;

    /// Removes parts of the file; see cut_out().
    Status cut(const std::vector<Range>& ranges) const;

    /// After cut() has failed: true when it will be done all the same, as soon as the mbox is locked again.
    bool will_be_cut() const;

private:
    LockedMbox(local::Descriptor directory, OpenMbox mbox, std::string name)
        : directory_(std::move(directory)), mbox_(std::move(mbox)), name_(std::move(name)) {}

    Status lock_dotfile();
    bool dotfile_is_forgotten() const;
    bool is_still_in_place() const;
    Place place() const { return {directory_.get(), file(), name_}; }

    local::Descriptor directory_;
    OpenMbox mbox_;
    std::string name_;
    local::Descriptor dotfile_;  // none where the directory does not let us
};

}  // namespace popgate::mbox
