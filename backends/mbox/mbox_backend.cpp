#include "backends/mbox/mbox_backend.hpp"

#include "backends/mbox/mbox_append.hpp"
#include "backends/mbox/mbox_scan.hpp"
#include "backends/unique_id_format.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

namespace popgate {

namespace {

using local::on_pool;
using mbox::Contents;

constexpr auto longest_lock_wait = std::chrono::seconds(30);
constexpr auto first_pause = std::chrono::milliseconds(20);
constexpr auto longest_pause = std::chrono::milliseconds(500);
constexpr std::size_t top_block = 8 * 1024;
constexpr std::uint64_t slowest_rewriting = 10 * 1024 * 1024;  // octets a second

constexpr std::uint32_t nowhere = UINT32_MAX;

/// Where the snapshot's messages are in what the file holds now. Equal messages count in their order, without those
/// that this session has removed.
std::vector<std::uint32_t> match(const Contents& snapshot, const std::vector<bool>& removed, const Contents& now) {
    using Key = std::pair<mbox::Fingerprint, std::uint32_t>;
    std::map<Key, std::uint32_t> places;
    for (std::uint32_t i = 0; i < now.entries.size(); ++i)
        places.emplace(Key{now.entries[i].fingerprint, now.entries[i].occurrence}, i);
    std::map<mbox::Fingerprint, std::uint32_t> seen;
    std::vector<std::uint32_t> matches(snapshot.entries.size(), nowhere);
    for (std::size_t i = 0; i < matches.size(); ++i) {
        if (removed[i]) continue;
        const auto& fingerprint = snapshot.entries[i].fingerprint;
        const auto place = places.find({fingerprint, seen[fingerprint]++});
        if (place != places.end()) matches[i] = place->second;
    }
    return matches;
}

/// Where messages are moved to; nothing where the route names no such file.
struct FolderPaths {
    std::optional<local::UserPath> trash, archive;
};

class MboxMailbox final : public Mailbox {
public:
    MboxMailbox(Fiber& fiber, local::UserPath path, FolderPaths folders, std::chrono::milliseconds limit)
        : fiber_(fiber), path_(std::move(path)), folders_(std::move(folders)), limit_(limit) {}

    Result<Listing> list(KnownMailbox) override {
        if (auto status = take_snapshot(); !status) return status.error();
        return on_pool(fiber_, limit_, [snapshot = snapshot_]() -> Result<Listing> {
            Listing listing;
            listing.messages.reserve(snapshot->entries.size());
            for (const auto& entry : snapshot->entries)
                listing.messages.push_back({.id = mbox::id_of(entry),
                                            .octets = entry.octets,
                                            .arrival = entry.arrival,
                                            .octets_are_exact = true});
            return listing;
        });
    }

    std::string unique_id(const MessageInfo& message) const override { return message.id; }

    Status fetch(const MessageInfo& message, BodySink& sink) override {
        return stream(message, sink, local::block_size);
    }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override { return stream(message, sink, top_block); }

    RemovalReport remove(const std::vector<MessageInfo>& messages) override { return take_away(messages, nullptr); }

    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        const auto& folder = target == SpecialFolder::trash ? folders_.trash : folders_.archive;
        if (folder) return take_away(messages, &*folder);
        return {std::vector(messages.size(), Removal::failed),
                Error{Errc::permanent, "there is no such folder", "the route names no file for it"}};
    }

    // Every call rewrites the file.
    std::size_t removal_batch() const override { return SIZE_MAX; }

    Status mark_seen(const std::vector<MessageInfo>&) override { return {}; }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        return std::vector<bool>(messages.size(), true);
    }

    Status keep_alive() override { return {}; }
    void close() override {}

private:
    /// Removes messages, or moves them to `folder`.
    RemovalReport take_away(const std::vector<MessageInfo>& messages, const local::UserPath* folder) {
        if (auto status = take_snapshot(); !status) return {std::vector(messages.size(), Removal::failed), status};
        RemovalReport report{std::vector(messages.size(), Removal::gone), {}};
        std::vector<std::size_t> wanted;  // of the snapshot
        std::vector<std::size_t> asked;   // of `messages`
        for (std::size_t i = 0; i < messages.size(); ++i) {
            const auto index = find(messages[i]);
            if (!index || removed_[*index]) continue;
            report.outcomes[i] = Removal::failed;
            wanted.push_back(*index);
            asked.push_back(i);
        }
        if (wanted.empty()) return report;

        report.status = take_entries_away(wanted, folder);
        if (!report.status) {
            if (is_unsure_)
                for (const auto each : asked) report.outcomes[each] = Removal::unknown;
            return report;
        }
        for (std::size_t i = 0; i < wanted.size(); ++i)
            report.outcomes[asked[i]] = where_[wanted[i]] == nowhere ? Removal::gone : Removal::removed;
        for (const auto index : wanted) removed_[index] = true;
        return report;
    }

    using Folder = std::shared_ptr<mbox::LockedMbox>;

    struct Scanned {
        std::shared_ptr<mbox::Scan> scan;  // keeps the lock; null when there is no file
        std::shared_ptr<mbox::LockedMbox> mbox;
        std::shared_ptr<const Contents> contents;
    };

    Status take_snapshot() {
        if (snapshot_) return {};
        auto scanned = scan();
        if (!scanned) return scanned.error();
        snapshot_ = now_ = scanned->contents;
        removed_.resize(snapshot_->entries.size());
        where_.resize(snapshot_->entries.size());
        std::iota(where_.begin(), where_.end(), 0U);
        unlock(std::move(*scanned));
        return {};
    }

    /// Locks the file, waiting for others to leave it, and looks at what it holds.
    Result<Scanned> scan() {
        const auto deadline = Clock::now() + std::min<Clock::duration>(limit_, longest_lock_wait);
        auto pause = first_pause;
        auto scanned = try_scan();
        while (!scanned && scanned.error().code == Errc::in_use && Clock::now() < deadline && !fiber_.interrupted()) {
            fiber_.sleep_until(std::min(deadline, Clock::now() + pause));
            pause = std::min(2 * pause, longest_pause);
            scanned = try_scan();
        }
        if (!scanned) return scanned.error();
        // In steps, so that a large mailbox does not keep a thread of the pool from all others.
        while (scanned->scan && !scanned->scan->done()) {
            const auto stepped = on_pool(fiber_, limit_, [scan = scanned->scan] { return scan->step(); });
            if (!stepped) return stepped.error();
        }
        scanned->contents = scanned->scan ? scanned->scan->contents() : std::make_shared<Contents>();
        return scanned;
    }

    Result<Scanned> try_scan() {
        return on_pool(fiber_, limit_, [path = path_]() -> Result<Scanned> {
            auto mbox = mbox::LockedMbox::try_lock(path);
            if (!mbox) return mbox.error();
            if (!*mbox) return Scanned{};
            Scanned scanned{std::make_shared<mbox::Scan>(*mbox), *mbox, nullptr};
            auto status = scanned.scan->begin();
            if (status && !scanned.scan->done()) status = scanned.scan->step();
            if (!status) return status.error();
            return scanned;
        });
    }

    /// On the pool, as it touches the disk. Should the pool have no time, the lock goes all the same.
    void unlock(Scanned scanned, Folder folder = {}) {
        (void)on_pool(fiber_, limit_, [scanned = std::move(scanned), folder = std::move(folder)]() mutable -> Status {
            scanned = {};
            folder = {};
            return {};
        });
    }

    /// Learns where the snapshot's messages are now; the file remains locked.
    Result<Scanned> look_again() {
        now_ = nullptr;
        auto scanned = scan();
        if (!scanned) return scanned;
        auto matches = on_pool(fiber_, limit_,
                               [snapshot = snapshot_, removed = removed_,
                                contents = scanned->contents]() -> Result<std::vector<std::uint32_t>> {
                                   return match(*snapshot, removed, *contents);
                               });
        if (!matches) return matches.error();
        where_ = std::move(*matches);
        now_ = scanned->contents;
        return scanned;
    }

    std::optional<std::size_t> find(const MessageInfo& message) {
        const auto& entries = snapshot_->entries;
        // Clients go through the messages in order.
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const auto index = (next_ + i) % entries.size();
            if (mbox::id_of(entries[index]) != message.id) continue;
            next_ = index + 1;
            return index;
        }
        return std::nullopt;
    }

    Status stream(const MessageInfo& message, BodySink& sink, std::size_t limit) {
        if (auto status = take_snapshot(); !status) return status;
        const auto index = find(message);
        const Error gone{Errc::gone, "the message is gone", message.id};
        if (!index || removed_[*index]) return gone;
        Status status = gone;
        for (const bool again : {false, true}) {
            if (again || !now_) {
                auto scanned = look_again();
                if (!scanned) return scanned.error();
                unlock(std::move(*scanned));
            }
            const auto place = where_[*index];
            if (place == nowhere) return gone;
            bool has_begun = false;
            status = stream_entry(now_->entries[place], sink, limit, has_begun);
            if (status || has_begun) return status;
        }
        if (status.error().code == Errc::gone)
            return Error{Errc::temporary, "the message cannot be read", "other programs keep rewriting the mbox"};
        return status;
    }

    Status stream_entry(const mbox::Entry& entry, BodySink& sink, std::size_t limit, bool& has_begun) {
        // The first piece comes along with the opening: most messages need one call of the pool.
        using Opened = Result<std::shared_ptr<mbox::Reading>>;
        const auto reading = on_pool(fiber_, limit_, [path = path_, entry, stamp = now_->stamp, limit]() -> Opened {
            auto opened = mbox::Reading::open(path, entry, stamp);
            if (!opened) return opened;
            if (auto status = (*opened)->step(limit); !status) return status.error();
            return opened;
        });
        if (!reading) return reading.error();
        for (;;) {
            const auto& piece = (*reading)->piece();
            has_begun = has_begun || !piece.empty();
            if (!piece.empty() && !sink.write(piece)) return Error{Errc::sink_closed, {}, {}};
            if ((*reading)->done()) return {};
            auto status = on_pool(fiber_, limit_, [reading = *reading, limit] { return reading->step(limit); });
            if (!status) return status;
        }
    }

    Status take_entries_away(const std::vector<std::size_t>& wanted, const local::UserPath* folder) {
        // Were it tried again, and had the first attempt worked after all, an equal message would go in its stead.
        if (is_unsure_) return Error{Errc::temporary, "an earlier removal has failed", {}};
        Folder target;
        auto scanned = folder ? look_again_with(*folder, target) : look_again();
        if (!scanned) return scanned.error();
        std::vector<mbox::Range> ranges;
        for (const auto index : wanted)
            if (where_[index] != nowhere) ranges.push_back(now_->entries[where_[index]].range);
        std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
        ranges.erase(std::unique(ranges.begin(), ranges.end()), ranges.end());
        if (ranges.empty()) {
            unlock(std::move(*scanned), std::move(target));
            return {};
        }
        // Once begun it goes to its end, whatever becomes of this session. So the lock is in the work's hands alone.
        const auto size = now_->stamp.size;
        now_ = nullptr;
        auto has_answered = std::make_shared<std::atomic<bool>>(false);
        auto status = on_pool(fiber_, limit_ + std::chrono::seconds((folder ? 2 : 1) * size / slowest_rewriting),
                              [scanned = std::move(*scanned), target = std::move(target), ranges = std::move(ranges),
                               has_answered, until = fiber_.fence()]() mutable {
                                  if (Clock::now() >= until) {
                                      *has_answered = true;
                                      return Status(Error{Errc::temporary, "the time for it is over", {}});
                                  }
                                  auto done = target ? mbox::move_messages(*scanned.mbox, ranges, *target)
                                                     : scanned.mbox->cut(ranges);
                                  scanned = {};
                                  target = {};
                                  *has_answered = true;
                                  return done;
                              });
        is_unsure_ = status.has_error() && !*has_answered;
        return status;
    }

    /// As look_again(), with a folder locked too, which is made where there is something to be moved. Who holds one
    /// lock never waits for the other, so that two sessions that want both cannot wait for each other.
    Result<Scanned> look_again_with(const local::UserPath& path, Folder& folder) {
        const auto deadline = Clock::now() + std::min<Clock::duration>(limit_, longest_lock_wait);
        for (auto pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
            auto scanned = look_again();
            if (!scanned || !scanned->mbox) return scanned;
            auto locked = on_pool(fiber_, limit_, [path, mbox = scanned->mbox]() -> Result<Folder> {
                auto tried = mbox::LockedMbox::try_lock(path);
                if (!tried || *tried) return tried;
                if (auto made = mbox::LockedMbox::make(path, *mbox); !made) return made.error();
                tried = mbox::LockedMbox::try_lock(path);
                if (tried && !*tried) return Error{Errc::in_use, "the folder is being changed", path.text()};
                return tried;
            });
            if (locked) {
                folder = std::move(*locked);
                return scanned;
            }
            unlock(std::move(*scanned), {});
            if (locked.error().code != Errc::in_use || Clock::now() >= deadline || fiber_.interrupted())
                return locked.error();
            fiber_.sleep_until(std::min(deadline, Clock::now() + pause));
        }
    }

    Fiber& fiber_;
    local::UserPath path_;
    FolderPaths folders_;
    std::chrono::milliseconds limit_;  // for one call of the blocking pool

    std::shared_ptr<const Contents> snapshot_;
    std::vector<bool> removed_;            // by this session, of the snapshot's messages
    std::shared_ptr<const Contents> now_;  // as last seen; null when it is known to have changed
    std::vector<std::uint32_t> where_;     // of the snapshot's messages in now_
    std::size_t next_ = 0;
    bool is_unsure_ = false;
};

class MboxBackend final : public Backend {
public:
    MboxBackend(std::string pattern, std::string trash, std::string archive, std::chrono::milliseconds limit)
        : pattern_(std::move(pattern)), trash_(std::move(trash)), archive_(std::move(archive)), limit_(limit) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        auto path = local::UserPath::expand(pattern_, login.user);
        if (!path) return path.error();
        FolderPaths folders;
        for (auto [pattern, folder] : {std::pair{&trash_, &folders.trash}, {&archive_, &folders.archive}}) {
            if (pattern->empty()) continue;
            auto expanded = local::UserPath::expand(*pattern, login.user);
            if (!expanded) return expanded.error();
            *folder = std::move(*expanded);
        }
        return std::unique_ptr<Mailbox>(
            std::make_unique<MboxMailbox>(fiber, std::move(*path), std::move(folders), limit_));
    }

    std::string mailbox_key(const std::string& user) const override {
        const auto path = local::UserPath::expand(pattern_, user);
        return "mbox:" + (path ? path->canonical() : "?" + user);
    }

    bool checks_password() const override { return false; }

private:
    std::string pattern_, trash_, archive_;
    std::chrono::milliseconds limit_;
};

/// The path pattern of a folder; empty where the options name none.
Result<std::string> folder_pattern(const std::string& name, const std::string& pattern) {
    if (name.empty()) return std::string();
    const auto wrong = [&](const char* why) {
        return Error{Errc::permanent, "\"" + name + "\" cannot be the path of a folder: " + why, {}};
    };
    const auto path = name.front() == '/' ? name : pattern.substr(0, pattern.rfind('/') + 1) + name;
    if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
        return wrong("it holds control characters");
    if (("/" + path + "/").find("/../") != std::string::npos || path.back() == '/') return wrong("it leads elsewhere");
    constexpr const char *one = "one@one.example", *other = "two@two.example";
    const auto folder = local::UserPath::expand(path, one), folder_of_other = local::UserPath::expand(path, other);
    if (!folder || !folder_of_other) return wrong("only %u, %n, %d and %% are known in a path");
    const auto mbox = local::UserPath::expand(pattern, one), mbox_of_other = local::UserPath::expand(pattern, other);
    if (folder->text() == mbox->text()) return wrong("that is where the messages are");
    if (folder->text() == folder_of_other->text() && mbox->text() != mbox_of_other->text())
        return wrong("it is the same for all users");
    return path;
}

}  // namespace

Result<std::unique_ptr<Backend>> make_mbox_backend(const BackendOptions& options) {
    auto pattern = local::path_pattern(options.url, "mbox");
    if (!pattern) return pattern.error();
    const auto unique_ids = UniqueIdFormat::parse(options.unique_ids);
    if (!unique_ids) return unique_ids.error();
    if (!unique_ids->is_native())
        return Error{Errc::permanent, "an mbox has no numbers and no file names, so its unique-ids are \"native\"", {}};
    auto trash = folder_pattern(options.trash_folder, *pattern);
    if (!trash) return trash.error();
    auto archive = folder_pattern(options.archive_folder, *pattern);
    if (!archive) return archive.error();
    return std::unique_ptr<Backend>(std::make_unique<MboxBackend>(std::move(*pattern), std::move(*trash),
                                                                  std::move(*archive), options.command_timeout));
}

}  // namespace popgate
