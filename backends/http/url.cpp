#include "backends/http/url.hpp"

#include "backends/ascii.hpp"

#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace popgate::http {

namespace {

Error bad_url(std::string_view text) {
    return {Errc::temporary, "the mail server gives an address that cannot be used", std::string(text.substr(0, 500))};
}

bool is_visible(char c) { return c > 0x20 && c < 0x7F; }

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

bool has_scheme(std::string_view text) {
    const auto colon = text.find(':');
    return colon != std::string_view::npos && colon < text.find_first_of("/?#");
}

}  // namespace

std::string Origin::to_string() const {
    const bool is_ipv6 = host.find(':') != std::string::npos;
    return (tls ? "https://" : "http://") + (is_ipv6 ? "[" + host + "]" : host) + ":" + port;
}

// Servers write what RFC 3986 would have them encode into the links that they want back octet for octet, so only the
// authority is looked at closely.
Result<Url> parse_url(std::string_view text) {
    if (!std::ranges::all_of(text, is_visible)) return bad_url(text);
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) return bad_url(text);
    std::string scheme(text.substr(0, colon));
    std::ranges::transform(scheme, scheme.begin(), lower);
    Url url;
    url.origin.tls = scheme == "https";
    if (!url.origin.tls && scheme != "http") return bad_url(text);

    const auto rest = text.substr(colon + 3);
    const auto end_of_authority = std::min(rest.find_first_of("/?#"), rest.size());
    const auto authority = boost::urls::parse_authority(rest.substr(0, end_of_authority));
    if (!authority || authority->has_userinfo() || authority->encoded_host().empty()) return bad_url(text);
    url.origin.host = authority->host_address();
    if (!std::ranges::all_of(url.origin.host, is_visible)) return bad_url(text);
    std::ranges::transform(url.origin.host, url.origin.host.begin(), lower);
    url.origin.port = url.origin.tls ? "443" : "80";
    if (authority->has_port() && !authority->port().empty()) {
        const std::string port(authority->port());
        std::uint16_t number = 0;
        const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
        if (error != std::errc() || number == 0) return bad_url(text);
        url.origin.port = std::to_string(number);
    }
    const auto target = rest.substr(end_of_authority);
    url.target = target.substr(0, target.find('#'));
    if (!url.target.starts_with('/')) url.target.insert(0, "/");
    return url;
}

Result<Url> resolve(const Url& base, std::string_view reference) {
    if (has_scheme(reference)) return parse_url(reference);
    if (!std::ranges::all_of(reference, is_visible)) return bad_url(reference);
    if (reference.starts_with("//")) return parse_url((base.origin.tls ? "https:" : "http:") + std::string(reference));
    Url url = base;
    reference = reference.substr(0, reference.find('#'));
    const auto path_end = std::min(base.target.find('?'), base.target.size());
    if (reference.empty()) return url;
    if (reference.starts_with('/')) {
        url.target = reference;
        return url;
    }
    if (reference.starts_with('?')) {
        url.target = base.target.substr(0, path_end) + std::string(reference);
        return url;
    }
    const auto of_base = "http://host" + base.target.substr(0, path_end);
    const auto absolute = boost::urls::parse_uri(of_base);
    const auto relative = boost::urls::parse_uri_reference(reference);
    boost::urls::url resolved;
    if (!absolute || !relative || !boost::urls::resolve(*absolute, *relative, resolved)) return bad_url(reference);
    url.target = std::string(resolved.encoded_path());
    if (resolved.has_query()) url.target += "?" + std::string(resolved.encoded_query());
    return url;
}

std::string encode_component(std::string_view text) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        if (is_unreserved(c)) {
            encoded += c;
            continue;
        }
        const auto octet = static_cast<unsigned char>(c);
        encoded += {'%', digits[octet >> 4], digits[octet & 0xF]};
    }
    return encoded;
}

std::string expand_template(std::string_view text,
                            const std::vector<std::pair<std::string_view, std::string>>& values) {
    std::string expanded;
    while (!text.empty()) {
        const auto open = text.find('{');
        const auto close = text.find('}', open);
        if (open == std::string_view::npos || close == std::string_view::npos) break;
        expanded += text.substr(0, open);
        const auto name = text.substr(open + 1, close - open - 1);
        const auto value = std::ranges::find(values, name, &std::pair<std::string_view, std::string>::first);
        if (value != values.end()) expanded += encode_component(value->second);
        text.remove_prefix(close + 1);
    }
    return expanded.append(text);
}

}  // namespace popgate::http
