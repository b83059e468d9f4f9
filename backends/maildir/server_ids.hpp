#pragma once

#include "backends/files/local_file.hpp"
#include "backends/mailbox.hpp"
#include "backends/maildir/server_list.hpp"
#include "backends/unique_id_format.hpp"

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace popgate::maildir {

/// Gives the messages of a Maildir the unique-ids that another POP3 server gave them, by the numbers that it left in
/// the Maildir: dovecot-uidlist, or courierpop3dsizelist for Courier's formats. A message that the other server has
/// not seen remains without one. begin(), then step() until done(), then take(). All but take() blocks.
class ServerIds {
public:
    ServerIds(UniqueIdFormat format, std::vector<MessageInfo> messages);
    ServerIds(const ServerIds&) = delete;
    ServerIds& operator=(const ServerIds&) = delete;

    /// Opens the other server's file; it may be missing.
    Status begin(const local::UserPath& path);
    bool done() const { return offset_ == size_; }
    /// Reads for a while. What is written to the file meanwhile is not looked at.
    Status step();
    std::vector<MessageInfo> take() { return std::move(messages_); }

private:
    void learn(const ServerRecord& record);

    UniqueIdFormat format_;
    std::vector<MessageInfo> messages_;
    std::unordered_map<std::string_view, std::size_t> by_name_;
    ServerList list_;
    local::Descriptor file_;
    std::uint64_t offset_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace popgate::maildir
