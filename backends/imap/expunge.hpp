#pragma once

#include "backends/imap/etpan_session.hpp"
#include "backends/mailbox.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace popgate::imap {

/// The UID that MessageInfo::id is; 0, which no message has, when it is none.
std::uint32_t uid_of(const MessageInfo& message);
std::vector<std::uint32_t> uids_of(const std::vector<MessageInfo>& messages);

/// UID STORE, in as many commands as it takes.
Status store_flags(EtpanSession& session, const std::vector<std::uint32_t>& uids, const std::string& change);

/// Takes exactly these messages out of the selected mailbox. A bare EXPUNGE, where there is no UIDPLUS, takes every
/// message that is marked \Deleted, so other clients' marks are taken off before: `unmarked` collects of which
/// messages, for the caller to put them back. May be repeated.
Status expunge(EtpanSession& session, const std::vector<std::uint32_t>& uids, std::vector<std::uint32_t>& unmarked);

/// Which of them the selected mailbox still has.
Result<UidSet> still_there(EtpanSession& session, const std::vector<std::uint32_t>& uids);

}  // namespace popgate::imap
