#include "gateway/state/mailbox_tables.hpp"

#include "gateway/state/mailbox_rows.hpp"
#include "gateway/state/message_codec.hpp"

#include <algorithm>
#include <map>
#include <set>
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

Error broken_change(const char* what) {
    return Error{Errc::temporary, "the mailbox index is not available",
                 std::string("a change that makes no sense: ") + what};
}

/// Numbers that were given before, out of order, or beyond the head's are a mistake that would mix messages up.
const char* fault_of(const MailboxChange& change, std::uint32_t next_number) {
    if (!change.head) {
        const bool needs_head = !change.added.empty() || !change.removed.empty() || change.forget_all_before;
        return needs_head ? "messages come or go without a head" : nullptr;
    }
    if (change.head->next_number < next_number) return "the next number goes back";
    if (change.forget_all_before) next_number = 1;
    for (const auto& message : change.added) {
        if (message.number < next_number) return "a number is given twice, or numbers do not ascend";
        if (message.number >= change.head->next_number) return "a number is not below the next number";
        if (message.info.id.empty()) return "a message without an id";
        next_number = message.number + 1;
    }
    return nullptr;
}

void apply(const MessageChange& change, std::vector<StoredMessage>& messages) {
    const auto found = std::ranges::lower_bound(messages, change.number, {}, &StoredMessage::number);
    if (found == messages.end() || found->number != change.number || found->info.id != change.id) return;
    if (change.exact_octets) {
        found->info.octets = *change.exact_octets;
        found->info.octets_are_exact = true;
    }
    if (change.unique_id) found->info.unique_id = *change.unique_id;
    if (change.retrieved) found->retrieved = *change.retrieved;
    if (change.failures) found->failures = *change.failures;
    if (change.hidden) found->hidden = *change.hidden;
    if (change.quarantined) found->quarantined = *change.quarantined;
}

/// The chunks that a change touches, each read and written once.
class Chunks {
public:
    Chunks(Database& database, std::int64_t mailbox) : database_(database), mailbox_(mailbox) {}

    std::vector<StoredMessage>& of(std::uint32_t number) {
        const auto [found, is_new] = chunks_.try_emplace(chunk_of(number));
        if (is_new) {
            found->second.existed = read_chunk(database_, mailbox_, found->first, found->second.messages);
            count_ -= static_cast<std::int64_t>(found->second.messages.size());
        }
        return found->second.messages;
    }

    /// Gives by how many messages there are more now.
    std::int64_t write() {
        for (const auto& [number, chunk] : chunks_) {
            count_ += static_cast<std::int64_t>(chunk.messages.size());
            if (!chunk.messages.empty()) {
                write_chunk(database_, mailbox_, number, chunk.messages);
            } else if (chunk.existed) {
                erase_chunk(database_, mailbox_, number);
            }
        }
        return count_;
    }

private:
    struct Chunk {
        std::vector<StoredMessage> messages;
        bool existed = false;
    };
    Database& database_;
    std::int64_t mailbox_;
    std::map<std::uint32_t, Chunk> chunks_;
    std::int64_t count_ = 0;
};

std::int64_t change_messages(Database& database, std::int64_t mailbox, const MailboxChange& change) {
    Chunks chunks(database, mailbox);
    std::map<std::uint32_t, std::set<std::uint32_t>> removed;
    for (const auto number : change.removed) removed[chunk_of(number)].insert(number);
    for (const auto& [chunk, numbers] : removed)
        std::erase_if(chunks.of(chunk * chunk_span),
                      [&gone = numbers](const StoredMessage& message) { return gone.contains(message.number); });
    for (const auto& message : change.added) chunks.of(message.number).push_back(message);
    for (const auto& one : change.changed) apply(one, chunks.of(one.number));
    return chunks.write();
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
    if (const auto* fault = fault_of(change, stored ? stored->head.next_number : 1)) return broken_change(fault);
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
