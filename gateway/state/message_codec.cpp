#include "gateway/state/message_codec.hpp"

#include "gateway/state/packing.hpp"

#include <array>
#include <charconv>
#include <cstddef>

namespace popgate {

namespace {

constexpr std::uint8_t format = 1;
constexpr std::uint64_t decimal_limit = 1'000'000'000'000'000'000;  // of 18 digits

enum Trait : std::uint8_t {
    exact_octets = 1,
    hidden = 2,
    quarantined = 4,
    decimal_id = 8,
    own_unique_id = 16,
    was_retrieved = 32,
    has_failed = 64,
    known_arrival = 128,
};

/// What the next message's values are told from: they differ little.
struct Previous {
    std::uint64_t decimal = 0;
    std::int64_t first_seen = 0;
};

/// 0 unless it is a number that reads back as the same text.
std::uint64_t as_decimal(std::string_view id) {
    if (id.empty() || id.size() > 18 || id.front() == '0') return 0;
    std::uint64_t value = 0;
    for (const char c : id) {
        if (c < '0' || c > '9') return 0;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

/// Without the overflow that signed numbers must not have; minus() undoes plus() for all values.
std::int64_t minus(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t plus(std::int64_t a, std::int64_t b) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

void pack(packing::Writer& writer, const StoredMessage& message, Previous& previous) {
    const auto& info = message.info;
    const auto decimal = as_decimal(info.id);
    unsigned traits = 0;
    const auto set = [&](bool holds, Trait trait) { traits |= holds ? unsigned{trait} : 0U; };
    set(info.octets_are_exact, exact_octets);
    set(message.hidden, hidden);
    set(message.quarantined, quarantined);
    set(decimal != 0, decimal_id);
    set(!info.unique_id.empty(), own_unique_id);
    set(message.retrieved != 0, was_retrieved);
    set(message.failures != 0, has_failed);
    set(info.arrival != 0, known_arrival);
    writer.octet(static_cast<std::uint8_t>(traits));
    if (decimal != 0) {
        writer.signed_number(static_cast<std::int64_t>(decimal - previous.decimal));
        previous.decimal = decimal;
    } else {
        writer.text(info.id);
    }
    writer.number(info.octets);
    writer.signed_number(minus(message.first_seen, previous.first_seen));
    previous.first_seen = message.first_seen;
    if (traits & own_unique_id) writer.text(info.unique_id.str());
    if (traits & was_retrieved) writer.signed_number(minus(message.retrieved, message.first_seen));
    if (traits & has_failed) writer.octet(message.failures);
    if (traits & known_arrival) writer.signed_number(minus(info.arrival, message.first_seen));
}

void unpack_id(packing::Reader& reader, bool is_decimal, Previous& previous, std::string& id) {
    if (!is_decimal) {
        id = reader.text();
        if (id.empty()) reader.fail();
        return;
    }
    previous.decimal += static_cast<std::uint64_t>(reader.signed_number());
    if (previous.decimal == 0 || previous.decimal >= decimal_limit) return reader.fail();
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), previous.decimal).ptr;
    id.assign(digits.data(), end);
}

void unpack(packing::Reader& reader, StoredMessage& message, Previous& previous) {
    auto& info = message.info;
    const auto traits = reader.octet();
    info.octets_are_exact = traits & exact_octets;
    message.hidden = traits & hidden;
    message.quarantined = traits & quarantined;
    unpack_id(reader, traits & decimal_id, previous, info.id);
    info.octets = reader.number();
    message.first_seen = previous.first_seen = plus(reader.signed_number(), previous.first_seen);
    if (traits & own_unique_id) {
        info.unique_id = std::string(reader.text());
        if (info.unique_id.empty()) reader.fail();
    }
    if (traits & was_retrieved) message.retrieved = plus(reader.signed_number(), message.first_seen);
    if (traits & has_failed) message.failures = reader.octet();
    if (traits & known_arrival) info.arrival = plus(reader.signed_number(), message.first_seen);
}

}  // namespace

std::string pack_messages(const std::vector<StoredMessage>& messages) {
    packing::Writer writer;
    writer.octet(format);
    writer.number(messages.size());
    Previous previous;
    auto next = chunk_of(messages.front().number) * chunk_span;
    for (const auto& message : messages) {
        writer.number(message.number - next);
        next = message.number + 1;
        pack(writer, message, previous);
    }
    return writer.take();
}

bool unpack_messages(std::string_view packed, std::uint32_t chunk, std::vector<StoredMessage>& to) {
    constexpr auto chunks = (std::uint64_t{1} << 32) / chunk_span;
    packing::Reader reader(packed);
    const auto before = to.size();
    if (chunk >= chunks || reader.octet() != format) return false;
    const auto count = reader.number();
    if (count == 0 || count > chunk_span) return false;
    auto next = std::uint64_t{chunk} * chunk_span;
    const auto end = next + chunk_span;
    Previous previous;
    for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
        const auto skipped = reader.number();
        if (skipped >= end - next || next + skipped == 0) {
            reader.fail();
            break;
        }
        auto& message = to.emplace_back();
        message.number = static_cast<std::uint32_t>(next + skipped);
        next = message.number + std::uint64_t{1};
        unpack(reader, message, previous);
    }
    if (reader.ok() && reader.at_end()) return true;
    to.resize(before);
    return false;
}

}  // namespace popgate
