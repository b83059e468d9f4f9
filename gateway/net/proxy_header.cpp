#include "gateway/net/proxy_header.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace popgate {

namespace {

namespace ip = boost::asio::ip;

constexpr std::string_view line_start = "PROXY ";
constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t block_start = 16;  // signature, version and command, family, length
constexpr std::size_t longest_text = 256;

// Types of what a version 2 header may hold behind the addresses.
constexpr unsigned char type_crc32c = 0x03;
constexpr unsigned char type_tls = 0x20;
constexpr unsigned char type_tls_version = 0x21;
constexpr unsigned char type_tls_name = 0x22;
constexpr unsigned char type_tls_cipher = 0x23;
constexpr unsigned char client_has_tls = 0x01;
constexpr unsigned char certificate_on_connection = 0x02;
constexpr unsigned char certificate_in_session = 0x04;

unsigned octet_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }
unsigned number_at(std::string_view text, std::size_t i) { return octet_at(text, i) << 8 | octet_at(text, i + 1); }

std::uint32_t crc32c(std::string_view octets) {
    std::uint32_t sum = 0xFFFFFFFF;
    for (const char c : octets) {
        sum ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) sum = sum & 1 ? sum >> 1 ^ 0x82F63B78 : sum >> 1;
    }
    return ~sum;
}

/// Decimal, without sign or leading zero.
std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    return port;
}

std::optional<ip::address> parse_address(std::string_view text, bool is_v6) {
    // No scope, and no NUL, at which a C string would end.
    if (text.find_first_not_of("0123456789abcdefABCDEF:.") != text.npos) return std::nullopt;
    boost::system::error_code error;
    const auto address = ip::make_address(std::string(text), error);
    if (error || address.is_v6() != is_v6) return std::nullopt;
    return address;
}

/// An IPv4 client as such, also of a proxy that listens on an IPv6 socket for both.
ip::tcp::endpoint without_mapping(const ip::tcp::endpoint& source) {
    const auto& address = source.address();
    if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return source;
    return {ip::make_address_v4(ip::v4_mapped, address.to_v6()), source.port()};
}

template <class Address>
ip::tcp::endpoint endpoint_at(std::string_view block, std::size_t address, std::size_t port) {
    typename Address::bytes_type bytes;
    std::copy_n(block.data() + address, bytes.size(), reinterpret_cast<char*>(bytes.data()));
    return {Address(bytes), static_cast<std::uint16_t>(number_at(block, port))};
}

std::string printable(std::string_view text) {
    std::string out(text.substr(0, longest_text));
    std::erase_if(out, [](unsigned char c) { return c < 0x20 || c > 0x7E; });
    return out;
}

bool is_clean_name(std::string_view text) {
    return text.size() <= longest_text &&
           std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

/// Calls visit(type, value) for each; false where one runs over the end.
template <class Visit>
bool for_each_detail(std::string_view details, Visit visit) {
    while (!details.empty()) {
        if (details.size() < 3) return false;
        const auto length = number_at(details, 1);
        if (details.size() < 3 + length) return false;
        visit(octet_at(details, 0), details.substr(3, length));
        details.remove_prefix(3 + length);
    }
    return true;
}

}  // namespace

void ProxyHeader::fail(const char* fault) {
    state_ = State::broken;
    fault_ = fault;
}

std::size_t ProxyHeader::feed(std::string_view octets) {
    if (state_ != State::incomplete || octets.empty()) return 0;
    const char first = seen_.empty() ? octets.front() : seen_.front();
    if (first == line_start.front()) return feed_line(octets);
    if (first == signature.front()) return feed_block(octets);
    fail("no PROXY header");
    return 0;
}

std::size_t ProxyHeader::feed_line(std::string_view octets) {
    std::size_t taken = 0;
    while (state_ == State::incomplete && taken < octets.size()) {
        seen_ += octets[taken++];
        const auto shown = std::min(seen_.size(), line_start.size());
        if (std::string_view(seen_).substr(0, shown) != line_start.substr(0, shown))
            fail("no PROXY header");
        else if (seen_.ends_with('\n'))
            read_line();
        else if (seen_.size() >= longest_line)
            fail("a PROXY line of more than 107 octets");
    }
    return taken;
}

void ProxyHeader::read_line() {
    if (!seen_.ends_with("\r\n")) return fail("a PROXY line that does not end in CRLF");
    std::string_view rest(seen_);
    rest.remove_suffix(2);
    rest.remove_prefix(line_start.size());
    // Whatever a proxy writes behind that is to be ignored.
    if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return complete();
    std::array<std::string_view, 5> words;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto end = rest.find(' ');
        if ((end == rest.npos) != (i + 1 == words.size())) return fail("a PROXY line that is malformed");
        words[i] = rest.substr(0, end);
        rest.remove_prefix(std::min(rest.size(), words[i].size() + 1));
    }
    const bool is_v6 = words[0] == "TCP6";
    if (!is_v6 && words[0] != "TCP4") return fail("a PROXY line of an unknown protocol");
    const auto source = parse_address(words[1], is_v6);
    const auto port = parse_port(words[3]);
    if (!source || !port || !parse_address(words[2], is_v6) || !parse_port(words[4]))
        return fail("a PROXY line with malformed addresses");
    client_.source = without_mapping({*source, *port});
    complete();
}

std::size_t ProxyHeader::feed_block(std::string_view octets) {
    std::size_t taken = 0;
    while (state_ == State::incomplete && taken < octets.size()) {
        // No further than to where the length is known, and then to the end.
        const auto wanted = seen_.size() < block_start ? block_start : block_start + number_at(seen_, 14);
        const auto piece = octets.substr(taken, wanted - seen_.size());
        seen_ += piece;
        taken += piece.size();
        const auto shown = std::min(seen_.size(), signature.size());
        if (std::string_view(seen_).substr(0, shown) != signature.substr(0, shown)) {
            fail("no PROXY header");
        } else if (seen_.size() >= block_start) {
            const auto length = number_at(seen_, 14);
            if (length > longest_block)
                fail("a PROXY header that is too long");
            else if (seen_.size() == block_start + length)
                read_block();
        }
    }
    return taken;
}

void ProxyHeader::read_block() {
    const auto command = octet_at(seen_, 12);
    const auto family = octet_at(seen_, 13);
    const auto block = std::string_view(seen_).substr(block_start);
    if (command != 0x20 && command != 0x21) return fail("a PROXY header of an unknown version or command");
    client_.is_local = command == 0x20;
    // Whatever else such a header says is to be ignored, its family too.
    if (client_.is_local) return complete();
    std::size_t addresses = 0;
    switch (family) {
        case 0x00:
        case 0x01: break;                   // AF_UNSPEC
        case 0x11: addresses = 12; break;   // TCP over IPv4
        case 0x21: addresses = 36; break;   // TCP over IPv6
        case 0x31: addresses = 216; break;  // a Unix stream
        default: return fail("a PROXY header of an unknown family or transport");
    }
    if (block.size() < addresses) return fail("a PROXY header that is too short for its addresses");
    if (family == 0x11) client_.source = endpoint_at<ip::address_v4>(block, 0, 8);
    if (family == 0x21) client_.source = without_mapping(endpoint_at<ip::address_v6>(block, 0, 32));
    read_details(block.substr(addresses));
    if (state_ == State::incomplete) complete();
}

void ProxyHeader::read_details(std::string_view details) {
    bool has_tls = false;
    bool has_checksum = false;
    const auto visit = [&](unsigned type, std::string_view value) {
        if ((type == type_tls && std::exchange(has_tls, true)) ||
            (type == type_crc32c && std::exchange(has_checksum, true)))
            return fail("a PROXY header that says a thing twice");
        if (type == type_tls) return read_tls(value);
        if (type != type_crc32c) return;
        if (value.size() != 4) return fail("a PROXY header with a checksum that is none");
        auto zeroed = seen_;
        const auto at = static_cast<std::size_t>(value.data() - seen_.data());
        zeroed.replace(at, 4, 4, '\0');
        const auto told = std::uint32_t{number_at(value, 0)} << 16 | number_at(value, 2);
        if (crc32c(zeroed) != told) fail("a PROXY header with a wrong checksum");
    };
    if (!for_each_detail(details, visit)) fail("a PROXY header with details that run over its end");
}

void ProxyHeader::read_tls(std::string_view value) {
    if (value.size() < 5) return fail("a PROXY header with malformed TLS details");
    const auto flags = octet_at(value, 0);
    const bool is_verified = number_at(value, 1) == 0 && number_at(value, 3) == 0;
    std::string version;
    std::string cipher;
    std::string name;
    const auto visit = [&](unsigned type, std::string_view text) {
        if (type == type_tls_version) version = printable(text);
        if (type == type_tls_cipher) cipher = printable(text);
        if (type == type_tls_name && is_clean_name(text)) name = text;
    };
    if (!for_each_detail(value.substr(5), visit)) return fail("a PROXY header with malformed TLS details");
    client_.tls = (flags & client_has_tls) != 0;
    if (!client_.tls) return;
    client_.tls_description = (version.empty() ? "TLS" : version) + (cipher.empty() ? "" : " " + cipher);
    client_.certificate_verified = is_verified && (flags & (certificate_on_connection | certificate_in_session)) != 0;
    client_.certificate_name = std::move(name);
}

}  // namespace popgate
