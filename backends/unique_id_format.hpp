#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace popgate {

/// What a unique-id may be made of. A store fills in what it knows.
struct UniqueIdParts {
    std::uint32_t uid = 0;           ///< IMAP UID, or the number that another server gave the message
    std::uint32_t uid_validity = 0;  ///< UIDVALIDITY, likewise
    std::uint64_t gmail_id = 0;      ///< X-GM-MSGID
    std::string_view file_name;      ///< a Maildir file's base name
};

/// How unique-ids are written, so that a site can come from another POP3 server and no client downloads again:
/// the route's `unique_ids`. Immutable; any thread may use it.
class UniqueIdFormat {
public:
    /// "native", the name of a server's format ("dovecot", "cyrus", "courier", …), or a template that holds a '%':
    /// Dovecot's pop3_uidl_format as 2.3 writes it (%08Xu%v) or 2.4 does (%{uid | hex(8)}%{uidvalidity}), of
    /// %u or %{uid}, %v or %{uidvalidity}, %f or %{filename}, and %{gmail_id}. The error's text says what is wrong.
    static Result<UniqueIdFormat> parse(std::string_view text);

    bool is_native() const { return pieces_ == nullptr; }
    /// Courier's: its POP3 server has numbers of its own, which are not the UIDs of IMAP.
    bool is_couriers() const;
    bool needs_uid() const;
    bool needs_uid_validity() const;
    bool needs_gmail_id() const;
    bool needs_file_name() const;

    /// Not yet fit for UIDL: see fit_unique_id(). Not for a native format.
    std::string make(const UniqueIdParts& parts) const;

private:
    struct Pieces;
    std::shared_ptr<const Pieces> pieces_;  // null: native
};

/// `id` itself where UIDL can carry it (1 to 70 characters of 0x21-0x7E, RFC 1939 §7), else a hash of it that can.
std::string fit_unique_id(std::string_view id);

}  // namespace popgate
