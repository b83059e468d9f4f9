#include "gateway/net/client_network.hpp"

#include <algorithm>
#include <charconv>
#include <string>

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

namespace {

std::array<unsigned char, 16> bytes_of(const ip::address& address) {
    return (address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6()).to_bytes();
}

}  // namespace

Result<Networks> Networks::parse(std::string_view text) {
    Networks parsed;
    for (std::size_t begin = 0; (begin = text.find_first_not_of(' ')) != std::string_view::npos;) {
        text.remove_prefix(begin);
        const auto word = text.substr(0, text.find(' '));
        text.remove_prefix(word.size());
        const auto slash = word.find('/');
        boost::system::error_code error;
        const auto address = ip::make_address(std::string(word.substr(0, slash)), error);
        unsigned bits = !error && address.is_v4() ? 32 : 128;
        bool is_good = !error;
        if (slash != std::string_view::npos) {
            const auto digits = word.substr(slash + 1);
            const unsigned most = bits;
            const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
            is_good = is_good && failure == std::errc() && end == digits.data() + digits.size() && bits <= most;
        }
        if (!is_good)
            return Error{Errc::permanent, '"' + std::string(word) + "\" is no network such as 192.0.2.0/24", {}};
        parsed.networks_.push_back({bytes_of(address), address.is_v4() ? bits + 96 : bits});
    }
    return parsed;
}

bool Networks::contains(std::string_view address) const {
    boost::system::error_code error;
    const auto parsed = ip::make_address(std::string(address), error);
    if (error) return false;
    const auto bytes = bytes_of(parsed);
    return std::ranges::any_of(networks_, [&](const Network& network) {
        for (unsigned bit = 0; bit < network.bits; ++bit)
            if ((bytes[bit / 8] ^ network.bytes[bit / 8]) & (0x80u >> bit % 8)) return false;
        return true;
    });
}

}  // namespace popgate
