#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {

/// A set of numbers from 1 on, in as few ranges as it takes: a server may name billions in twelve octets.
class UidSet {
public:
    struct Range {
        std::uint32_t first = 0;
        std::uint32_t last = 0;
        bool operator==(const Range&) const = default;
    };

    /// In any order; 0 is no UID and left out. Before anything is asked, settle() must have been called.
    void add(std::uint32_t first, std::uint32_t last);
    void add(std::uint32_t uid) { add(uid, uid); }
    /// Adds an IMAP sequence set without "*", such as "3:1,7" (RFC 3501 §9). False, with some of it added, when it is
    /// none, or as soon as the set holds more than `most_ranges`.
    bool add_text(std::string_view text, std::size_t most_ranges);
    /// Sorts, and joins what touches.
    void settle();

    bool empty() const { return ranges_.empty(); }
    std::uint64_t size() const;
    bool contains(std::uint32_t uid) const;
    const std::vector<Range>& ranges() const { return ranges_; }

private:
    std::vector<Range> ranges_;
};

/// UIDs as IMAP sequence sets ("1:3,7"), in as many strings as are needed to keep each below `longest` octets: servers
/// bound the length of a command line (RFC 7162 asks for 8,192).
std::vector<std::string> make_uid_sets(std::vector<std::uint32_t> uids, std::size_t longest = 4000);

}  // namespace popgate::imap
