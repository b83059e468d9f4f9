// What takes messages out of an IMAP mailbox. What became of them is asked afterwards, not taken from the server's
// answers.
#include "backends/imap/expunge.hpp"
#include "backends/imap/folder_move.hpp"
#include "backends/imap/imap_mailbox.hpp"

#include <algorithm>

namespace popgate::imap {

namespace {

bool is_same_mailbox(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    const bool is_inbox = std::ranges::equal(a, std::string_view("inbox"), {}, lower);
    return a == b || (is_inbox && std::ranges::equal(b, std::string_view("inbox"), {}, lower));
}

}  // namespace

Mailbox::RemovalReport ImapMailbox::remove(const std::vector<MessageInfo>& messages) {
    RemovalReport report{std::vector<Removal>(messages.size(), Removal::unknown), Status{}};
    if (messages.empty()) return report;
    const auto uids = uids_of(messages);
    std::vector<std::uint32_t> unmarked;
    report.status = on_connection([&](EtpanSession& session) { return expunge(session, uids, unmarked); });
    tell_outcomes(uids, unmarked, report);
    return report;
}

Mailbox::RemovalReport ImapMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder target) {
    RemovalReport report{std::vector<Removal>(messages.size(), Removal::failed), Status{}};
    if (messages.empty()) return report;
    auto folder = folder_for(target);
    if (folder.has_error()) {
        report.status = folder.error();
        return report;
    }
    report.outcomes.assign(messages.size(), Removal::unknown);
    const auto uids = uids_of(messages);
    FolderMove move(std::move(*folder), uids);
    report.status = on_connection([&](EtpanSession& session) { return move.run(session); });
    tell_outcomes(uids, move.unmarked(), report);
    return report;
}

Result<std::string> ImapMailbox::folder_for(SpecialFolder purpose) {
    const bool is_trash = purpose == SpecialFolder::trash;
    const std::string name = is_trash ? "trash" : "archive";
    auto folder = is_trash ? settings_->trash_folder : settings_->archive_folder;
    auto& found_before = special_folders_[is_trash ? 0 : 1];
    if (folder.empty()) folder = found_before;
    if (folder.empty()) {
        const auto status = on_connection([&](EtpanSession& session) -> Status {
            Result<std::vector<Folder>> folders = std::vector<Folder>{};
            if (session.has_capability("SPECIAL-USE")) folders = session.list_folders("LIST (SPECIAL-USE) \"\" \"*\"");
            // Many servers tell the attributes in a plain list, whatever they say of themselves.
            if (!session.broken() && (folders.has_error() || folders->empty()))
                folders = session.list_folders("LIST \"\" \"*\"");
            if (folders.has_error()) return folders.error();
            if (auto chosen = choose_folder(*folders, purpose, session.has_capability("X-GM-EXT-1")))
                folder = found_before = std::move(*chosen);
            return {};
        });
        if (status.has_error()) return status.error();
    }
    if (folder.empty())
        return Error{Errc::permanent, "no folder is known as " + name + "; name it with " + name + "_folder", {}};
    // They would come back with new UIDs, for ever.
    if (is_same_mailbox(folder, settings_->mailbox))
        return Error{Errc::permanent, "the " + name + " folder is the mailbox itself", {}};
    return folder;
}

// What the server answered is one thing, what is there another: only the latter is told.
void ImapMailbox::tell_outcomes(const std::vector<std::uint32_t>& uids, const std::vector<std::uint32_t>& unmarked,
                                RemovalReport& report) {
    if (!connection_ || connection_->lost_to_silence()) return;
    if (!unmarked.empty()) {
        const auto restored = on_connection(
            [&](EtpanSession& session) { return store_flags(session, unmarked, "+FLAGS.SILENT (\\Deleted)"); });
        if (!report.status.has_error()) report.status = restored;
    }
    UidSet left;
    const auto checked = on_connection([&](EtpanSession& session) -> Status {
        auto found = still_there(session, uids);
        if (found.has_error()) return found.error();
        left = std::move(*found);
        return {};
    });
    if (checked.has_error()) {
        if (!report.status.has_error()) report.status = checked;
        return;
    }
    bool is_any_left = false;
    for (std::size_t i = 0; i < uids.size(); ++i) {
        report.outcomes[i] = left.contains(uids[i]) ? Removal::failed : Removal::removed;
        is_any_left = is_any_left || report.outcomes[i] == Removal::failed;
    }
    if (!is_any_left)
        report.status = Status{};
    else if (!report.status.has_error())
        report.status = Error{Errc::temporary, "the mail server kept messages that were to be removed", {}};
}

}  // namespace popgate::imap
