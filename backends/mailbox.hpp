#pragma once

#include "backends/errors.hpp"
#include "backends/seldom_text.hpp"
#include "backends/upstream_login.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

class Fiber;

/// One message of a mailbox's snapshot.
struct MessageInfo {
    std::string id;                 ///< the backend's own key: an IMAP UID, a Maildir file's base name
    std::uint64_t octets = 0;       ///< size with CRLF line ends, as RETR will send it
    std::int64_t arrival = 0;       ///< seconds since 1970; 0 when unknown
    SeldomText unique_id{};         ///< only where it cannot be told from `id`, see Mailbox::unique_id()
    std::uint32_t tag = 0;          ///< the caller's own, see KnownMailbox; 0 for a message that it did not know
    bool octets_are_exact = false;  ///< false: the store's word for it, never measured here
};

/// What is known of a mailbox from an earlier look at it.
struct KnownMailbox {
    std::string state;  ///< of that look's Listing; empty: look at everything
    std::vector<MessageInfo>
        messages;                  ///< that Listing's; a backend gives back those that are still there, tag and all
    std::string first_generation;  ///< the first Listing's; empty: this look is the first
    std::string generation;        ///< of the Listing whose messages these are
    /// False: MessageInfo::arrival may stay unknown, where a store tells all else sooner. Where it was unknown and is
    /// wanted now, the messages that are given back have it.
    bool wants_arrival = true;
    /// How long list() may take where the store must be asked about every single message; zero: as long as it takes.
    std::chrono::milliseconds patience{};
};

/// A mailbox as it is now.
struct Listing {
    std::vector<MessageInfo> messages;  ///< all of them, oldest first
    /// Where the next look may begin (UIDVALIDITY and UIDNEXT, a history id, a delta link): for this backend alone to
    /// read. Empty where every look is at everything.
    std::string state;
    /// Another one than last time: the store has begun anew, and an id of before now means another message (a changed
    /// UIDVALIDITY). Empty where that cannot happen.
    std::string generation;
    /// Messages that are not among `messages` because the patience was over: nobody is to be shown this listing. What
    /// it holds is to be remembered, with its state, and list() to be called again on another Mailbox.
    std::uint64_t still_to_come = 0;
    /// True where the id of a message that is gone may come back with another one (ids that are made of the content).
    bool ids_may_return = false;
};

/// Takes a message's octets as they come. The line ends are the store's own (LF or CRLF).
class BodySink {
public:
    virtual ~BodySink() = default;
    /// May suspend the fiber (back-pressure). Returns false when no more is wanted; the backend then
    /// stops and answers Errc::sink_closed. Must not throw: C libraries are on the stack.
    virtual bool write(std::string_view octets) noexcept = 0;
};

/// What became of one message that was to be removed.
enum class Removal {
    removed,  ///< it was there and no longer is
    gone,     ///< it was no longer there: as good as removed
    failed,   ///< it is still there
    unknown,  ///< the connection was lost before that could be seen
};

/// Where a message is moved instead of being destroyed.
enum class SpecialFolder { trash, archive };

/// An open mailbox: the whole seam between POP3 and a store. One session owns it and uses it from one
/// fiber. Knows nothing of POP3. Every call may suspend, and ends within the backend's own deadlines.
///
/// A fault is an Error, never a shortened list, an empty list or a truncated message that looks whole.
/// The destructor must not suspend; close() is where a polite goodbye belongs.
class Mailbox {
public:
    virtual ~Mailbox() = default;

    /// The snapshot; called once, first. What other clients do later does not show. Costs what has changed since
    /// `known`, where the store can tell that.
    virtual Result<Listing> list(KnownMailbox known) = 0;

    /// The id that the route's format gives a message without a `unique_id` of its own: stable, and unique unless the
    /// store or the format repeats itself. 1 to 70 characters of 0x21-0x7E (RFC 1939 UIDL) after fit_unique_id().
    virtual std::string unique_id(const MessageInfo& message) const = 0;

    /// Which of these messages nobody has read yet, in the order given. A store without such marks: all of them.
    virtual Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) = 0;

    /// Streams the whole message. Success means that every octet was given to `sink`; a failure before the
    /// first octet may be tried again by the caller. Errc::gone: the message has vanished.
    virtual Status fetch(const MessageInfo& message, BodySink& sink) = 0;

    /// Before a fetch(): the messages that will probably be fetched whole then, in this order; replaces what was
    /// expected before. A backend may get them ready before they are asked for, within BackendOptions::read_ahead
    /// octets, and drops what it got when another one is fetched, or none for a while. Changes nothing of what fetch()
    /// gives, says or marks. Does not suspend. The messages outlive the call only.
    virtual void expect(const std::vector<const MessageInfo*>& next) { (void)next; }

    /// As fetch(), for a caller that expects to close the sink early (TOP): the backend asks for small
    /// pieces, so that what is not wanted is not transferred. Errc::sink_closed is the usual good end.
    virtual Status fetch_top(const MessageInfo& message, BodySink& sink) = 0;

    /// Removes exactly these messages and tells of each, in the order given. Repeating it is harmless.
    /// The error says why some failed; its absence means that none did.
    struct RemovalReport {
        std::vector<Removal> outcomes;
        Status status;
    };
    virtual RemovalReport remove(const std::vector<MessageInfo>& messages) = 0;

    /// As remove(), and so that the mailbox's owner cannot get them back, where the store has a difference.
    virtual RemovalReport purge(const std::vector<MessageInfo>& messages) { return remove(messages); }

    /// How many messages at most one call of remove() or move() should be given, so that a fault leaves only some of
    /// many untold. Without effect on what the calls do.
    virtual std::size_t removal_batch() const { return 700; }

    /// As remove(), but they are found in another folder of the account afterwards: the one that the route names, else
    /// the one that the store knows for this purpose. Errc::permanent when there is none.
    virtual RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) = 0;

    /// Marks messages as read where the store knows such a mark; a store that does not answers success.
    virtual Status mark_seen(const std::vector<MessageInfo>& messages) = 0;

    /// Called while the client is silent. A failure is not final: the next call may find a way back.
    virtual Status keep_alive() = 0;

    /// A polite goodbye at the end of a session; best effort.
    virtual void close() = 0;
};

/// Opens mailboxes at one upstream. Shared by all sessions and threads, so const and without state of its own.
class Backend {
public:
    virtual ~Backend() = default;

    /// Logs in and opens the mailbox on `fiber`, to which the Mailbox stays bound. Errc::auth: the password, or a token
    /// that cannot be renewed, was refused. Anything that is not a plain refusal must not say auth.
    virtual Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const = 0;

    /// Names the mailbox that `user` would open, for the one-session-at-a-time lock and the index: two names of one
    /// mailbox must give one key, and two mailboxes two. May look at the file system where key_blocks().
    virtual std::string mailbox_key(const std::string& user) const = 0;
    /// False where mailbox_key() may be called on a thread that must not wait.
    virtual bool key_blocks() const { return true; }

    /// True where open() proves a password upstream; false where somebody must have checked it before.
    virtual bool checks_password() const = 0;
};

}  // namespace popgate
