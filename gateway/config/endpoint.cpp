#include "gateway/config/endpoint.hpp"

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace popgate {

std::optional<boost::asio::ip::tcp::endpoint> parse_endpoint(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return {};
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, parse_error] = std::from_chars(text.data() + colon + 1, end, port);
    boost::system::error_code address_error;
    const auto address = boost::asio::ip::make_address(std::string(host), address_error);
    if (parse_error != std::errc() || rest != end || address_error || address.is_v6() != bracketed) return {};
    return boost::asio::ip::tcp::endpoint(address, port);
}

std::optional<std::string_view> passed_socket_name(std::string_view text) {
    constexpr std::string_view prefix = "systemd:";
    if (!text.starts_with(prefix)) return {};
    return text.substr(prefix.size());
}

bool is_socket_name(std::string_view name) {
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7F && c != ':'; };
    return !name.empty() && name.size() <= 255 && std::ranges::all_of(name, is_plain);
}

std::optional<std::string> parse_unix_address(std::string_view text) {
    constexpr std::string_view scheme = "unix:";
    if (!text.starts_with(scheme)) return {};
    text.remove_prefix(scheme.size());
    if (!text.starts_with('/') || text.size() >= sizeof sockaddr_un{}.sun_path || text.find('\0') != text.npos)
        return {};
    return std::string(text);
}

}  // namespace popgate
