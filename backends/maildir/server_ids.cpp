#include "backends/maildir/server_ids.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace popgate::maildir {

namespace {

constexpr auto lookup_time = std::chrono::milliseconds(50);
constexpr std::uint64_t largest_list = 256 * 1024 * 1024;  // two million messages and more

}  // namespace

ServerIds::ServerIds(UniqueIdFormat format, std::vector<MessageInfo> messages)
    : format_(std::move(format)),
      messages_(std::move(messages)),
      list_(format_.is_couriers() ? ServerList::Kind::courier : ServerList::Kind::dovecot,
            [this](const ServerRecord& record) { learn(record); }) {
    by_name_.reserve(messages_.size());
    for (std::size_t i = 0; i < messages_.size(); ++i) {
        messages_[i].unique_id = {};
        by_name_.emplace(messages_[i].id, i);
    }
}

Status ServerIds::begin(const local::UserPath& path) {
    if (!format_.needs_uid() && !format_.needs_uid_validity()) {
        for (auto& message : messages_) message.unique_id = fit_unique_id(format_.make({0, 0, 0, message.id}));
        // Dovecot may have stored other ids than its format makes.
        if (format_.is_couriers()) return {};
    }
    const auto* const name = format_.is_couriers() ? "courierpop3dsizelist" : "dovecot-uidlist";
    const auto what = path.text() + "/" + name;
    const auto root = path.open_directory();
    if (!root) return root.error();
    file_ = local::open_at(root->get(), name, O_RDONLY);
    if (!file_) return errno == ENOENT ? Status() : Status(local::system_error(errno, what));
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) return local::system_error(errno, what);
    size_ = static_cast<std::uint64_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || size_ > largest_list)
        return Error{Errc::permanent, "the other server's list of unique-ids cannot be used",
                     what + ": too large, or not a file"};
    return {};
}

Status ServerIds::step() {
    std::vector<char> block(local::block_size);
    const auto end = Clock::now() + lookup_time;
    while (!done() && Clock::now() < end) {
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size_ - offset_));
        const auto got = local::read_at(file_.get(), offset_, block.data(), wanted);
        if (got < 0) return local::system_error(errno, "list of unique-ids");
        if (got == 0)
            return Error{Errc::temporary, "the other server's list of unique-ids changed while it was read", {}};
        offset_ += static_cast<std::uint64_t>(got);
        if (auto status = list_.add({block.data(), static_cast<std::size_t>(got)}); !status) return status;
    }
    return {};
}

void ServerIds::learn(const ServerRecord& record) {
    const auto found = by_name_.find(record.base_name);
    if (found == by_name_.end()) return;
    auto& message = messages_[found->second];
    // Courier takes the first of two lines for one file, Dovecot the last.
    if (format_.is_couriers() && !message.unique_id.empty()) return;
    if (record.unique_id)
        message.unique_id = fit_unique_id(record.unique_id->empty() ? message.id : *record.unique_id);
    else
        message.unique_id = fit_unique_id(format_.make({record.uid, record.uid_validity, 0, message.id}));
}

}  // namespace popgate::maildir
