#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate {
class Fiber;
}

namespace popgate::jmap {

struct SrvTarget {
    std::string host;  ///< lower case, without the last dot
    std::uint16_t port = 0;
    bool operator==(const SrvTarget&) const = default;
};

/// The record of the lowest priority, and of the greatest weight among these, of a DNS answer (RFC 2782). Nothing where
/// there is none, or where the octets are no answer. Pure.
std::optional<SrvTarget> parse_srv_answer(std::string_view octets);

/// True for `host` itself and for names below it. DNS proves nothing: another target could be anybody's.
bool is_trusted(const SrvTarget& target, std::string_view host);

/// Looks _jmap._tcp.<host> up (RFC 8620 §2.2); a failure is as good as no record. Suspends for some seconds at most.
std::optional<SrvTarget> look_up_srv(Fiber& fiber, const std::string& host);

}  // namespace popgate::jmap
