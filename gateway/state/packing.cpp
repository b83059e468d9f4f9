#include "gateway/state/packing.hpp"

#include <bit>
#include <cstddef>
#include <cstring>

namespace popgate::packing {

void Writer::number(std::uint64_t value) {
    while (value >= 0x80) {
        octet(static_cast<std::uint8_t>(value | 0x80));
        value >>= 7;
    }
    octet(static_cast<std::uint8_t>(value));
}

void Writer::signed_number(std::int64_t value) {
    number(static_cast<std::uint64_t>(value) << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void Writer::text(std::string_view value) {
    number(value.size());
    packed_ += value;
}

void Reader::fail() {
    failed_ = true;
    rest_ = {};
}

std::uint8_t Reader::octet() {
    if (rest_.empty()) {
        failed_ = true;
        return 0;
    }
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
}

std::uint64_t Reader::number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const auto group = octet();
        // The tenth octet has room for one bit.
        if (shift == 63 && group > 1) break;
        value |= std::uint64_t{group & 0x7FU} << shift;
        if (!(group & 0x80)) return failed_ ? 0 : value;
    }
    fail();
    return 0;
}

std::int64_t Reader::signed_number() {
    const auto value = number();
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

std::string_view Reader::text() {
    const auto size = number();
    if (size > rest_.size()) {
        fail();
        return {};
    }
    const auto value = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(value.size());
    return value;
}

namespace {

/// Every step can be undone by one who knows the word, so no change of one word alone goes unseen.
std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
    return hash ^ hash >> 32;
}

/// In one byte order, for a file may move to another machine.
std::uint64_t load_word(const char* from, std::size_t size) {
    std::uint64_t word = 0;
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&word, from, size);
    } else {
        for (std::size_t i = size; i-- > 0;) word = word << 8 | static_cast<unsigned char>(from[i]);
    }
    return word;
}

}  // namespace

std::uint64_t checksum(std::string_view octets, std::uint64_t seed) {
    auto hash = mix(mix(0x706F70676174652EU, seed), octets.size());
    std::size_t at = 0;
    for (; at + 8 <= octets.size(); at += 8) hash = mix(hash, load_word(octets.data() + at, 8));
    if (at < octets.size()) hash = mix(hash, load_word(octets.data() + at, octets.size() - at));
    return hash;
}

std::string sealed(std::string packed, std::uint64_t seed) {
    auto sum = checksum(packed, seed);
    for (int i = 0; i < 8; ++i, sum >>= 8) packed += static_cast<char>(sum & 0xFF);
    return packed;
}

std::optional<std::string_view> unsealed(std::string_view octets, std::uint64_t seed) {
    if (octets.size() < 8) return std::nullopt;
    const auto packed = octets.substr(0, octets.size() - 8);
    if (load_word(octets.data() + packed.size(), 8) != checksum(packed, seed)) return std::nullopt;
    return packed;
}

}  // namespace popgate::packing
