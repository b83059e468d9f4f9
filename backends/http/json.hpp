#pragma once

#include "backends/errors.hpp"

#include <boost/json/fwd.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::http {

/// Errc::temporary for what is no JSON, or nested deeper than any API's answer is; `what` begins the error's text.
Result<boost::json::value> parse_json(std::string_view text, std::string_view what);

// Lenient readers of one member: numbers may come as strings and ids as numbers. A value that is no object has none.
const boost::json::value* find(const boost::json::value& object, std::string_view key);  ///< null: none, or null
std::optional<std::string> text_of(const boost::json::value& object, std::string_view key);
std::optional<std::uint64_t> number_of(const boost::json::value& object, std::string_view key);
/// Seconds since 1970 of an RFC 3339 date ("2026-01-02T03:04:05.678Z", with any offset); nothing for another text.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace popgate::http
