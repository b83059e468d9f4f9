#pragma once

#include "backends/mailbox.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace popgate {

/// What shall go wrong. A test keeps it, and may change it while the mailbox is open.
struct Faults {
    Error error{Errc::temporary, "injected fault", "by a test"};
    std::optional<unsigned> call;         ///< 0: the next call of the Mailbox fails, 1: the one after it, …; once
    std::optional<std::uint64_t> octets;  ///< every fetch fails after so many octets of the body
    std::optional<std::size_t> removals;  ///< remove() removes so many messages and fails at the others
    unsigned calls = 0;                   ///< how many there were; unique_id() and close() do not count
};

/// A Mailbox that does as `inner` does until told to fail.
std::unique_ptr<Mailbox> make_faulty_mailbox(std::unique_ptr<Mailbox> inner, std::shared_ptr<Faults> faults);

/// A Backend whose mailboxes are faulty. open() counts as a call.
std::unique_ptr<Backend> make_faulty_backend(std::shared_ptr<const Backend> inner, std::shared_ptr<Faults> faults);

}  // namespace popgate
