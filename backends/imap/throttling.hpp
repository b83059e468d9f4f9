#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace popgate::imap {

/// How long an IMAP server wants an account to be left alone, by the text of its NO, BAD or BYE; nothing where it is
/// not about that. Exchange names the time ("Suggested Backoff Time: 299961 milliseconds"); others say [LIMIT] (RFC
/// 9051 §7.1), [THROTTLED] or that there are too many connections, and are left alone for half a minute. At most an
/// hour.
std::optional<std::chrono::milliseconds> asked_pause(std::string_view text);

}  // namespace popgate::imap
