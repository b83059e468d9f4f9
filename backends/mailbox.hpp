#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

class Fiber;
class Secret;

/// One message of a mailbox's snapshot.
struct MessageInfo {
    std::string id;                 ///< the backend's own key: an IMAP UID, a Maildir file's base name
    std::uint64_t octets = 0;       ///< size with CRLF line ends, as RETR will send it
    bool octets_are_exact = false;  ///< false: the store's word for it, never measured here
    std::int64_t arrival = 0;       ///< seconds since 1970; 0 when unknown
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

/// An open mailbox: the whole seam between POP3 and a store. One session owns it and uses it from one
/// fiber. Knows nothing of POP3. Every call may suspend, and ends within the backend's own deadlines.
///
/// A fault is an Error, never a shortened list, an empty list or a truncated message that looks whole.
/// The destructor must not suspend; close() is where a polite goodbye belongs.
class Mailbox {
public:
    virtual ~Mailbox() = default;

    /// The snapshot, oldest first, taken at the first call; what other clients do later does not show.
    virtual Result<std::vector<MessageInfo>> list() = 0;

    /// A stable id of the message, unique in the mailbox, 1 to 70 characters of 0x21-0x7E (RFC 1939 UIDL).
    virtual std::string unique_id(const MessageInfo& message) const = 0;

    /// Streams the whole message. Success means that every octet was given to `sink`; a failure before the
    /// first octet may be tried again by the caller. Errc::gone: the message has vanished.
    virtual Status fetch(const MessageInfo& message, BodySink& sink) = 0;

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

    /// Logs `user` in and opens the mailbox on `fiber`, to which the Mailbox stays bound.
    /// Errc::auth: refused. Anything that is not a plain refusal must not say auth.
    virtual Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const std::string& user,
                                                  const Secret& password) const = 0;

    /// Names the mailbox that `user` would open, for the one-session-at-a-time lock: two names of one
    /// mailbox must give one key.
    virtual std::string lock_key(const std::string& user) const = 0;

    /// True where open() proves the password upstream; false where somebody must have checked it before.
    virtual bool checks_password() const = 0;
};

}  // namespace popgate
