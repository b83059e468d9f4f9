#pragma once

#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/state_store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// A mailbox's row. Its messages are in chunks under `id`.
struct HeadRow {
    std::int64_t id = 0;
    std::uint64_t messages = 0;
    StoredHead head;
};

/// Rows that are not as they were written are thrown as corrupt.
std::optional<HeadRow> read_head(sqlite::Database& database, const std::string& mailbox);
void write_head(sqlite::Database& database, const std::string& mailbox, const HeadRow& row);
void erase_head(sqlite::Database& database, const std::string& mailbox);

/// False when there is none.
bool read_chunk(sqlite::Database& database, std::int64_t mailbox, std::uint32_t chunk, std::vector<StoredMessage>& to);
void write_chunk(sqlite::Database& database, std::int64_t mailbox, std::uint32_t chunk,
                 const std::vector<StoredMessage>& messages);
void erase_chunk(sqlite::Database& database, std::int64_t mailbox, std::uint32_t chunk);

/// All of a mailbox's; `expected` is how many there should be.
std::vector<StoredMessage> read_messages(sqlite::Database& database, std::int64_t mailbox, std::uint64_t expected);
void erase_messages(sqlite::Database& database, std::int64_t mailbox);

/// Numbers of the file as a whole; 0 until they are set.
std::int64_t counter(sqlite::Database& database, std::string_view name);
void set_counter(sqlite::Database& database, std::string_view name, std::int64_t value);

std::int64_t next_mailbox_id(sqlite::Database& database);

/// The highest version of a mailbox that has been forgotten.
std::uint64_t forgotten_version(sqlite::Database& database);
void note_forgotten_version(sqlite::Database& database, std::uint64_t version);

}  // namespace popgate
