#include "gateway/state/mailbox_salvage.hpp"

#include "gateway/state/mailbox_rows.hpp"
#include "gateway/state/mailbox_tables.hpp"
#include "gateway/state/message_codec.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

// Larger than any number of changes that somebody may have missed.
constexpr std::uint64_t version_step = 1'000'000;

/// False when `read` meets the damage.
template <class Read>
bool is_readable(Read read) {
    try {
        read();
        return true;
    } catch (const Failure& failure) {
        if (failure.kind != Failure::Kind::corrupt && failure.kind != Failure::Kind::foreign) throw;
        return false;
    }
}

/// From both ends, each up to the first fault.
std::set<std::string> readable_keys(Database& from) {
    std::set<std::string> keys;
    for (const auto* statement :
         {"SELECT key FROM mailboxes ORDER BY key", "SELECT key FROM mailboxes ORDER BY key DESC"}) {
        const bool to_the_end = is_readable([&] {
            auto query = from.query(statement);
            while (query.step()) keys.emplace(query.octets(0));
        });
        if (to_the_end) break;
    }
    return keys;
}

std::int64_t readable_counter(Database& from, const char* name) {
    std::int64_t value = 0;
    is_readable([&] { value = counter(from, name); });
    return value;
}

/// Each piece is looked for by itself: what lies behind a fault is found, too.
void salvage_messages(Database& from, Database& to, HeadRow& row, Salvaged& salvaged) {
    row.messages = 0;
    const auto chunks = row.head.next_number == 0 ? 0 : chunk_of(row.head.next_number - 1) + 1;
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
        std::vector<StoredMessage> messages;
        if (!is_readable([&] { read_chunk(from, row.id, chunk, messages); })) {
            ++salvaged.lost_chunks;
        } else if (!messages.empty()) {
            write_chunk(to, row.id, chunk, messages);
            row.messages += messages.size();
        }
    }
    salvaged.messages += row.messages;
}

}  // namespace

Salvaged salvage_mailboxes(Database& from, Database& to) {
    Salvaged salvaged;
    auto last_id = readable_counter(from, "mailbox");
    auto last_version = static_cast<std::uint64_t>(readable_counter(from, "forgotten"));
    for (const auto& mailbox : readable_keys(from)) {
        std::optional<HeadRow> row;
        if (!is_readable([&] { row = read_head(from, mailbox); }) || !row) {
            ++salvaged.lost_mailboxes;
            continue;
        }
        salvage_messages(from, to, *row, salvaged);
        row->head.state.clear();
        row->head.reconciled = 0;
        row->head.version += version_step;
        write_head(to, mailbox, *row);
        ++salvaged.mailboxes;
        last_id = std::max(last_id, row->id);
        last_version = std::max(last_version, row->head.version);
    }
    set_counter(to, "mailbox", last_id);
    note_forgotten_version(to, last_version + version_step);
    if (readable_counter(from, "unique_ids") != 0) note_unique_ids(to);
    return salvaged;
}

}  // namespace popgate
