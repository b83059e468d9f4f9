#pragma once

#include "backends/files/local_file.hpp"
#include "backends/mailbox.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

/// A Maildir as files. All of it blocks: for the blocking pool only.
namespace popgate::maildir {

/// Where a message's file is and what follows the base name in its name. Few for any number of messages.
struct Place {
    bool is_new = false;  ///< in `new`, otherwise in `cur`
    std::string suffix;   ///< empty, or ":2," and the flags
    bool operator==(const Place&) const = default;
};

/// The places at which a mailbox's messages were seen so far. One message is then found by a few names that are tried,
/// without keeping each one's name, which other programs may change at any time. Any thread may use it.
class Places {
public:
    std::vector<Place> all() const;
    void learn(const Place& place);

private:
    mutable std::mutex mutex_;
    std::vector<Place> places_;
};

struct Folders {
    local::Descriptor new_mail;
    local::Descriptor cur;
    int at(const Place& place) const { return place.is_new ? new_mail.get() : cur.get(); }
};

Result<Folders> open_folders(const local::UserPath& path);

/// Base names and where they are. Complete even when other programs rename files at the same time.
using Scan = std::unordered_map<std::string, Place>;
Result<Scan> scan(const Folders& folders);

/// The part of a file's name that never changes.
std::string base_name(const std::string& file_name);

/// The time of delivery that a base name begins with, seconds and microseconds; 0 when it does not.
struct DeliveryTime {
    std::int64_t seconds = 0;
    std::int64_t microseconds = 0;
    auto operator<=>(const DeliveryTime&) const = default;  // NOLINT(modernize-use-nullptr): there is no pointer
};
DeliveryTime delivery_time(const std::string& base);

/// The suffix with the flag S among its flags; unchanged when it is not of the form ":2,FLAGS".
std::string with_seen(const std::string& suffix);

/// Whether a mail program has shown the message to its reader. What is still in `new` it has not.
bool is_seen(const Place& place);

/// What `act` did with one file: 0 or an errno. ENOENT: the file is not there.
using Act = std::function<int(std::size_t index, const Place& place, int directory, const std::string& name)>;

/// Calls `act` for every id until it finds the file, and looks for those that have been renamed meanwhile. Gives what
/// act() gave last: ENOENT for a message that no longer exists.
Result<std::vector<int>> for_each(const Folders& folders, Places& places, const std::vector<std::string>& ids,
                                  const Act& act);

/// The snapshot in the making: step() until done().
class Listing {
public:
    static Result<Listing> begin(const local::UserPath& path, std::shared_ptr<Places> places);

    bool done() const { return ids_.empty(); }
    /// Measures messages for a while.
    Status step();
    /// Oldest first. Only when done().
    std::vector<MessageInfo> take();

private:
    Status measure(const std::vector<std::string>& ids);

    Folders folders_;
    std::shared_ptr<Places> places_;
    std::vector<std::string> ids_;  // not yet measured
    std::vector<std::pair<DeliveryTime, MessageInfo>> messages_;
};

/// A message's file while it is streamed.
class Reading {
public:
    static Result<Reading> open(const local::UserPath& path, Places& places, const std::string& id);

    bool done() const { return offset_ == size_; }
    /// The next octets, at most `limit`, never none. Only when not done().
    Status step(std::size_t limit);
    std::string_view piece() const { return piece_; }

private:
    local::Descriptor file_;
    std::uint64_t size_ = 0;
    std::uint64_t offset_ = 0;
    std::string piece_;
};

}  // namespace popgate::maildir
