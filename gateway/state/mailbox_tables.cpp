#include "gateway/state/mailbox_tables.hpp"

#include "gateway/state/mailbox_change.hpp"
#include "gateway/state/mailbox_rows.hpp"

#include <utility>

namespace popgate {

using sqlite::Database;
using sqlite::Failure;

namespace {

void make_mailbox_tables(Database& database) {
    database.execute(
        "CREATE TABLE mailboxes(key BLOB PRIMARY KEY NOT NULL, id INTEGER NOT NULL, messages INTEGER NOT NULL,"
        " version INTEGER NOT NULL, state BLOB NOT NULL, generation BLOB NOT NULL, unique_ids BLOB NOT NULL,"
        " reconciled INTEGER NOT NULL, next_number INTEGER NOT NULL, view_floor INTEGER NOT NULL,"
        " sizes_corrected INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE chunks(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
        "CREATE TABLE counters(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;");
}

/// The chunks of one mailbox in the file.
class ChunkRows final : public ChunkStorage {
public:
    ChunkRows(Database& database, std::int64_t mailbox) : database_(database), mailbox_(mailbox) {}

    bool read(std::uint32_t chunk, std::vector<StoredMessage>& to) override {
        return read_chunk(database_, mailbox_, chunk, to);
    }
    void write(std::uint32_t chunk, const std::vector<StoredMessage>& messages) override {
        write_chunk(database_, mailbox_, chunk, messages);
    }
    void erase(std::uint32_t chunk) override { erase_chunk(database_, mailbox_, chunk); }

private:
    Database& database_;
    std::int64_t mailbox_;
};

std::int64_t change_messages(Database& database, std::int64_t mailbox, const MailboxChange& change) {
    ChunkRows rows(database, mailbox);
    return apply_change(rows, change);
}

}  // namespace

const sqlite::Schema& mailbox_schema() {
    static const sqlite::Schema schema{0x50474D58, {make_mailbox_tables}};  // "PGMX"
    return schema;
}

StoredMailbox load_mailbox(Database& database, const std::string& mailbox) {
    StoredMailbox stored;
    auto row = read_head(database, mailbox);
    if (!row) return stored;
    stored.head = std::move(row->head);
    stored.messages = read_messages(database, row->id, row->messages);
    if (stored.messages.size() != row->messages)
        throw Failure(Failure::Kind::corrupt, "messages of a mailbox are missing");
    return stored;
}

Result<std::optional<std::uint64_t>> save_mailbox(Database& database, const std::string& mailbox,
                                                  const MailboxChange& change) {
    using Version = std::optional<std::uint64_t>;
    auto stored = read_head(database, mailbox);
    if (change.head && change.head->version != (stored ? stored->head.version : 0)) return Version();
    if (auto status = check_change(change, stored ? stored->head.next_number : 1); !status) return status.error();
    if (!change.head) {
        // What a session knew of a mailbox that has been forgotten would be lost without a word.
        if (!stored) return change.changed.empty() ? Version(0) : Version();
        change_messages(database, stored->id, change);
        if (change.sizes_corrected != 0) {
            stored->head.sizes_corrected += change.sizes_corrected;
            write_head(database, mailbox, *stored);
        }
        return Version(stored->head.version);
    }
    HeadRow row{stored ? stored->id : next_mailbox_id(database), stored ? stored->messages : 0, *change.head};
    row.head.version = (stored ? stored->head.version : forgotten_version(database)) + 1;
    row.head.sizes_corrected = (stored ? stored->head.sizes_corrected : 0) + change.sizes_corrected;
    if (change.forget_all_before) {
        erase_messages(database, row.id);
        row.messages = 0;
    }
    row.messages += static_cast<std::uint64_t>(change_messages(database, row.id, change));
    write_head(database, mailbox, row);
    return Version(row.head.version);
}

bool forget_mailbox(Database& database, const std::string& mailbox) {
    const auto stored = read_head(database, mailbox);
    if (!stored) return false;
    erase_messages(database, stored->id);
    erase_head(database, mailbox);
    // Who still holds a version of before must not take the new mailbox for the old one.
    note_forgotten_version(database, stored->head.version);
    return true;
}

std::vector<std::string> mailbox_keys(Database& database) {
    std::vector<std::string> keys;
    auto query = database.query("SELECT key FROM mailboxes ORDER BY key");
    while (query.step()) keys.emplace_back(query.octets(0));
    return keys;
}

bool has_unique_ids(Database& database) { return counter(database, "unique_ids") != 0; }
void note_unique_ids(Database& database) { set_counter(database, "unique_ids", 1); }

}  // namespace popgate
