#include "gateway/state/unique_id_codec.hpp"

#include "gateway/state/packing.hpp"

namespace popgate {

namespace {

constexpr std::uint8_t records_format = 1;
constexpr std::uint8_t imported_format = 1;

/// Reads entries behind ascending names until the end; `read` takes the value of one.
template <class Map, class Read>
std::optional<Map> unpack_map(std::string_view packed, std::uint8_t format, Read read) {
    packing::Reader reader(packed);
    if (reader.octet() != format) return std::nullopt;
    Map map;
    while (reader.ok() && !reader.at_end()) {
        const auto name = reader.text();
        if (!map.empty() && name <= map.rbegin()->first) return std::nullopt;
        map.emplace_hint(map.end(), name, read(reader));
    }
    if (!reader.ok()) return std::nullopt;
    return map;
}

}  // namespace

std::string pack_records(const UniqueIdRecords& records) {
    packing::Writer writer;
    writer.octet(records_format);
    for (const auto& [mailbox, record] : records) {
        writer.text(mailbox);
        writer.text(record.first_generation);
        writer.text(record.imported_generation);
        writer.signed_number(record.imported_row);
    }
    return writer.take();
}

std::optional<UniqueIdRecords> unpack_records(std::string_view packed) {
    return unpack_map<UniqueIdRecords>(packed, records_format, [](packing::Reader& reader) {
        UniqueIdRecord record;
        record.first_generation = reader.text();
        record.imported_generation = reader.text();
        record.imported_row = reader.signed_number();
        return record;
    });
}

std::string pack_imported(const ImportedIds& ids) {
    packing::Writer writer;
    writer.octet(imported_format);
    for (const auto& [id, unique_id] : ids) {
        writer.text(id);
        writer.text(unique_id);
    }
    return writer.take();
}

std::optional<ImportedIds> unpack_imported(std::string_view packed) {
    return unpack_map<ImportedIds>(packed, imported_format,
                                   [](packing::Reader& reader) { return std::string(reader.text()); });
}

}  // namespace popgate
