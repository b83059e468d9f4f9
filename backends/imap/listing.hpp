#pragma once

#include "backends/imap/etpan_session.hpp"
#include "backends/imap/listing_state.hpp"
#include "backends/mailbox.hpp"
#include "backends/unique_id_format.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace popgate::imap {

/// Looks at a mailbox and asks for what has changed since the last look:
/// - nothing more than SELECT, where UIDVALIDITY, UIDNEXT and EXISTS are those of before;
/// - the messages from the old UIDNEXT on, where only some have come;
/// - what has vanished, where the numbers do not add up otherwise: one search, or VANISHED (RFC 7162);
/// - everything, where nothing is known, or not the dates that are wanted now, or the numbers still do not add up.
/// What else the server does meanwhile is found by counting, and then it is looked at again.
class Look {
public:
    /// `gmail_ids`: the format of unique-ids that need X-GM-MSGID; null for any other.
    Look(EtpanSession& session, std::string mailbox, const UniqueIdFormat* gmail_ids, KnownMailbox known);

    /// Selects the mailbox. To be called once. Errors are temporary, but for a mailbox that cannot be opened and for
    /// Gmail ids that cannot be had (Errc::permanent). The connection may be broken then.
    Result<Listing> list();
    /// After list(); 0 where the mailbox could not be selected.
    std::uint32_t uid_validity() const { return selected_.uid_validity; }
    /// After a list() that failed: what it was given.
    KnownMailbox take_known() { return std::move(known_); }

private:
    struct Known {
        std::uint32_t uid = 0;
        std::size_t place = 0;  // among known_.messages
        bool is_there = true;
    };
    using Listed = std::vector<ListedMessage>;

    void learn_known();
    bool may_resync() const;
    Result<Selected> select();
    Result<std::vector<MessageInfo>> look();
    Result<std::vector<MessageInfo>> everything();
    Result<std::vector<MessageInfo>> changes();
    Status fetch_new(std::uint32_t first_uid, Listed& fresh);
    Status fetch_from_the_end(std::uint32_t first_uid, Listed& fresh);
    Status fetch_uids(const std::string& set, Listed& fresh);
    Status fetch_unknown(const UidSet& present, Listed& fresh);
    Result<Listed> window(std::uint32_t first, std::uint32_t last);
    Status find_vanished(std::uint64_t modseq, std::size_t still_due);
    Result<UidSet> search_first(std::uint32_t count);
    std::size_t count_there() const;
    bool is_as_known() const;
    Result<std::vector<MessageInfo>> put_together(Listed& fresh);
    MessageInfo info_of(const ListedMessage& message) const;
    ListedItems items() const { return {known_.wants_arrival, gmail_ids_ != nullptr}; }

    EtpanSession& session_;
    std::string mailbox_;
    const UniqueIdFormat* gmail_ids_;
    KnownMailbox known_;
    std::vector<Known> known_uids_;  // ascending
    std::optional<ListingState> before_;
    Selected selected_;
    bool resyncs_ = false;
    bool has_dates_ = false;  // this look, of every message
};

}  // namespace popgate::imap
