#include "backends/imap/folder_move.hpp"

#include "backends/imap/expunge.hpp"

#include <algorithm>
#include <utility>

namespace popgate::imap {

namespace {

// A UID has ten digits at most, so these fit into one command line below 4,000 octets. A server is silent while it
// copies them, which must not take longer than the route's patience.
constexpr std::size_t longest_batch = 350;
constexpr int move_attempts = 4;

}  // namespace

FolderMove::FolderMove(std::string folder, std::vector<std::uint32_t> uids) : folder_(std::move(folder)) {
    std::ranges::sort(uids);
    for (std::size_t first = 0; first < uids.size(); first += longest_batch) {
        const auto begin = uids.begin() + static_cast<std::ptrdiff_t>(first);
        const auto count = std::min(longest_batch, uids.size() - first);
        batches_.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(count));
    }
}

Status FolderMove::run(EtpanSession& session) {
    for (; done_ < batches_.size(); ++done_, copied_ = false) {
        auto& batch = batches_[done_];
        if (session.has_capability("MOVE") && !copied_) {
            if (auto status = into_folder(session, "UID MOVE ", batch); status.has_error()) return status;
            continue;
        }
        if (!copied_)
            if (auto status = into_folder(session, "UID COPY ", batch); status.has_error()) return status;
        copied_ = true;
        if (batch.empty()) continue;
        if (auto status = expunge(session, batch, unmarked_); status.has_error()) return status;
    }
    return {};
}

// On success `batch` holds what was moved or copied: all but what had gone before.
Status FolderMove::into_folder(EtpanSession& session, const std::string& verb, std::vector<std::uint32_t>& batch) {
    Status status;
    for (int attempt = 0; attempt < move_attempts && !session.broken(); ++attempt) {
        status = session.command_on(verb + make_uid_sets(batch).front(), folder_);
        if (!status.has_error()) return status;
        if (session.complained_of("[TRYCREATE]") || session.complained_of("[NONEXISTENT]")) {
            if (std::exchange(folder_created_, true)) return status;
            // What these two come to shows in the command when it is repeated; and unsubscribed, many clients would not
            // show the folder.
            (void)session.command_on("CREATE", folder_);
            if (!session.broken()) (void)session.command_on("SUBSCRIBE", folder_);
        } else if (session.complained_of("[EXPUNGEISSUED]")) {
            // Dovecot refuses the whole batch when another client has removed one of it, until NOOP lets it tell.
            (void)session.command("NOOP");
            const auto there = still_there(session, batch);
            if (there.has_error()) return there.error();
            std::erase_if(batch, [&](auto uid) { return !there->contains(uid); });
            if (batch.empty()) return {};
        } else {
            return status;
        }
    }
    return status;
}

}  // namespace popgate::imap
