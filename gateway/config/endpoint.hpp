#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace popgate {

/// "127.0.0.1:110" or "[::1]:110"; nothing when `text` is something else.
std::optional<boost::asio::ip::tcp::endpoint> parse_endpoint(std::string_view text);

/// Of "systemd:NAME" the name, which may be none; nothing when `text` is something else.
std::optional<std::string_view> passed_socket_name(std::string_view text);

/// Whether a socket unit's FileDescriptorName may be so: 1 to 255 visible characters of ASCII, none of them a colon.
bool is_socket_name(std::string_view name);
/// The path of "unix:/run/popgate/admin.sock"; nothing when `text` is something else, or the path is not absolute or
/// longer than the 107 octets that the system allows.
std::optional<std::string> parse_unix_address(std::string_view text);

}  // namespace popgate
