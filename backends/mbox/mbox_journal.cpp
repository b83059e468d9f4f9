#include "backends/mbox/mbox_journal.hpp"

#include "backends/files/local_file.hpp"
#include "backends/files/measure.hpp"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

namespace popgate::mbox {

using local::Descriptor;
using local::system_error;

namespace {

/// Which file it is. The number alone would be given to a new file once this one is removed.
struct Identity {
    std::uint64_t inode = 0;
    std::int64_t born_seconds = 0;
    std::uint64_t born_nanoseconds = 0;
    bool operator==(const Identity&) const = default;
};

/// The journal's beginning, in this machine's byte order; the data follows.
struct Header {
    std::array<char, 8> magic{'P', 'G', 'M', 'B', 'O', 'X', '1', '\n'};
    Identity identity;
    std::uint64_t cut = 0;       // where the data belongs
    std::uint64_t old_size = 0;  // of the file, when the journal was written
    std::uint64_t data_size = 0;
    std::array<char, 16> mark{};
    local::Digest digest{};  // of the data and of this header with an empty digest

    std::uint64_t new_size() const { return cut + data_size; }
    std::string_view mark_text() const {
        return {mark.data(), static_cast<std::size_t>(std::min<std::uint64_t>(mark.size(), old_size - new_size()))};
    }
};
static_assert(std::is_trivially_copyable_v<Header> && std::has_unique_object_representations_v<Header>);

enum class Phase : char { moving = 'm', cutting = 'c' };

constexpr std::uint64_t phase_offset = sizeof(Header);
constexpr std::uint64_t data_offset = sizeof(Header) + 1;

struct Journal {
    Descriptor file;
    Header header;
    Phase phase = Phase::moving;
};

struct Source {
    int file;
    Range range;
};

std::string journal_name(const Place& place) { return "." + place.name + ".popgate-journal"; }
std::string draft_name(const Place& place) { return journal_name(place) + ".new"; }

std::string_view bytes_of(const Header& header) { return {reinterpret_cast<const char*>(&header), sizeof header}; }

std::optional<Identity> identity_of(int file) {
    struct statx status {};
    if (::statx(file, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) != 0) return std::nullopt;
    if (!(status.stx_mask & STATX_BTIME)) return Identity{status.stx_ino, 0, 0};
    return Identity{status.stx_ino, status.stx_btime.tv_sec, status.stx_btime.tv_nsec};
}

std::optional<std::uint64_t> size_of(int file) {
    struct stat status {};
    if (::fstat(file, &status) != 0) return std::nullopt;
    return static_cast<std::uint64_t>(status.st_size);
}

bool make_durable(const Place& place) {
    const auto directory = local::open_at(place.directory, ".", O_RDONLY | O_DIRECTORY);
    return directory && ::fsync(directory.get()) == 0;
}

/// Gives each block of `range` to `take`, which answers false and leaves errno when it fails.
template <class Take>
Status each_block(const Source& source, Take take) {
    std::vector<char> block(local::block_size);
    for (auto at = source.range.begin; at < source.range.end;) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), source.range.end - at));
        const auto got = local::read_at(source.file, at, block.data(), size);
        if (got < 0) return system_error(errno, "reading");
        if (static_cast<std::size_t>(got) < size) return system_error(EIO, "reading: the file became shorter");
        if (!take(std::string_view(block.data(), size))) return system_error(errno, "writing");
        at += size;
    }
    return {};
}

/// Writes a journal that is complete and durable before it has its name. On failure, the old one is still there.
Result<Journal> write_journal(const Place& place, std::uint64_t cut, std::uint64_t old_size,
                              const std::vector<Source>& sources, const Step& step) {
    const auto draft = draft_name(place);
    const auto failed = [&](Error error) {
        ::unlinkat(place.directory, draft.c_str(), 0);
        error.detail = draft + ": " + error.detail;
        return error;
    };
    const auto failed_with_errno = [&](const char* what) { return failed(system_error(errno, what)); };

    step();
    ::unlinkat(place.directory, draft.c_str(), 0);
    Journal journal;
    journal.file = local::open_at(place.directory, draft, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (!journal.file) return failed_with_errno("creating");
    auto& header = journal.header;
    const auto identity = identity_of(place.file);
    if (!identity) return failed_with_errno("looking at the mbox");
    header.identity = *identity;
    header.cut = cut;
    header.old_size = old_size;
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(header.mark.data()), static_cast<int>(header.mark.size())) != 1)
        return failed(Error{Errc::temporary, "the mailbox is not available", "no random numbers"});

    local::Sha256 hash;
    for (const auto& source : sources) {
        const auto status = each_block(source, [&](std::string_view block) {
            step();
            if (!local::write_at(journal.file.get(), data_offset + header.data_size, block)) return false;
            hash.add(block);
            header.data_size += block.size();
            return true;
        });
        if (!status) return failed(status.error());
    }
    hash.add(bytes_of(header));
    header.digest = hash.finish();

    const char phase = static_cast<char>(Phase::moving);
    step();
    if (!local::write_at(journal.file.get(), 0, bytes_of(header)) ||
        !local::write_at(journal.file.get(), phase_offset, {&phase, 1}) || ::fsync(journal.file.get()) != 0)
        return failed_with_errno("writing");
    step();
    if (::renameat(place.directory, draft.c_str(), place.directory, journal_name(place).c_str()) != 0)
        return failed_with_errno("renaming");
    step();
    if (!make_durable(place)) return system_error(errno, "making the journal durable");
    return journal;
}

Status move_data(const Place& place, Journal& journal, const Step& step) {
    const auto& header = journal.header;
    auto to = header.cut;
    auto status =
        each_block({journal.file.get(), {data_offset, data_offset + header.data_size}}, [&](std::string_view block) {
            step();
            if (!local::write_at(place.file, to, block)) return false;
            to += block.size();
            return true;
        });
    if (!status) return status;
    step();
    if (!local::write_at(place.file, header.new_size(), header.mark_text()) || ::fdatasync(place.file) != 0)
        return system_error(errno, place.name);
    step();
    const char phase = static_cast<char>(Phase::cutting);
    if (!local::write_at(journal.file.get(), phase_offset, {&phase, 1}) || ::fdatasync(journal.file.get()) != 0)
        return system_error(errno, "journal");
    journal.phase = Phase::cutting;
    return {};
}

bool has_mark(const Place& place, const Header& header) {
    std::array<char, sizeof header.mark> found{};
    const auto mark = header.mark_text();
    const auto got = local::read_at(place.file, header.new_size(), found.data(), mark.size());
    return got == static_cast<std::ptrdiff_t>(mark.size()) && std::string_view(found.data(), mark.size()) == mark;
}

Status finish(const Place& place, Journal journal, const Step& step) {
    for (;;) {
        const auto& header = journal.header;
        const auto size = size_of(place.file);
        if (!size) return system_error(errno, place.name);

        if (journal.phase == Phase::cutting && !has_mark(place, header)) break;  // it has been cut
        if (*size < header.old_size)
            return Error{Errc::permanent, "the mailbox is damaged",
                         journal_name(place) + " does not fit the mailbox, which has become shorter"};

        if (*size > header.old_size) {
            const Source appended{place.file, {header.old_size, *size}};
            auto carrying =
                journal.phase == Phase::moving
                    ? write_journal(place, header.cut, *size,
                                    {{journal.file.get(), {data_offset, data_offset + header.data_size}}, appended},
                                    step)
                    : write_journal(place, header.new_size(), *size, {appended}, step);
            if (!carrying) return carrying.error();
            journal = std::move(*carrying);
            continue;
        }
        if (journal.phase == Phase::moving) {
            if (auto status = move_data(place, journal, step); !status) return status;
            continue;  // to look at the size once more: not every agent honours locks
        }
        step();
        if (::ftruncate(place.file, static_cast<off_t>(header.new_size())) != 0 || ::fsync(place.file) != 0)
            return system_error(errno, place.name);
        break;
    }
    step();
    if (::unlinkat(place.directory, journal_name(place).c_str(), 0) != 0 || !make_durable(place))
        return system_error(errno, journal_name(place));
    step();
    return {};
}

Result<Journal> read_journal(const Place& place, Descriptor file) {
    const Error unusable{Errc::permanent, "the mailbox is damaged",
                         journal_name(place) + " does not belong to this mailbox or is damaged"};
    Journal journal;
    journal.file = std::move(file);
    // In a directory that all may write to, a journal could be somebody else's gift.
    struct stat status {};
    if (::fstat(journal.file.get(), &status) != 0) return system_error(errno, journal_name(place));
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || status.st_nlink != 1) return unusable;

    std::array<char, data_offset> start{};
    if (local::read_at(journal.file.get(), 0, start.data(), start.size()) != static_cast<std::ptrdiff_t>(start.size()))
        return unusable;
    auto& header = journal.header;
    std::memcpy(&header, start.data(), sizeof header);
    journal.phase = static_cast<Phase>(start[phase_offset]);
    const auto identity = identity_of(place.file);
    if (!identity) return system_error(errno, place.name);
    if (header.magic != Header{}.magic || header.identity != *identity || header.new_size() < header.cut ||
        header.new_size() >= header.old_size || (journal.phase != Phase::moving && journal.phase != Phase::cutting))
        return unusable;

    local::Sha256 hash;
    auto read =
        each_block({journal.file.get(), {data_offset, data_offset + header.data_size}}, [&](std::string_view block) {
            hash.add(block);
            return true;
        });
    if (!read) return read.error();
    const auto digest = std::exchange(header.digest, {});
    hash.add(bytes_of(header));
    if (hash.finish() != digest) return unusable;
    return journal;
}

}  // namespace

Status cut_out(const Place& place, const std::vector<Range>& ranges, const Step& step) {
    if (ranges.empty()) return {};
    const auto size = size_of(place.file);
    if (!size) return system_error(errno, place.name);
    std::vector<Source> kept;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const Range range{ranges[i].end, i + 1 < ranges.size() ? ranges[i + 1].begin : *size};
        if (range.begin < range.end) kept.push_back({place.file, range});
    }
    auto journal = write_journal(place, ranges.front().begin, *size, kept, step);
    if (!journal) return journal.error();
    return finish(place, std::move(*journal), step);
}

Status recover(const Place& place, const Step& step) {
    auto file = local::open_at(place.directory, journal_name(place), O_RDWR);
    if (!file && errno == ENOENT) return {};
    if (!file) return system_error(errno, journal_name(place));
    auto journal = read_journal(place, std::move(file));
    if (!journal) return journal.error();
    return finish(place, std::move(*journal), step);
}

bool has_journal(const Place& place) {
    return ::faccessat(place.directory, journal_name(place).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

}  // namespace popgate::mbox
