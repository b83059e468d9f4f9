#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <optional>
#include <string_view>

namespace popgate {

/// "127.0.0.1:110" or "[::1]:110"; nothing when `text` is something else.
std::optional<boost::asio::ip::tcp::endpoint> parse_endpoint(std::string_view text);

}  // namespace popgate
