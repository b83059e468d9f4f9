#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace popgate::test {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Takes the first octet off the input, where a target has choices; 0 when there is none.
inline std::uint8_t take_octet(std::string_view& input) {
    if (input.empty()) return 0;
    const auto octet = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    return octet;
}

}  // namespace popgate::test
