#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace popgate {

using ImportedIds = std::map<std::string, std::string, std::less<>>;

/// What cannot be learned again of one mailbox, but for the imported ids themselves.
struct UniqueIdRecord {
    std::string first_generation;
    std::string imported_generation;
    std::int64_t imported_row = 0;  ///< where the imported ids are; 0: there are none
    bool operator==(const UniqueIdRecord&) const = default;
};

/// By mailbox key: those of one bucket.
using UniqueIdRecords = std::map<std::string, UniqueIdRecord, std::less<>>;

/// Packed, and back; nothing for anything else: what is read here is a file's and may be damaged.
std::string pack_records(const UniqueIdRecords& records);
std::optional<UniqueIdRecords> unpack_records(std::string_view packed);
std::string pack_imported(const ImportedIds& ids);
std::optional<ImportedIds> unpack_imported(std::string_view packed);

}  // namespace popgate
