#include "gateway/state/redis/mailbox_codec.hpp"

#include "gateway/state/packing.hpp"

#include <array>
#include <cstdio>
#include <limits>
#include <utility>

namespace popgate::redis {

namespace {

constexpr std::uint8_t head_format = 1;
constexpr std::uint64_t head_seed = 11;
constexpr std::uint64_t chunk_seed = 12;
constexpr std::uint64_t imported_seed = 13;

std::uint64_t seed_of(std::string_view mailbox, std::uint64_t kind) { return packing::checksum(mailbox, kind); }

std::uint64_t seed_of(std::string_view mailbox, std::uint32_t chunk, std::uint64_t write) {
    packing::Writer place;
    place.number(chunk);
    place.number(write);
    return packing::checksum(place.take(), seed_of(mailbox, chunk_seed));
}

}  // namespace

std::string identity_of(std::uint64_t write) {
    std::array<char, identity_size + 1> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(write));
    return {text.data(), identity_size};
}

std::string pack_head(const HeadRecord& record, std::string_view mailbox) {
    const auto& head = record.head;
    packing::Writer writer;
    writer.octet(head_format);
    writer.number(record.write);
    writer.number(head.version);
    for (const auto* text : {&head.state, &head.generation, &head.unique_ids}) writer.text(*text);
    writer.signed_number(head.reconciled);
    for (const auto number :
         {std::uint64_t{head.next_number}, std::uint64_t{head.view_floor}, head.sizes_corrected, record.messages})
        writer.number(number);
    std::uint64_t previous = 0;
    for (const auto& [chunk, write] : record.chunks) {
        writer.number(chunk - previous);
        writer.number(record.write - write);
        previous = chunk;
    }
    return seal_head(writer.take(), record.write, mailbox);
}

std::string seal_head(std::string packed, std::uint64_t write, std::string_view mailbox) {
    return identity_of(write) + packing::sealed(std::move(packed), seed_of(mailbox, head_seed));
}

std::optional<HeadRecord> unpack_head(std::string_view octets, std::string_view mailbox) {
    if (octets.size() < identity_size) return std::nullopt;
    const auto packed = packing::unsealed(octets.substr(identity_size), seed_of(mailbox, head_seed));
    if (!packed) return std::nullopt;
    packing::Reader reader(*packed);
    if (reader.octet() != head_format) return std::nullopt;
    HeadRecord record;
    record.write = reader.number();
    auto& head = record.head;
    head.version = reader.number();
    for (auto* text : {&head.state, &head.generation, &head.unique_ids}) *text = reader.text();
    head.reconciled = reader.signed_number();
    const auto next_number = reader.number(), view_floor = reader.number();
    head.sizes_corrected = reader.number();
    record.messages = reader.number();
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    if (next_number > most || view_floor > most || head.version == 0) return std::nullopt;
    head.next_number = static_cast<std::uint32_t>(next_number);
    head.view_floor = static_cast<std::uint32_t>(view_floor);
    std::uint64_t chunk = 0;
    while (reader.ok() && !reader.at_end()) {
        const auto step = reader.number(), age = reader.number();
        if (step > most - chunk || age > record.write || (step == 0 && !record.chunks.empty())) return std::nullopt;
        chunk += step;
        record.chunks.emplace_hint(record.chunks.end(), static_cast<std::uint32_t>(chunk), record.write - age);
    }
    if (!reader.ok() || identity_of(record.write) != octets.substr(0, identity_size)) return std::nullopt;
    return record;
}

std::string seal_chunk(std::string packed, std::string_view mailbox, std::uint32_t chunk, std::uint64_t write) {
    return packing::sealed(std::move(packed), seed_of(mailbox, chunk, write));
}

std::optional<std::string_view> unseal_chunk(std::string_view octets, std::string_view mailbox, std::uint32_t chunk,
                                             std::uint64_t write) {
    return packing::unsealed(octets, seed_of(mailbox, chunk, write));
}

std::string seal_imported(const ImportedIds& ids, std::string_view mailbox) {
    return ids.empty() ? std::string() : packing::sealed(pack_imported(ids), seed_of(mailbox, imported_seed));
}

std::optional<ImportedIds> unseal_imported(std::string_view octets, std::string_view mailbox) {
    if (octets.empty()) return ImportedIds();
    const auto packed = packing::unsealed(octets, seed_of(mailbox, imported_seed));
    return packed ? unpack_imported(*packed) : std::nullopt;
}

}  // namespace popgate::redis
