// Whatever is encoded is what a client reads back (RFC 3501 §5.1.3).
#include "backends/modified_utf7.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <string>
#include <vector>

namespace {

void append_utf8(std::string& text, std::uint32_t c) {
    const auto add = [&](std::uint32_t octet) { text += static_cast<char>(octet); };
    if (c < 0x80) return add(c);
    if (c < 0x800) {
        add(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            add(0xE0 | c >> 12);
        } else {
            add(0xF0 | c >> 18);
            add(0x80 | (c >> 12 & 0x3F));
        }
        add(0x80 | (c >> 6 & 0x3F));
    }
    add(0x80 | (c & 0x3F));
}

std::string decode(std::string_view encoded) {
    static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    std::string text;
    while (!encoded.empty()) {
        const char c = encoded.front();
        encoded.remove_prefix(1);
        FUZZ_CHECK(c >= 0x20 && c < 0x7F);
        if (c != '&') {
            text += c;
            continue;
        }
        const auto end = encoded.find('-');
        FUZZ_CHECK(end != std::string_view::npos);
        if (end == 0) text += '&';
        std::uint32_t bits = 0, high = 0;
        int count = 0;
        for (const char digit : encoded.substr(0, end)) {
            const auto value = alphabet.find(digit);
            FUZZ_CHECK(value != std::string_view::npos);
            bits = bits << 6 | static_cast<std::uint32_t>(value);
            count += 6;
            if (count < 16) continue;
            count -= 16;
            const auto unit = bits >> count & 0xFFFF;
            bits &= (1u << count) - 1;
            if (unit >= 0xD800 && unit < 0xDC00) {
                high = unit;
            } else if (unit >= 0xDC00 && unit < 0xE000) {
                FUZZ_CHECK(high != 0);
                append_utf8(text, 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00));
                high = 0;
            } else {
                FUZZ_CHECK(unit < 0x20 || unit > 0x7E);
                append_utf8(text, unit);
            }
        }
        FUZZ_CHECK(count < 6 && bits == 0 && high == 0);
        encoded.remove_prefix(end + 1);
    }
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = popgate::test::as_text(data, size);
    if (const auto encoded = popgate::to_modified_utf7(text)) FUZZ_CHECK(decode(*encoded) == text);
    return 0;
}
