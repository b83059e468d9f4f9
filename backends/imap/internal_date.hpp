#pragma once

#include <cstdint>
#include <string_view>

namespace popgate::imap {

/// Seconds since 1970 of an INTERNALDATE without its quotes, "17-Jul-1996 02:44:25 -0700" (RFC 3501 §9, date-time).
/// 0 for what is no such date, or lies before 1970.
std::int64_t parse_internal_date(std::string_view text);

}  // namespace popgate::imap
