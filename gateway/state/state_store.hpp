#pragma once

#include "backends/mailbox.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

struct StateConfig;

/// One message as it is remembered between sessions. Times are seconds since 1970.
struct StoredMessage {
    MessageInfo info;  ///< its tag is not kept
    std::int64_t first_seen = 0;
    std::int64_t retrieved = 0;  ///< when a client last got the whole message; 0: never
    std::uint32_t number = 0;    ///< of the index, ascending in order of first sight, from 1, never given twice
    std::uint8_t failures = 0;   ///< sessions in a row that could not be given it
    bool hidden = false;         ///< a client has deleted it, and the policy keeps it in the mailbox
    bool quarantined = false;    ///< failed too often to be shown
};

/// What is remembered of a mailbox as a whole.
struct StoredHead {
    std::uint64_t version = 0;  ///< grows with each change of the head; 0: nothing is stored
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
    std::optional<std::int64_t> arrival{};
};

/// What is to be written in one step: all of it or nothing.
struct MailboxChange {
    /// Replaces the head, provided that its version is still that of `head`; the stored version is higher then.
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

/// One session's hold on a maildrop (RFC 1939 §4), which no other session has on any node of the store.
class MaildropHold {
public:
    /// Frees the maildrop, and does not wait for that. Does not suspend; on the thread where it was got.
    virtual ~MaildropHold() = default;

    /// Until then nobody else can have it, whatever becomes of the store. Any thread.
    virtual Deadline held_until() const { return Deadline::max(); }
    /// The store has said that it is lost; a store that cannot be asked says nothing. Any thread.
    virtual bool is_lost() const { return false; }
    /// Makes sure that it is still held, and for some time. Errc::temporary: it was lost, or the store cannot be asked.
    virtual Status confirm(Fiber& fiber) = 0;
    /// Frees the maildrop, and returns when the next session can have it. Nothing but the destructor may follow.
    virtual void release(Fiber& fiber) = 0;
};

struct MaildropAnswer {
    std::unique_ptr<MaildropHold> hold;   ///< null where another session has it
    std::chrono::milliseconds free_in{};  ///< in that case: when it is free if its node has died; 0: nobody can tell
};

/// What nodes count together to make guessing slow, and logins seldom; by names that tell nothing to who reads the
/// store. Calls may suspend. Errc::temporary: the store cannot be asked.
class SharedThrottles {
public:
    virtual ~SharedThrottles() = default;

    /// What is known under this name.
    struct Known {
        std::chrono::milliseconds wait{};  ///< how long hold_up() still lasts
        bool has_failed = false;           ///< count() was called, and is not forgotten
    };
    virtual Result<Known> look(Fiber& fiber, const std::string& name) = 0;
    /// One failure more of this name; how many there are, until none has come for so long.
    virtual Result<std::uint32_t> count(Fiber& fiber, const std::string& name, std::chrono::milliseconds memory) = 0;
    /// Whoever comes under this name waits for so long, unless he waits longer already.
    virtual Status hold_up(Fiber& fiber, const std::string& name, std::chrono::milliseconds wait) = 0;
    virtual Status forget(Fiber& fiber, const std::string& name) = 0;
    /// Each one admitted costs `interval`, and `burst` may come at once. False: too soon; it does not count then.
    virtual Result<bool> admit(Fiber& fiber, const std::string& name, std::chrono::milliseconds interval,
                               std::uint32_t burst) = 0;
    /// One that was admitted does not count.
    virtual Status give_back(Fiber& fiber, const std::string& name, std::chrono::milliseconds interval) = 0;
};

/// Remembers mailboxes between sessions. Shared by all sessions, threads and, by its means, processes. Every call may
/// suspend the fiber, and none blocks its thread. Mailboxes go by Backend::mailbox_key().
///
/// Errc::temporary: the store could not be read or written (which is logged). In a file nothing was written then; what
/// a server did of it nobody can tell.
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

    /// Errc::temporary where it cannot be told whether another session has the maildrop.
    virtual Result<MaildropAnswer> hold_maildrop(Fiber& fiber, const std::string& mailbox) = 0;

    /// Null where this process is alone on the store. Lives as long as the store.
    virtual SharedThrottles* shared_throttles() { return nullptr; }

    /// Errc::permanent where this program must not work on the store: another version's. Errc::temporary: it cannot be
    /// reached now.
    virtual Status check(Fiber&) { return {}; }
    /// What an administrator should change about how the store keeps what it is given; empty: nothing.
    virtual Result<std::vector<std::string>> remarks(Fiber&) { return std::vector<std::string>(); }
    /// Does what has to be done as long as the process runs, such as renewing locks, until the fiber is interrupted.
    /// `is_needed`: there are sessions yet, and it goes on although it is interrupted.
    virtual void keep_up(Fiber&, const std::function<bool()>& is_needed) { (void)is_needed; }

    /// Empty, or why what is written does not last (a file that is foreign, too new, or read-only), in one sentence.
    virtual std::string impairment() const = 0;
    /// False where memory stands in for a store that could not be used: what it once knew is not known now.
    virtual bool lasts() const = 0;
};

/// Opens the store that `config.url` names: "sqlite:/path", "sqlite:" for the standard path, "sqlite::memory:", or a
/// Redis (gateway/config/redis_url.hpp), which is reached when it is first needed. Blocks; before any fiber runs. A
/// file that cannot be used is reported in the log and by impairment(), and memory stands in for it; the error is for
/// what means nothing, and for certificates and passwords that cannot be read.
Result<std::unique_ptr<StateStore>> open_state_store(const StateConfig& config);

/// What this process is called among others on the store: as the configuration says, or its host.
std::string node_name(const StateConfig& config);

}  // namespace popgate
