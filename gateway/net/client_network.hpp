#pragma once

#include "backends/errors.hpp"

#include <boost/asio/ip/address.hpp>

#include <array>
#include <string_view>
#include <vector>

namespace popgate {

/// What one client can move about in, so what limits count: an IPv4 address (mapped ones too), or an IPv6 /64.
boost::asio::ip::address client_network(const boost::asio::ip::address& client);

/// A list of networks, as "192.0.2.0/24 2001:db8::/32 198.51.100.7".
class Networks {
public:
    Networks() = default;
    /// The error names the part that is none.
    static Result<Networks> parse(std::string_view text);

    /// False for what is no address.
    bool contains(std::string_view address) const;

private:
    struct Network {
        std::array<unsigned char, 16> bytes;  // IPv4 addresses as mapped ones
        unsigned bits;
    };
    std::vector<Network> networks_;
};

}  // namespace popgate
