#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace popgate::web {

/// `text` as content or as a quoted attribute value of HTML and XML 1.0: markup escaped, what is no UTF-8 or no XML
/// character replaced by U+FFFD.
std::string escape_markup(std::string_view text);

/// `text` as UTF-8 without control characters, cut to `most` octets between two characters, without spaces around it.
std::string clean_line(std::string_view text, std::size_t most);

}  // namespace popgate::web
