#pragma once

#include "backends/mailbox.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace popgate {

/// Users, passwords and messages in memory, for tests and demonstrations. Any thread may use it.
class MemoryStore {
public:
    struct Message {
        std::string id;
        std::shared_ptr<const std::string> text;
        std::int64_t arrival = 0;
        bool seen = false;
    };

    void set_password(const std::string& user, const std::string& password);
    bool password_matches(const std::string& user, const std::string& password) const;

    /// Appends a message, for a user who need not exist yet, and gives its id, which is never used again.
    std::string add(const std::string& user, std::string text, std::int64_t arrival = 0);
    /// False when there is no such message.
    bool remove(const std::string& user, const std::string& id);
    bool mark_seen(const std::string& user, const std::string& id);
    /// Appends the message to another folder of the user; it keeps its id.
    bool move(const std::string& user, const std::string& id, const std::string& folder);

    /// How many messages that it is not yet known a Mailbox::list() with a patience tells; 0: all. Such a store gives
    /// known messages back.
    void set_messages_per_listing(std::size_t count);
    std::size_t messages_per_listing() const;

    /// Oldest first. The texts are shared, not copied.
    std::vector<Message> messages(const std::string& user) const;
    /// Those that were moved there, in that order.
    std::vector<Message> messages(const std::string& user, const std::string& folder) const;
    /// The text, or nothing when the message is gone.
    std::shared_ptr<const std::string> text(const std::string& user, const std::string& id) const;

private:
    struct Account {
        std::string password;
        bool may_log_in = false;
        std::vector<Message> messages;
        std::map<std::string, std::vector<Message>> folders;
    };

    mutable std::mutex mutex_;
    std::map<std::string, Account> accounts_;
    std::uint64_t last_id_ = 0;
    std::size_t messages_per_listing_ = 0;
};

/// The folders that messages are moved to; an empty name: there is none.
struct MemoryFolders {
    std::string trash = "Trash";
    std::string archive = "Archive";
};

/// A backend on `store`. It checks passwords: a user who has none cannot log in.
std::unique_ptr<Backend> make_memory_backend(std::shared_ptr<MemoryStore> store, MemoryFolders folders = {});

}  // namespace popgate
