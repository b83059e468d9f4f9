#include "backends/imap/expunge.hpp"

#include "backends/imap/uid_set.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::imap {

namespace {

constexpr int unmarking_attempts = 3;
constexpr std::uint64_t most_marked = 1'000'000;  // a server may name billions

// Should all end while other clients' marks are off, their messages are kept.
Status expunge_without_uidplus(EtpanSession& session, const std::vector<std::uint32_t>& uids,
                               std::vector<std::uint32_t>& unmarked) {
    auto ours = uids;
    std::ranges::sort(ours);
    auto status = store_flags(session, uids, "+FLAGS.SILENT (\\Deleted)");
    for (int attempt = 0; attempt < unmarking_attempts && !status.has_error(); ++attempt) {
        const auto marked = session.search("DELETED");
        if (marked.has_error()) return marked.error();
        if (marked->size() > most_marked)
            return Error{Errc::temporary, "the mail server does not answer as it should",
                         "more deleted messages than can be"};
        std::vector<std::uint32_t> foreign;
        for (const auto& range : marked->ranges())
            for (std::uint64_t uid = range.first; uid <= range.last; ++uid)
                if (!std::ranges::binary_search(ours, static_cast<std::uint32_t>(uid)))
                    foreign.push_back(static_cast<std::uint32_t>(uid));
        if (foreign.empty()) return session.command("EXPUNGE");
        unmarked.insert(unmarked.end(), foreign.begin(), foreign.end());
        status = store_flags(session, foreign, "-FLAGS.SILENT (\\Deleted)");
    }
    if (status.has_error()) return status;
    status = store_flags(session, uids, "-FLAGS.SILENT (\\Deleted)");
    if (status.has_error()) return status;
    return Error{Errc::temporary, "other clients keep marking messages in this mailbox", {}};
}

}  // namespace

std::uint32_t uid_of(const MessageInfo& message) {
    std::uint32_t uid = 0;
    const auto end = message.id.data() + message.id.size();
    const auto [read_to, error] = std::from_chars(message.id.data(), end, uid);
    return error == std::errc{} && read_to == end ? uid : 0;
}

std::vector<std::uint32_t> uids_of(const std::vector<MessageInfo>& messages) {
    std::vector<std::uint32_t> uids;
    uids.reserve(messages.size());
    for (const auto& message : messages) uids.push_back(uid_of(message));
    return uids;
}

Status store_flags(EtpanSession& session, const std::vector<std::uint32_t>& uids, const std::string& change) {
    for (const auto& set : make_uid_sets(uids))
        if (auto status = session.command("UID STORE " + set + " " + change); status.has_error()) return status;
    return {};
}

Status expunge(EtpanSession& session, const std::vector<std::uint32_t>& uids, std::vector<std::uint32_t>& unmarked) {
    if (!session.has_capability("UIDPLUS")) return expunge_without_uidplus(session, uids, unmarked);
    for (const auto& set : make_uid_sets(uids)) {
        auto status = session.command("UID STORE " + set + " +FLAGS.SILENT (\\Deleted)");
        if (!status.has_error()) status = session.command("UID EXPUNGE " + set);
        if (status.has_error()) return status;
    }
    return {};
}

Result<UidSet> still_there(EtpanSession& session, const std::vector<std::uint32_t>& uids) {
    UidSet left;
    for (const auto& set : make_uid_sets(uids)) {
        const auto found = session.search("UID " + set);
        if (found.has_error()) return found.error();
        for (const auto& range : found->ranges()) left.add(range.first, range.last);
    }
    left.settle();
    return left;
}

}  // namespace popgate::imap
