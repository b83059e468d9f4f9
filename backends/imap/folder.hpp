#pragma once

#include "backends/mailbox.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {

/// A mailbox that a LIST answer names (RFC 3501 §7.2.2).
struct Folder {
    std::string attributes;  ///< in upper case, "\HASNOCHILDREN \TRASH"
    std::string name;        ///< modified UTF-7; printable ASCII

    bool has(std::string_view upper_case_attribute) const;
    /// One of those that popgate moves messages to (RFC 6154: \Trash, \Archive, \All).
    bool has_special_use() const;
    bool operator==(const Folder&) const = default;
};

/// Reads what stands behind "* LIST ". `literal`: the name, where it came as one. Nothing for what is not well-formed,
/// cannot hold messages, or has a name that could not be sent back.
std::optional<Folder> parse_folder(std::string_view text, const std::string* literal);

/// The folder that serves this purpose. Gmail has no \Archive: what is in \All alone is archived there. Elsewhere \All
/// is a view, to which nothing can be moved.
std::optional<std::string> choose_folder(const std::vector<Folder>& folders, SpecialFolder purpose, bool is_gmail);

}  // namespace popgate::imap
