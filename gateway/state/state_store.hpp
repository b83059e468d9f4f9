#pragma once

#include "backends/mailbox.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

class Fiber;

/// One message as it is remembered between sessions. Times are seconds since 1970.
struct StoredMessage {
    std::uint32_t number = 0;  ///< of the index, ascending in order of first sight, from 1, never given twice
    MessageInfo info;          ///< its tag is not kept
    std::int64_t first_seen = 0;
    std::int64_t retrieved = 0;  ///< when a client last got the whole message; 0: never
    std::uint8_t failures = 0;   ///< sessions in a row that could not be given it
    bool hidden = false;         ///< a client has deleted it, and the policy keeps it in the mailbox
    bool quarantined = false;    ///< failed too often to be shown
};

/// What is remembered of a mailbox as a whole.
struct StoredHead {
    std::uint64_t version = 0;  ///< counts changes; 0: nothing is stored
    std::string state;          ///< Listing::state
    std::string generation;     ///< Listing::generation
    std::string unique_ids;     ///< the format under which explicit unique-ids were stored
    /// When everything was last looked at; -n: n messages were still to come when a listing was broken off.
    std::int64_t reconciled = 0;
    std::uint32_t next_number = 1;
    std::uint32_t view_floor = 0;  ///< numbers below it have left the view for good
    std::uint64_t sizes_corrected =
        0;  ///< how often a message had another size than the store had said; see MailboxChange
};

/// Everything that is remembered of a mailbox.
struct StoredMailbox {
    StoredHead head;
    std::vector<StoredMessage> messages;  ///< by number
    std::string first_generation;         ///< empty: not yet known
    /// Unique-ids that an import has given to messages of `imported_generation`, by MessageInfo::id.
    std::map<std::string, std::string, std::less<>> imported;
    std::string imported_generation;
};

/// How often messages of these ids have gone, where an id may come back with another message.
using RetiredIds = std::map<std::string, std::uint32_t, std::less<>>;

/// A change to one message. What is absent stays as it is.
struct MessageChange {
    std::uint32_t number = 0;
    std::string id;  ///< a message with this number and another id is left alone
    std::optional<std::uint64_t> exact_octets;
    std::optional<std::int64_t> retrieved;
    std::optional<std::uint8_t> failures;
    std::optional<bool> hidden;
    std::optional<bool> quarantined;
    std::optional<std::string> unique_id{};
};

/// What is to be written in one step: all of it or nothing.
struct MailboxChange {
    /// Replaces the head, provided that its version is still that of `head`; the stored version is then one higher.
    std::optional<StoredHead> head;
    /// By number, from the stored head's next_number on (from 1 with forget_all_before); only with a head.
    std::vector<StoredMessage> added;
    std::vector<std::uint32_t> removed;  ///< numbers; only with a head
    std::vector<MessageChange> changed;  ///< applied to what is stored now, whoever wrote it
    std::uint64_t sizes_corrected = 0;   ///< added to what is stored; the head's own is not looked at
    bool forget_all_before = false;      ///< what was stored of messages goes first; only with a head
    bool durable = false;                ///< on the disk, not only with the kernel, before the call returns
};

/// What the store keeps of an account under one kind; sealed by whoever wrote it, so octets to the store.
struct StoredRecord {
    std::string octets;
    std::uint64_t revision = 0;  ///< counts its changes; 0: there is none
};

/// Held as long as it lives: nobody else, in any process on the store, has the same one. Ends with its process. Its
/// destructor does not suspend.
class Claim {
public:
    virtual ~Claim() = default;
};

/// Remembers mailboxes between sessions. Shared by all sessions, threads and, by its means, processes. Every call may
/// suspend the fiber, and none blocks its thread. Mailboxes go by Backend::mailbox_key().
///
/// Errc::temporary: the store could not be read or written (which is logged); what was to be written is not.
class StateStore {
public:
    virtual ~StateStore() = default;

    /// A mailbox that is not known is an empty one with version 0.
    virtual Result<StoredMailbox> load(Fiber& fiber, const std::string& mailbox) = 0;

    /// The head's version now; nothing where somebody else has changed the mailbox meanwhile, or where it was forgotten
    /// and messages in it were to be changed: load it again.
    virtual Result<std::optional<std::uint64_t>> save(Fiber& fiber, const std::string& mailbox,
                                                      MailboxChange change) = 0;

    /// Forgets what can be learned again and what cannot; unique-ids that were imported stay, and so do retired ids and
    /// the first generation. False: there was nothing.
    virtual Result<bool> forget(Fiber& fiber, const std::string& mailbox) = 0;

    /// Durable before the call returns. Imported ids replace those of an earlier import.
    virtual Status keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                                 const std::map<std::string, std::string, std::less<>>& unique_ids) = 0;
    /// Durable likewise. The first that is kept stays.
    virtual Status keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) = 0;

    virtual Result<RetiredIds> retired(Fiber& fiber, const std::string& mailbox) = 0;
    /// Durable likewise. A count that is stored already never falls. What was last retired more than 400 days before
    /// `now` (seconds since 1970) goes; a clock that is ahead does not make it go earlier.
    virtual Status keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) = 0;

    /// The keys of all mailboxes of which something is stored, sorted.
    virtual Result<std::vector<std::string>> mailboxes(Fiber& fiber) = 0;

    /// Errc::temporary too where the record is damaged as the store sees it; its neighbours can be read.
    virtual Result<StoredRecord> record(Fiber& fiber, const std::string& kind, const std::string& name) = 0;
    /// Durable likewise. False, and nothing is written, where its revision is not `expected` (0: there must be none).
    virtual Result<bool> keep_record(Fiber& fiber, const std::string& kind, const std::string& name,
                                     const std::string& octets, std::uint64_t expected) = 0;
    /// Durable likewise. False: there was none.
    virtual Result<bool> erase_record(Fiber& fiber, const std::string& kind, const std::string& name) = 0;
    /// Sorted.
    virtual Result<std::vector<std::string>> record_names(Fiber& fiber, const std::string& kind) = 0;
    /// Null where somebody else has it.
    virtual Result<std::unique_ptr<Claim>> try_claim(Fiber& fiber, const std::string& what) = 0;

    /// Empty, or why what is written does not last (a file that is foreign, too new, or read-only), in one sentence.
    virtual std::string impairment() const = 0;
    /// False where memory stands in for a store that could not be used: what it once knew is not known now.
    virtual bool lasts() const = 0;
};

/// Opens the store that `url` names: "sqlite:/path", "sqlite:" for the standard path, "sqlite::memory:". Blocks; before
/// any fiber runs. A file that cannot be used is reported in the log and by impairment(), and memory stands in for it;
/// the error is for a URL that means nothing.
Result<std::unique_ptr<StateStore>> open_state_store(const std::string& url);

}  // namespace popgate
