#pragma once

#include "backends/errors.hpp"
#include "gateway/commands/place.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <string>

namespace popgate {
struct BackendOptions;
}

namespace popgate::commands {

/// What an IMAP server says before a login.
struct ImapProbe {
    std::string description;   ///< how long it took, and with what TLS
    std::string capabilities;  ///< upper case, separated by spaces; those that hold after STARTTLS
};

/// Connects as the route's options say, reads greeting and capabilities, and says LOGOUT. Suspends; `timeout` is for
/// each wait. Errc::permanent: TLS could not be agreed on, for the certificate most of all; else Errc::temporary.
Result<ImapProbe> probe_imap(Fiber& fiber, const BackendOptions& options, const Place& place,
                             std::chrono::milliseconds timeout);

}  // namespace popgate::commands
