#pragma once

#include <boost/asio/ip/address.hpp>

namespace popgate {

/// What one client can move about in, so what limits count: an IPv4 address (mapped ones too), or an IPv6 /64.
boost::asio::ip::address client_network(const boost::asio::ip::address& client);

}  // namespace popgate
