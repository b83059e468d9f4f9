#include "backends/mbox/mbox_scan.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <list>
#include <mutex>
#include <numeric>
#include <tuple>
#include <utility>

namespace popgate::mbox {

using local::system_error;

namespace {

constexpr auto step_time = std::chrono::milliseconds(50);

/// What files held that have not changed since, so that a client that asks every minute does not have all read again.
/// Bounded by the number of messages.
class ContentsCache {
public:
    std::shared_ptr<const Contents> find(const Stamp& stamp) {
        const std::lock_guard lock(mutex_);
        const auto found =
            std::find_if(recent_.begin(), recent_.end(), [&](const auto& c) { return c->stamp == stamp; });
        if (found == recent_.end()) return nullptr;
        recent_.splice(recent_.begin(), recent_, found);
        return recent_.front();
    }

    void add(const std::shared_ptr<const Contents>& contents) {
        const std::lock_guard lock(mutex_);
        // An older state of the same file is of no more use.
        std::erase_if(recent_, [&](const auto& c) {
            return std::tie(c->stamp.device, c->stamp.inode) == std::tie(contents->stamp.device, contents->stamp.inode);
        });
        recent_.push_front(contents);
        std::size_t messages = 0, files = 0;
        const auto surplus = std::find_if(recent_.begin(), recent_.end(), [&](const auto& c) {
            messages += c->entries.size();
            return ++files > most_files || messages > most_messages;
        });
        recent_.erase(surplus, recent_.end());
    }

private:
    static constexpr std::size_t most_messages = 200'000;  // of 64 octets each
    static constexpr std::size_t most_files = 1000;

    std::mutex mutex_;
    std::list<std::shared_ptr<const Contents>> recent_;
};

ContentsCache& contents_cache() {
    static ContentsCache cache;
    return cache;
}

/// Appends up to a block of the file, not beyond `end`; false and errno at a failure.
bool read_more(int file, std::uint64_t& read_to, std::uint64_t end, std::size_t limit, std::string& buffer) {
    const auto had = buffer.size();
    buffer.resize(had + static_cast<std::size_t>(std::min<std::uint64_t>(limit, end - read_to)));
    const auto got = local::read_at(file, read_to, buffer.data() + had, buffer.size() - had);
    const bool is_whole = got >= 0 && had + static_cast<std::size_t>(got) == buffer.size();
    if (got >= 0 && !is_whole) errno = EIO;  // shorter than it was
    read_to += buffer.size() - had;
    return is_whole;
}

/// A file's times move in steps of some milliseconds: a second change within one of them leaves no trace.
bool is_settled(const Stamp& stamp) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const auto age =
        (now.tv_sec - stamp.changed_seconds) * 1000 + (now.tv_nsec - stamp.changed_nanoseconds) / 1'000'000;
    return age >= 20;
}

}  // namespace

std::string id_of(const Entry& entry) {
    auto id = local::to_hex(entry.fingerprint.data(), entry.fingerprint.size());
    if (entry.occurrence > 0) id += "-" + std::to_string(entry.occurrence + 1);
    return id;
}

Status Scan::begin() {
    const auto stamp = stamp_of(mbox_->file());
    if (!stamp) return stamp.error();
    found_->stamp = *stamp;
    contents_ = contents_cache().find(*stamp);
    if (!contents_ && stamp->size == 0) finish();
    return {};
}

Status Scan::step() {
    mbox_->refresh();
    const auto end = Clock::now() + step_time;
    while (!done() && Clock::now() < end)
        if (auto status = read_block(); !status) return status;
    return {};
}

Status Scan::read_block() {
    const auto size = found_->stamp.size;
    const bool first = read_to_ == 0;
    if (!read_more(mbox_->file(), read_to_, size, local::block_size, buffer_)) return system_error(errno, "mbox");
    if (first && buffer_.compare(0, separator_start.size(), separator_start) != 0)
        return Error{Errc::permanent, "the mailbox is not available", "not an mbox: it does not begin with \"From \""};

    const bool last = read_to_ == size;
    std::string_view rest = buffer_;
    do {
        rest.remove_prefix(reader_.take(rest, last));
        if (!reader_.done()) break;
        const auto end = read_to_ - rest.size();
        found_->entries.push_back({reader_.fingerprint(), 0, {begin_, end}, reader_.octets(), reader_.arrival()});
        begin_ = end;
        reader_.reset();
    } while (!rest.empty());
    buffer_.erase(0, buffer_.size() - rest.size());
    if (last) finish();
    return {};
}

void Scan::finish() {
    auto& entries = found_->entries;
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return entries[a].fingerprint < entries[b].fingerprint; });
    for (std::size_t i = 1; i < order.size(); ++i)
        if (entries[order[i]].fingerprint == entries[order[i - 1]].fingerprint)
            entries[order[i]].occurrence = entries[order[i - 1]].occurrence + 1;
    entries.shrink_to_fit();
    // Not every program honours locks.
    const auto stamp = stamp_of(mbox_->file());
    if (stamp && *stamp == found_->stamp && is_settled(*stamp)) contents_cache().add(found_);
    contents_ = found_;
}

Result<std::shared_ptr<Reading>> Reading::open(const local::UserPath& path, const Entry& entry, const Stamp& trusted) {
    const auto directory = path.open_parent();
    if (!directory) return directory.error();
    auto mbox = open_mbox(directory->get(), path.leaf());
    const Error moved{Errc::gone, "the message is gone", {}};
    if (!mbox.file && errno == ENOENT) return moved;
    if (!mbox.file) return system_error(errno, path.text());
    const auto stamp = stamp_of(mbox.file.get());
    if (!stamp) return stamp.error();
    if (stamp->size < entry.range.end) return moved;

    const std::shared_ptr<Reading> reading(new Reading(std::move(mbox.file), entry));
    if (*stamp == trusted) return reading;
    while (!reading->done())
        if (auto status = reading->step(local::block_size); !status) return moved;
    reading->rewind();
    return reading;
}

void Reading::rewind() {
    read_to_ = entry_.range.begin;
    buffer_.clear();
    reader_.reset();
    done_ = false;
}

Status Reading::step(std::size_t limit) {
    piece_.clear();
    if (!read_more(file_.get(), read_to_, entry_.range.end, limit, buffer_)) return system_error(errno, "mbox");
    const bool last = read_to_ == entry_.range.end;
    buffer_.erase(0, reader_.take(buffer_, last, &piece_));
    if (!last && !reader_.done()) return {};
    done_ = true;
    if (buffer_.empty() && reader_.fingerprint() == entry_.fingerprint) return {};
    piece_.clear();
    return Error{Errc::temporary, "the message changed while it was read", "the mbox was rewritten by another program"};
}

}  // namespace popgate::mbox
