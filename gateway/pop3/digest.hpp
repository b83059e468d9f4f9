#pragma once

#include <algorithm>
#include <string_view>

namespace popgate::pop3 {

/// 32 hexadecimal digits, of either case.
inline bool is_md5(std::string_view text) {
    const auto is_hex = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    return text.size() == 32 && std::ranges::all_of(text, is_hex);
}

}  // namespace popgate::pop3
