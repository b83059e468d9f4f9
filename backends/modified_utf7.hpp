#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace popgate {

/// A mailbox name as IMAP and Maildir++ write it (RFC 3501 §5.1.3). Nothing when `utf8` is not UTF-8 or holds control
/// characters.
std::optional<std::string> to_modified_utf7(std::string_view utf8);

}  // namespace popgate
