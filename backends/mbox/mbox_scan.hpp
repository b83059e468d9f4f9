#pragma once

#include "backends/mbox/mbox_lock.hpp"
#include "backends/mbox/mbox_message.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// What is where in an mbox. All of it blocks: for the blocking pool only.
namespace popgate::mbox {

/// One message as a scan found it, in the order of the file.
struct Entry {
    Fingerprint fingerprint{};
    std::uint32_t occurrence = 0;  ///< of messages that are equal, the how manieth: from 0
    Range range;                   ///< from its "From " line to the next one or the end of the file
    std::uint64_t octets = 0;
    std::int64_t arrival = 0;
};

/// The fingerprint, and the occurrence where it is not the first.
std::string id_of(const Entry& entry);

struct Contents {
    Stamp stamp;
    std::vector<Entry> entries;
};

/// A scan of a locked mbox: step() until done(). Holds the lock.
class Scan {
public:
    explicit Scan(std::shared_ptr<LockedMbox> mbox) : mbox_(std::move(mbox)) {}

    /// Starts; done() at once when the file is as it was at an earlier scan of this process.
    Status begin();
    bool done() const { return contents_ != nullptr; }
    /// Reads on for a while.
    Status step();
    const std::shared_ptr<const Contents>& contents() const { return contents_; }

private:
    Status read_block();
    void finish();

    std::shared_ptr<LockedMbox> mbox_;
    std::shared_ptr<Contents> found_ = std::make_shared<Contents>();
    std::shared_ptr<const Contents> contents_;
    std::string buffer_;  // read, but not yet taken by the reader
    std::uint64_t read_to_ = 0;
    std::uint64_t begin_ = 0;  // of the message under way
    MessageReader reader_;
};

/// One message while it is streamed, from a file that is not locked: what is given is checked against the message's
/// fingerprint before its last octets are given.
class Reading {
public:
    /// Errc::gone: the message is not where `entry` has it. That is known for sure before the first octet, unless the
    /// file changes later or has the stamp `trusted`.
    static Result<std::shared_ptr<Reading>> open(const local::UserPath& path, const Entry& entry, const Stamp& trusted);

    bool done() const { return done_; }
    /// The next octets; may be none.
    Status step(std::size_t limit);
    const std::string& piece() const { return piece_; }

private:
    Reading(local::Descriptor file, const Entry& entry) : file_(std::move(file)), entry_(entry) { rewind(); }
    void rewind();

    local::Descriptor file_;
    Entry entry_;
    std::uint64_t read_to_ = 0;
    std::string buffer_;
    std::string piece_;
    MessageReader reader_;
    bool done_ = false;
};

}  // namespace popgate::mbox
