#include "backends/maildir/maildir_files.hpp"

#include "backends/files/measure.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>
#include <string_view>
#include <tuple>

namespace popgate::maildir {

using local::system_error;

namespace {

constexpr int most_scans = 10;            // of a directory that other programs keep changing
constexpr int attempts = 5;               // at a file that they keep renaming
constexpr std::size_t most_places = 256;  // beyond, a scan finds the message
constexpr std::size_t batch = 64;
constexpr auto step_time = std::chrono::milliseconds(50);

/// Tells whether a directory has changed since.
class Watch {
public:
    explicit Watch(int directory) : directory_(directory), before_(changed_at()) {
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        const auto age = (now.tv_sec - before_.tv_sec) * 1000 + (now.tv_nsec - before_.tv_nsec) / 1'000'000;
        // A directory's time moves in steps of some milliseconds: a second change within one leaves no trace.
        too_recent_ = age < 20;
    }

    bool may_have_changed() const {
        const auto now = changed_at();
        return too_recent_ || now.tv_sec != before_.tv_sec || now.tv_nsec != before_.tv_nsec;
    }

private:
    timespec changed_at() const {
        struct stat status {};
        ::fstat(directory_, &status);
        return status.st_mtim;
    }

    int directory_;
    timespec before_;
    bool too_recent_;
};

Status scan_folder(const Folders& folders, bool is_new, Scan& found) {
    const char* const name = is_new ? "new" : "cur";
    // A descriptor of its own: readdir() moves the position, which duplicates would share.
    auto again = local::open_at(is_new ? folders.new_mail.get() : folders.cur.get(), ".", O_RDONLY | O_DIRECTORY);
    if (!again) return system_error(errno, name);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(again.get()), ::closedir);
    if (!directory) return system_error(errno, name);
    again.release();
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(directory.get());
        if (!entry) break;
        if (entry->d_name[0] == '.') continue;
        if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) continue;
        const std::string file = entry->d_name;
        auto base = base_name(file);
        Place place{is_new, file.substr(base.size())};
        found.insert_or_assign(std::move(base), std::move(place));
    }
    if (errno != 0) return system_error(errno, name);
    return {};
}

struct SizeKey {
    std::uint64_t device, inode, size;
    std::int64_t seconds, nanoseconds;
    std::size_t name;
    bool operator==(const SizeKey&) const = default;
};

struct SizeKeyHash {
    std::size_t operator()(const SizeKey& key) const {
        return key.name ^ (key.inode * 0x9E3779B97F4A7C15u) ^ (key.size << 32);
    }
};

/// Measured sizes of the whole process. Bounded: when the younger generation is full, the older one is forgotten.
class SizeCache {
public:
    std::optional<std::uint64_t> find(const SizeKey& key) {
        const std::lock_guard lock(mutex_);
        if (const auto found = young_.find(key); found != young_.end()) return found->second;
        const auto found = old_.find(key);
        if (found == old_.end()) return std::nullopt;
        const auto octets = found->second;
        add_locked(key, octets);
        return octets;
    }

    void add(const SizeKey& key, std::uint64_t octets) {
        const std::lock_guard lock(mutex_);
        add_locked(key, octets);
    }

private:
    static constexpr std::size_t generation = 200'000;  // some 100 octets each

    void add_locked(const SizeKey& key, std::uint64_t octets) {
        if (young_.size() >= generation) old_ = std::exchange(young_, {});
        young_.emplace(key, octets);
    }

    std::mutex mutex_;
    std::unordered_map<SizeKey, std::uint64_t, SizeKeyHash> young_, old_;
};

SizeCache& size_cache() {
    static SizeCache cache;
    return cache;
}

}  // namespace

std::vector<Place> Places::all() const {
    const std::lock_guard lock(mutex_);
    return places_;
}

void Places::learn(const Place& place) {
    const std::lock_guard lock(mutex_);
    if (places_.size() >= most_places || std::find(places_.begin(), places_.end(), place) != places_.end()) return;
    places_.push_back(place);
}

Result<Folders> open_folders(const local::UserPath& path) {
    const auto root = path.open_directory();
    if (!root) return root.error();
    Folders folders;
    for (auto [name, folder] : {std::pair{"new", &folders.new_mail}, {"cur", &folders.cur}}) {
        *folder = local::open_at(root->get(), name, O_RDONLY | O_DIRECTORY);
        if (!*folder) return system_error(errno, path.text() + "/" + name);
    }
    return folders;
}

Result<Scan> scan(const Folders& folders) {
    Scan found;
    // A file that is renamed while its directory is read may show twice, or not at all. `new` is read before `cur`, so
    // a move between them shows at least once. For the rest, what several readings saw is put together, until nothing
    // has changed meanwhile or nothing is found any more.
    int without_news = 0;
    for (int i = 0; i < most_scans && without_news < 2; ++i) {
        const Watch new_mail(folders.new_mail.get());
        const Watch cur(folders.cur.get());
        const auto before = found.size();
        for (const bool is_new : {true, false})
            if (auto status = scan_folder(folders, is_new, found); !status) return status.error();
        if (!new_mail.may_have_changed() && !cur.may_have_changed()) break;
        without_news = found.size() == before ? without_news + 1 : 0;
    }
    return found;
}

std::string base_name(const std::string& file_name) { return file_name.substr(0, file_name.find(':')); }

DeliveryTime delivery_time(const std::string& base) {
    DeliveryTime time;
    const char* const end = base.data() + base.size();
    const auto [rest, error] = std::from_chars(base.data(), end, time.seconds);
    if (error != std::errc() || time.seconds < 0 || (rest != end && *rest != '.')) return {};
    if (end - rest > 2 && rest[1] == 'M') std::from_chars(rest + 2, end, time.microseconds);
    return time;
}

std::string with_seen(const std::string& suffix) {
    if (suffix.empty()) return ":2,S";
    if (suffix.compare(0, 3, ":2,") != 0 || suffix.find('S', 3) != std::string::npos) return suffix;
    auto seen = suffix;
    const auto place = std::find_if(seen.begin() + 3, seen.end(), [](char flag) { return flag > 'S'; });
    seen.insert(place, 'S');
    return seen;
}

bool is_seen(const Place& place) {
    return !place.is_new && place.suffix.compare(0, 3, ":2,") == 0 && place.suffix.find('S', 3) != std::string::npos;
}

Result<std::vector<int>> for_each(const Folders& folders, Places& places, const std::vector<std::string>& ids,
                                  const Act& act) {
    std::vector<int> outcomes(ids.size(), ENOENT);
    const auto try_at = [&](std::size_t index, const Place& place) {
        outcomes[index] = act(index, place, folders.at(place), ids[index] + place.suffix);
        return outcomes[index] != ENOENT;
    };

    std::vector<std::size_t> missing;
    const auto known = places.all();
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (std::none_of(known.begin(), known.end(), [&](const Place& place) { return try_at(i, place); }))
            missing.push_back(i);

    for (int i = 0; i < attempts && !missing.empty(); ++i) {
        const auto found = scan(folders);
        if (!found) return found.error();
        std::erase_if(missing, [&](std::size_t index) {
            const auto entry = found->find(ids[index]);
            if (entry == found->end()) return true;
            places.learn(entry->second);
            return try_at(index, entry->second);
        });
    }
    // There, but under another name at each look: not gone.
    for (const auto index : missing) outcomes[index] = EAGAIN;
    return outcomes;
}

Result<Listing> Listing::begin(const local::UserPath& path, std::shared_ptr<Places> places) {
    auto folders = open_folders(path);
    if (!folders) return folders.error();
    auto found = scan(*folders);
    if (!found) return found.error();

    Listing listing;
    listing.folders_ = std::move(*folders);
    listing.places_ = std::move(places);
    listing.ids_.reserve(found->size());
    listing.messages_.reserve(found->size());
    while (!found->empty()) {
        auto entry = found->extract(found->begin());
        listing.places_->learn(entry.mapped());
        listing.ids_.push_back(std::move(entry.key()));
    }
    return listing;
}

Status Listing::step() {
    const auto end = Clock::now() + step_time;
    while (!done() && Clock::now() < end) {
        const auto part = ids_.end() - static_cast<std::ptrdiff_t>(std::min(batch, ids_.size()));
        if (auto status = measure({part, ids_.end()}); !status) return status;
        ids_.erase(part, ids_.end());
    }
    return {};
}

Status Listing::measure(const std::vector<std::string>& ids) {
    std::vector<char> block(local::block_size);
    const auto measure_file = [&](std::size_t index, const Place&, int directory, const std::string& name) {
        struct stat status {};
        if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return errno;
        if (!S_ISREG(status.st_mode)) return 0;
        const auto size = static_cast<std::uint64_t>(status.st_size);

        MessageInfo message{.id = ids[index], .octets = size, .octets_are_exact = true};
        const SizeKey key{status.st_dev,         status.st_ino,          size,
                          status.st_mtim.tv_sec, status.st_mtim.tv_nsec, std::hash<std::string>()(message.id)};
        if (const auto known = size_cache().find(key)) {
            message.octets = *known;
        } else if (const auto file = local::open_at(directory, name, O_RDONLY)) {
            local::OctetCounter counter;
            std::uint64_t offset = 0;
            for (std::ptrdiff_t got = 1; got > 0; offset += static_cast<std::uint64_t>(got)) {
                got = local::read_at(file.get(), offset, block.data(), block.size());
                if (got < 0) return errno;
                counter.add({block.data(), static_cast<std::size_t>(got)});
            }
            message.octets = counter.octets();
            if (offset == size) size_cache().add(key, message.octets);
        } else if (errno == EACCES || errno == EPERM) {
            // One file that cannot be read must not keep all the others from the user. Its RETR will fail.
            message.octets_are_exact = false;
        } else {
            return errno;
        }

        auto time = delivery_time(message.id);
        if (time.seconds == 0) time = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec / 1000};
        message.arrival = time.seconds;
        messages_.emplace_back(time, std::move(message));
        return 0;
    };
    const auto outcomes = for_each(folders_, *places_, ids, measure_file);
    if (!outcomes) return outcomes.error();
    for (std::size_t i = 0; i < ids.size(); ++i)
        if ((*outcomes)[i] != 0 && (*outcomes)[i] != ENOENT) return system_error((*outcomes)[i], ids[i]);
    return {};
}

std::vector<MessageInfo> Listing::take() {
    std::sort(messages_.begin(), messages_.end(), [](const auto& a, const auto& b) {
        return std::tie(a.first, a.second.id) < std::tie(b.first, b.second.id);
    });
    std::vector<MessageInfo> messages;
    messages.reserve(messages_.size());
    for (auto& entry : messages_) messages.push_back(std::move(entry.second));
    messages_.clear();
    return messages;
}

Result<Reading> Reading::open(const local::UserPath& path, Places& places, const std::string& id) {
    const auto folders = open_folders(path);
    if (!folders) return folders.error();
    Reading reading;
    const auto outcomes =
        for_each(*folders, places, {id}, [&](std::size_t, const Place&, int directory, const auto& name) {
            reading.file_ = local::open_at(directory, name, O_RDONLY);
            return reading.file_ ? 0 : errno;
        });
    if (!outcomes) return outcomes.error();
    if (outcomes->front() == ENOENT) return Error{Errc::gone, "the message is gone", id};
    if (outcomes->front() != 0) return system_error(outcomes->front(), id);
    struct stat status {};
    if (::fstat(reading.file_.get(), &status) != 0) return system_error(errno, id);
    if (!S_ISREG(status.st_mode))
        return Error{Errc::permanent, "the message cannot be read", id + ": not a regular file"};
    reading.size_ = static_cast<std::uint64_t>(status.st_size);
    return reading;
}

Status Reading::step(std::size_t limit) {
    piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(limit, size_ - offset_)));
    const auto got = local::read_at(file_.get(), offset_, piece_.data(), piece_.size());
    if (got < 0) return system_error(errno, "message");
    if (static_cast<std::size_t>(got) < piece_.size())
        return Error{Errc::temporary, "the message changed while it was read", "the file became shorter"};
    offset_ += piece_.size();
    return {};
}

}  // namespace popgate::maildir
