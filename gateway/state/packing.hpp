#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate::packing {

/// Puts numbers and texts behind one another: numbers in 1 to 10 octets, least significant group of seven bits first;
/// signed ones with the sign in the lowest bit; texts behind their length.
class Writer {
public:
    void octet(std::uint8_t value) { packed_ += static_cast<char>(value); }
    void number(std::uint64_t value);
    void signed_number(std::int64_t value);
    void text(std::string_view value);

    std::string take() { return std::move(packed_); }

private:
    std::string packed_;
};

/// Reads back what a Writer wrote, and trusts none of it: behind the first fault everything reads as 0 or empty, and
/// ok() is false.
class Reader {
public:
    explicit Reader(std::string_view packed) : rest_(packed) {}

    std::uint8_t octet();
    std::uint64_t number();
    std::int64_t signed_number();
    std::string_view text();

    bool ok() const { return !failed_; }
    bool at_end() const { return rest_.empty(); }
    void fail();

private:
    std::string_view rest_;
    bool failed_ = false;
};

/// Tells whether octets are those that were written: against decay, not against forgers. `seed` says where they belong,
/// so that what is found in another place is told too.
std::uint64_t checksum(std::string_view octets, std::uint64_t seed);

/// `packed` with its checksum behind it, and back; nothing when it does not fit.
std::string sealed(std::string packed, std::uint64_t seed);
std::optional<std::string_view> unsealed(std::string_view octets, std::uint64_t seed);

}  // namespace popgate::packing
