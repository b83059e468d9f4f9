#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <string>

namespace popgate {

/// What went wrong upstream, in the only distinctions that a POP3 client can be told.
enum class Errc {
    auth,         ///< the credentials were refused: [AUTH]
    sign_in,      ///< popgate's own access has ended, and a person must sign in again: [AUTH], and `text` says where
    temporary,    ///< down, throttled, timed out, broken protocol, bad certificate: [SYS/TEMP]
    permanent,    ///< needs an administrator, trying again will not help: [SYS/PERM]
    in_use,       ///< another session holds the maildrop: [IN-USE]
    login_delay,  ///< the account has logged in a moment ago: [LOGIN-DELAY]
    gone,         ///< this one message is no longer there
    sink_closed,  ///< the BodySink wanted no more; not a fault of the backend
};

/// An expected failure. `text` may be shown to the client and holds no secret, path or policy;
/// `detail` is for the log alone. Both may hold bytes of the peer: whoever prints them escapes them.
struct Error {
    Errc code = Errc::temporary;
    std::string text;
    std::string detail;
};

/// Expected outcomes are values; exceptions are for broken invariants.
template <class T>
using Result = boost::system::result<T, Error>;

using Status = Result<void>;

/// Called by Result::value() when it holds an error: a programming mistake, as callers test first.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

}  // namespace popgate
