#include "backends/modified_utf7.hpp"

#include <cstdint>
#include <vector>

namespace popgate {

namespace {

// The next code point, or nothing at malformed UTF-8 (overlong forms and surrogates included).
std::optional<std::uint32_t> next_code_point(std::string_view& text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || text.size() < length) return std::nullopt;
    std::uint32_t value = length == 1 ? lead : lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        if (next >> 6 != 2) return std::nullopt;
        value = value << 6 | (next & 0x3F);
    }
    static constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < smallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return std::nullopt;
    text.remove_prefix(length);
    return value;
}

std::string encode_run(const std::vector<std::uint16_t>& units) {
    static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    std::string encoded = "&";
    std::uint32_t bits = 0;
    int count = 0;
    for (const auto unit : units) {
        bits = bits << 16 | unit;
        count += 16;
        while (count >= 6) {
            count -= 6;
            encoded += alphabet[bits >> count & 0x3F];
        }
        bits &= (1u << count) - 1;
    }
    if (count > 0) encoded += alphabet[bits << (6 - count) & 0x3F];
    return encoded + "-";
}

}  // namespace

std::optional<std::string> to_modified_utf7(std::string_view utf8) {
    std::string encoded;
    std::vector<std::uint16_t> run;  // UTF-16 of what is not printable ASCII
    const auto flush = [&] {
        if (!run.empty()) encoded += encode_run(run);
        run.clear();
    };
    while (!utf8.empty()) {
        const auto code_point = next_code_point(utf8);
        if (!code_point || *code_point < 0x20 || (*code_point >= 0x7F && *code_point < 0xA0)) return std::nullopt;
        if (*code_point < 0x7F) {
            flush();
            encoded += static_cast<char>(*code_point);
            if (*code_point == '&') encoded += '-';
        } else if (*code_point < 0x10000) {
            run.push_back(static_cast<std::uint16_t>(*code_point));
        } else {
            run.push_back(static_cast<std::uint16_t>(0xD800 + ((*code_point - 0x10000) >> 10)));
            run.push_back(static_cast<std::uint16_t>(0xDC00 + ((*code_point - 0x10000) & 0x3FF)));
        }
    }
    flush();
    return encoded;
}

}  // namespace popgate
