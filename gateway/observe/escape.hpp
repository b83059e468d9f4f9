#pragma once

#include <string>
#include <string_view>

namespace popgate {

/// `text` in quotes, for a log line of words: one line, at most 256 octets of it, and nothing that moves a terminal.
std::string quoted_text(std::string_view text);

/// Valid UTF-8 of the same length at most, for a serialiser of JSON to escape.
std::string json_text(std::string_view text);

/// Escapes the controls that JSON allows in the open (DEL, C1, direction changes), in finished JSON.
std::string escape_json_controls(std::string_view json);

}  // namespace popgate
