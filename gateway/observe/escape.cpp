#include "gateway/observe/escape.hpp"

#include <spdlog/fmt/fmt.h>
#include <cstddef>

namespace popgate {

namespace {

constexpr std::size_t longest_value = 256;  // octets
constexpr std::string_view cut_mark = "…";

struct Character {
    char32_t code = 0;
    std::size_t length = 1;
    bool valid = false;
};

/// The character that `text` begins with; one octet that is not valid when it begins with no UTF-8.
Character first_character(std::string_view text) {
    const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = octet(0);
    if (lead < 0x80) return {lead, 1, true};
    std::size_t length = 0;
    char32_t code = 0;
    char32_t least = 0;  // what is below it has a shorter form: an overlong one is a way past filters
    if ((lead & 0xE0) == 0xC0) length = 2, code = lead & 0x1F, least = 0x80;
    if ((lead & 0xF0) == 0xE0) length = 3, code = lead & 0x0F, least = 0x800;
    if ((lead & 0xF8) == 0xF0) length = 4, code = lead & 0x07, least = 0x10000;
    if (length == 0 || text.size() < length) return {};
    for (std::size_t i = 1; i < length; ++i) {
        if ((octet(i) & 0xC0) != 0x80) return {};
        code = code << 6 | (octet(i) & 0x3F);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < least || code > 0x10FFFF || surrogate) return {};
    return {code, length, true};
}

/// Controls of the terminal (C0, DEL, C1), and what Unicode has to break lines, change direction or stay unseen.
bool is_control(char32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

/// Calls visit(character, its octets) for all of `text`, or for as much as a log line may hold. True: it was cut.
template <class Visit>
bool for_each_character(std::string_view text, Visit visit) {
    std::size_t used = 0;
    while (used < text.size()) {
        const Character character = first_character(text.substr(used));
        if (used + character.length > longest_value) return true;
        visit(character, text.substr(used, character.length));
        used += character.length;
    }
    return false;
}

}  // namespace

std::string quoted_text(std::string_view text) {
    std::string out = "\"";
    const bool cut = for_each_character(text, [&](const Character& character, std::string_view octets) {
        if (!character.valid || character.code < 0x20 || character.code == 0x7F) {
            switch (octets[0]) {
                case '\n': out += "\\n"; break;
                case '\r': out += "\\r"; break;
                case '\t': out += "\\t"; break;
                default: out += fmt::format("\\x{:02x}", static_cast<unsigned char>(octets[0]));
            }
        } else if (is_control(character.code)) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(character.code));
        } else if (character.code == '"' || character.code == '\\') {
            out += '\\';
            out += octets;
        } else {
            out += octets;
        }
    });
    if (cut) out += cut_mark;
    return out += '"';
}

std::string json_text(std::string_view text) {
    std::string out;
    const bool cut = for_each_character(text, [&](const Character& character, std::string_view octets) {
        out += character.valid ? octets : std::string_view("\uFFFD");
    });
    if (cut) out += cut_mark;
    return out;
}

std::string escape_json_controls(std::string_view json) {
    std::string out;
    while (!json.empty()) {
        const Character character = first_character(json);
        if (character.valid && is_control(character.code)) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(character.code));
        } else {
            out += json.substr(0, character.length);
        }
        json.remove_prefix(character.length);
    }
    return out;
}

}  // namespace popgate
