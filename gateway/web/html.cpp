#include "gateway/web/html.hpp"

#include <cstdint>

namespace popgate::web {

namespace {

constexpr std::uint32_t no_character = 0xFFFF'FFFF;
constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Takes one character, with its octets; no_character where there is none, and then one octet.
std::uint32_t take_character(std::string_view& text, std::string_view& octets) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    std::uint32_t value = length == 1 ? lead : length == 2 ? lead & 0x1Fu : length == 3 ? lead & 0x0Fu : lead & 0x07u;
    bool good = length != 0 && length <= text.size();
    for (std::size_t i = 1; good && i < length; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        good = (next & 0xC0u) == 0x80u;
        value = value << 6 | (next & 0x3Fu);
    }
    // Overlong forms, surrogates, and past the last character.
    good = good && !(length == 3 && value < 0x800) && !(length == 4 && value < 0x10000) &&
           !(value >= 0xD800 && value <= 0xDFFF) && value <= 0x10FFFF;
    octets = text.substr(0, good ? length : 1);
    text.remove_prefix(octets.size());
    return good ? value : no_character;
}

bool is_control(std::uint32_t value) { return value < 0x20 || (value >= 0x7F && value < 0xA0); }

// U+202E and its like would show a label, or an address, other than it is.
bool turns_text(std::uint32_t value) {
    return (value >= 0x202A && value <= 0x202E) || (value >= 0x2066 && value <= 0x2069) || value == 0x200E ||
           value == 0x200F || value == 0x2028 || value == 0x2029;
}

}  // namespace

std::string escape_markup(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    std::string_view octets;
    while (!text.empty()) {
        const auto value = take_character(text, octets);
        switch (value) {
            case '&': escaped += "&amp;"; break;
            case '<': escaped += "&lt;"; break;
            case '>': escaped += "&gt;"; break;
            case '"': escaped += "&quot;"; break;
            case '\'': escaped += "&#39;"; break;
            default: {
                const bool is_break = value == '\n' || value == '\t';
                const bool is_none = value == no_character || value == 0xFFFE || value == 0xFFFF;
                escaped += is_none || (is_control(value) && !is_break) ? replacement : octets;
            }
        }
    }
    return escaped;
}

std::string clean_line(std::string_view text, std::size_t most) {
    std::string clean;
    std::string_view octets;
    while (!text.empty()) {
        const auto value = take_character(text, octets);
        if (value == no_character || is_control(value) || turns_text(value)) continue;
        if (clean.size() + octets.size() > most) break;
        if (value == ' ' && clean.empty()) continue;
        clean += octets;
    }
    clean.erase(clean.find_last_not_of(' ') + 1);
    return clean;
}

}  // namespace popgate::web
