#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// Cuts messages out of an mbox in place, so that a crash at any moment loses nothing.
///
/// A file that delivery agents hold open cannot be replaced, and one that is rewritten in place is for a while neither
/// old nor new. So all that is to stay behind the first removed message is first written to a journal beside it
/// (`.NAME.popgate-journal`), and made durable. From then on the removal will be done, if not now then by recover():
///
///   1. the journal's data goes to its place in the file; behind it, where the file is going to end, a random mark;
///   2. when that is durable, the journal says so;
///   3. the file is cut off where the mark is, and the journal removed.
///
/// Mail may be appended after a crash, by agents that know nothing of the journal. In the first phase it lies behind
/// the file's old end; in the second, the mark tells whether the file was cut before it came. Either way it is carried
/// along, by a new journal that replaces the old one.
namespace popgate::mbox {

/// A locked mbox: its directory, its name there, and the file itself, open to read and write.
struct Place {
    int directory = -1;
    int file = -1;
    std::string name;
};

struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool operator==(const Range&) const = default;
};

/// Called before every change of the disk; a test ends the process there.
using Step = std::function<void()>;

/// Removes `ranges`, which are in order, do not overlap and are not empty. After an error nothing has changed, or the
/// journal is there and recover() will finish.
Status cut_out(
    const Place& place, const std::vector<Range>& ranges, const Step& step = [] {});

/// Finishes what a crash interrupted; to be called whenever the lock has been taken.
Status recover(
    const Place& place, const Step& step = [] {});

/// Whether there is something for recover() to finish; true also when that cannot be seen.
bool has_journal(const Place& place);

}  // namespace popgate::mbox
