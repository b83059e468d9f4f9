#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>

namespace popgate::test {

/// Gives `octets` to `take` in pieces of 1 to `longest` octets, as a seed has them; the same on every machine.
template <class Take>
void split(std::string_view octets, std::uint32_t seed, std::size_t longest, Take take) {
    std::minstd_rand random(seed);
    while (!octets.empty()) {
        const auto piece = octets.substr(0, 1 + random() % longest);
        take(piece);
        octets.remove_prefix(piece.size());
    }
}

}  // namespace popgate::test
