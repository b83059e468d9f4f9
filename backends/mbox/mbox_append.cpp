#include "backends/mbox/mbox_append.hpp"

#include "backends/mbox/mbox_message.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace popgate::mbox {

using local::system_error;

namespace {

/// What must follow `end`, the last octets before, so that the next message begins after an empty line.
std::string_view missing_end(std::string_view end) {
    if (end.empty() || end.ends_with("\n\n") || end.ends_with("\n\r\n")) return {};
    return end.ends_with('\n') ? "\n" : "\n\n";
}

/// Writes behind the end of a file.
class Appender {
public:
    Appender(int file, std::uint64_t size) : file_(file), size_(size) {}

    /// Learns what the file ends with; an error when it is no mbox.
    Status begin() {
        std::array<char, separator_start.size()> start{};
        const auto got = local::read_at(file_, 0, start.data(), std::min<std::uint64_t>(start.size(), size_));
        if (got < 0) return system_error(errno, "mbox");
        if (size_ > 0 && std::string_view(start.data(), static_cast<std::size_t>(got)) != separator_start)
            return Error{Errc::permanent, "the folder is not available",
                         "not an mbox: it does not begin with \"From \""};
        end_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size_, longest_end)));
        if (local::read_at(file_, size_ - end_.size(), end_.data(), end_.size()) < 0)
            return system_error(errno, "mbox");
        return close_message();
    }

    Status add(std::string_view piece) {
        if (!local::write_at(file_, size_, piece)) return system_error(errno, "appending to the folder");
        size_ += piece.size();
        end_ += piece.substr(piece.size() - std::min(piece.size(), longest_end));
        end_.erase(0, end_.size() - std::min(end_.size(), longest_end));
        return {};
    }

    Status close_message() { return add(missing_end(end_)); }

private:
    static constexpr std::size_t longest_end = 3;

    int file_;
    std::uint64_t size_;
    std::string end_;
};

Status append(int from, const std::vector<Range>& ranges, int to, std::uint64_t size) {
    Appender appender(to, size);
    if (auto status = appender.begin(); !status) return status;
    std::vector<char> block(local::block_size);
    for (const auto& range : ranges) {
        for (auto at = range.begin; at < range.end;) {
            const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), range.end - at));
            const auto got = local::read_at(from, at, block.data(), wanted);
            if (got < 0) return system_error(errno, "mbox");
            if (static_cast<std::size_t>(got) < wanted) return system_error(EIO, "the mbox became shorter");
            if (auto status = appender.add({block.data(), wanted}); !status) return status;
            at += wanted;
        }
        if (auto status = appender.close_message(); !status) return status;
    }
    if (::fsync(to) != 0) return system_error(errno, "making the folder durable");
    return {};
}

}  // namespace

Status move_messages(const LockedMbox& from, const std::vector<Range>& ranges, const LockedMbox& to) {
    if (!from.writable() || !to.writable())
        return Error{Errc::permanent, "messages cannot be moved from this mailbox", "not writable"};
    const auto before = stamp_of(to.file());
    if (!before) return before.error();
    auto status = append(from.file(), ranges, to.file(), before->size);
    if (status) {
        status = from.cut(ranges);
        if (status || from.will_be_cut()) return status;
    }
    // They are still all here, so there they must not be.
    if (::ftruncate(to.file(), static_cast<off_t>(before->size)) != 0 || ::fsync(to.file()) != 0)
        status.error().detail += "; and the copy in the folder could not be undone";
    return status;
}

}  // namespace popgate::mbox
