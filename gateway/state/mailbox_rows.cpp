#include "gateway/state/mailbox_rows.hpp"

#include "gateway/state/message_codec.hpp"
#include "gateway/state/packing.hpp"

#include <algorithm>
#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

constexpr std::int64_t chunks_per_mailbox = (std::int64_t{1} << 32) / chunk_span;

// A chunk's row says whose it is, so that they need no index and lie in order.
constexpr std::int64_t row_of(std::int64_t mailbox, std::uint32_t chunk) {
    return mailbox * chunks_per_mailbox + std::int64_t{chunk};
}

std::int64_t checksum_of(std::string_view mailbox, const HeadRow& row) {
    const auto& head = row.head;
    packing::Writer writer;
    for (const std::string_view text :
         {mailbox, std::string_view(head.state), std::string_view(head.generation), std::string_view(head.unique_ids)})
        writer.text(text);
    for (const auto number : {row.messages, head.version, std::uint64_t{head.next_number},
                              std::uint64_t{head.view_floor}, head.sizes_corrected})
        writer.number(number);
    writer.signed_number(head.reconciled);
    return static_cast<std::int64_t>(packing::checksum(writer.take(), static_cast<std::uint64_t>(row.id)));
}

/// From a row as read_head() asks for it.
std::optional<HeadRow> head_in(Database::Query& query, std::string_view mailbox) {
    const auto natural = [&](int column) { return static_cast<std::uint64_t>(query.number(column)); };
    HeadRow row;
    row.id = query.number(0);
    row.messages = natural(1);
    auto& head = row.head;
    head.version = natural(2);
    head.state = query.octets(3);
    head.generation = query.octets(4);
    head.unique_ids = query.octets(5);
    head.reconciled = query.number(6);
    head.next_number = static_cast<std::uint32_t>(query.number(7));
    head.view_floor = static_cast<std::uint32_t>(query.number(8));
    head.sizes_corrected = natural(9);
    if (query.number(10) != checksum_of(mailbox, row)) return std::nullopt;
    return row;
}

void read_or_throw(std::string_view data, std::int64_t row, std::vector<StoredMessage>& to) {
    const auto packed = packing::unsealed(data, static_cast<std::uint64_t>(row));
    if (!packed || !unpack_messages(*packed, static_cast<std::uint32_t>(row % chunks_per_mailbox), to))
        throw Failure(Failure::Kind::corrupt, "messages of a mailbox are damaged");
}

}  // namespace

std::int64_t counter(Database& database, std::string_view name) {
    auto query = database.query("SELECT value FROM counters WHERE name = CAST(? AS TEXT)");
    return query.bind(name).step() ? query.number(0) : 0;
}

void set_counter(Database& database, std::string_view name, std::int64_t value) {
    database.query("INSERT OR REPLACE INTO counters VALUES(CAST(? AS TEXT), ?)").bind(name).bind(value).step();
}

std::optional<HeadRow> read_head(Database& database, const std::string& mailbox) {
    auto query = database.query(
        "SELECT id, messages, version, state, generation, unique_ids, reconciled, next_number, view_floor,"
        " sizes_corrected, checksum FROM mailboxes WHERE key = ?");
    if (!query.bind(mailbox).step()) return std::nullopt;
    auto row = head_in(query, mailbox);
    if (!row) throw Failure(Failure::Kind::corrupt, "the head of a mailbox is damaged");
    return row;
}

void write_head(Database& database, const std::string& mailbox, const HeadRow& row) {
    const auto& head = row.head;
    const auto integer = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    database.query("INSERT OR REPLACE INTO mailboxes VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(mailbox)
        .bind(row.id)
        .bind(integer(row.messages))
        .bind(integer(head.version))
        .bind(head.state)
        .bind(head.generation)
        .bind(head.unique_ids)
        .bind(head.reconciled)
        .bind(std::int64_t{head.next_number})
        .bind(std::int64_t{head.view_floor})
        .bind(integer(head.sizes_corrected))
        .bind(checksum_of(mailbox, row))
        .step();
}

void erase_head(Database& database, const std::string& mailbox) {
    database.query("DELETE FROM mailboxes WHERE key = ?").bind(mailbox).step();
}

bool read_chunk(Database& database, std::int64_t mailbox, std::uint32_t chunk, std::vector<StoredMessage>& to) {
    const auto row = row_of(mailbox, chunk);
    auto query = database.query("SELECT data FROM chunks WHERE id = ?");
    if (!query.bind(row).step()) return false;
    read_or_throw(query.octets(0), row, to);
    return true;
}

void write_chunk(Database& database, std::int64_t mailbox, std::uint32_t chunk,
                 const std::vector<StoredMessage>& messages) {
    const auto row = row_of(mailbox, chunk);
    const auto data = packing::sealed(pack_messages(messages), static_cast<std::uint64_t>(row));
    database.query("INSERT OR REPLACE INTO chunks VALUES(?, ?)").bind(row).bind(data).step();
}

void erase_chunk(Database& database, std::int64_t mailbox, std::uint32_t chunk) {
    database.query("DELETE FROM chunks WHERE id = ?").bind(row_of(mailbox, chunk)).step();
}

std::vector<StoredMessage> read_messages(Database& database, std::int64_t mailbox, std::uint64_t expected) {
    std::vector<StoredMessage> messages;
    messages.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(expected, 1'000'000)));
    auto query = database.query("SELECT id, data FROM chunks WHERE id >= ? AND id < ? ORDER BY id");
    query.bind(row_of(mailbox, 0)).bind(row_of(mailbox + 1, 0));
    while (query.step()) read_or_throw(query.octets(1), query.number(0), messages);
    return messages;
}

void erase_messages(Database& database, std::int64_t mailbox) {
    database.query("DELETE FROM chunks WHERE id >= ? AND id < ?")
        .bind(row_of(mailbox, 0))
        .bind(row_of(mailbox + 1, 0))
        .step();
}

std::int64_t next_mailbox_id(Database& database) {
    const auto id = counter(database, "mailbox") + 1;
    set_counter(database, "mailbox", id);
    return id;
}

std::uint64_t forgotten_version(Database& database) {
    return static_cast<std::uint64_t>(counter(database, "forgotten"));
}

void note_forgotten_version(Database& database, std::uint64_t version) {
    set_counter(database, "forgotten", static_cast<std::int64_t>(std::max(version, forgotten_version(database))));
}

}  // namespace popgate
