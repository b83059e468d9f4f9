#pragma once

#include "backends/errors.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::http {

/// Whom a request is for; a credential never leaves it (RFC 6454).
struct Origin {
    bool tls = true;
    std::string host;  ///< lower case, an IPv6 address without its brackets
    std::string port;  ///< always there
    bool operator==(const Origin&) const = default;
    /// "https://host:port"
    std::string to_string() const;
};

/// An absolute http: or https: URL, taken apart as far as a request needs it.
struct Url {
    Origin origin;
    std::string target;  ///< path and query as they were written: octets are never re-encoded
    std::string to_string() const { return origin.to_string() + target; }
};

/// Errc::temporary where `text` is no absolute http: or https: URL of visible ASCII, or names a user: it comes from
/// the network.
Result<Url> parse_url(std::string_view text);

/// `reference`, absolute or relative, as seen from `base` (RFC 3986 §5.2).
Result<Url> resolve(const Url& base, std::string_view reference);

/// Percent-encodes all but RFC 3986's unreserved characters.
std::string encode_component(std::string_view text);

/// Level 1 of RFC 6570: each {name} becomes its encoded value. A name without value becomes nothing.
std::string expand_template(std::string_view text, const std::vector<std::pair<std::string_view, std::string>>& values);

}  // namespace popgate::http
