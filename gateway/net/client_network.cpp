#include "gateway/net/client_network.hpp"

#include <algorithm>

namespace popgate {

namespace ip = boost::asio::ip;

ip::address client_network(const ip::address& client) {
    if (client.is_v4()) return client;
    const auto v6 = client.to_v6();
    if (v6.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, v6);
    auto bytes = v6.to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
    return ip::address_v6(bytes);
}

}  // namespace popgate
