#include "gateway/web/forms.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::web {

namespace {

constexpr std::size_t most_fields = 100;

std::optional<std::string> decode_field(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            decoded += ' ';
        } else if (text[i] == '%') {
            unsigned octet = 0;
            const auto digits = text.substr(i + 1, 2);
            const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), octet, 16);
            if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return std::nullopt;
            decoded += static_cast<char>(octet);
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

std::string_view take_until(std::string_view& text, char end) {
    const auto length = text.find(end);
    const auto taken = text.substr(0, length);
    text.remove_prefix(length == std::string_view::npos ? text.size() : length + 1);
    return taken;
}

}  // namespace

std::string Fields::get(std::string_view name) const {
    const std::string* found = nullptr;
    for (const auto& [each, value] : all_) {
        if (each != name) continue;
        if (found) return {};
        found = &value;
    }
    return found ? *found : std::string();
}

bool Fields::has(std::string_view name) const {
    for (const auto& [each, value] : all_)
        if (each == name) return true;
    return false;
}

std::optional<Fields> parse_form(std::string_view text) {
    Fields fields;
    while (!text.empty()) {
        auto value = take_until(text, '&');
        if (value.empty()) continue;
        const auto name = decode_field(take_until(value, '='));
        const auto decoded = decode_field(value);
        if (!name || !decoded || fields.size() == most_fields) return std::nullopt;
        fields.add(*name, *decoded);
    }
    return fields;
}

Fields parse_cookies(std::string_view header) {
    Fields cookies;
    while (!header.empty() && cookies.size() < most_fields) {
        auto pair = take_until(header, ';');
        pair.remove_prefix(std::min(pair.find_first_not_of(" \t"), pair.size()));
        if (pair.find('=') == std::string_view::npos) continue;
        const auto name = take_until(pair, '=');
        cookies.add(std::string(name), std::string(pair));
    }
    return cookies;
}

}  // namespace popgate::web
