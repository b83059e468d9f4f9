#include "gateway/state/mailbox_change.hpp"

#include "gateway/state/message_codec.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace popgate {

namespace {

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
    if (change.arrival) found->info.arrival = *change.arrival;
    if (change.retrieved) found->retrieved = *change.retrieved;
    if (change.failures) found->failures = *change.failures;
    if (change.hidden) found->hidden = *change.hidden;
    if (change.quarantined) found->quarantined = *change.quarantined;
}

/// The chunks that a change touches, each read and written once.
class TouchedChunks {
public:
    explicit TouchedChunks(ChunkStorage& storage) : storage_(storage) {}

    std::vector<StoredMessage>& of(std::uint32_t number) {
        const auto [found, is_new] = chunks_.try_emplace(chunk_of(number));
        if (is_new) {
            found->second.existed = storage_.read(found->first, found->second.messages);
            count_ -= static_cast<std::int64_t>(found->second.messages.size());
        }
        return found->second.messages;
    }

    std::int64_t write() {
        for (const auto& [number, chunk] : chunks_) {
            count_ += static_cast<std::int64_t>(chunk.messages.size());
            if (!chunk.messages.empty()) {
                storage_.write(number, chunk.messages);
            } else if (chunk.existed) {
                storage_.erase(number);
            }
        }
        return count_;
    }

private:
    struct Chunk {
        std::vector<StoredMessage> messages;
        bool existed = false;
    };
    ChunkStorage& storage_;
    std::map<std::uint32_t, Chunk> chunks_;
    std::int64_t count_ = 0;
};

}  // namespace

Status check_change(const MailboxChange& change, std::uint32_t next_number) {
    const auto* fault = fault_of(change, next_number);
    if (!fault) return {};
    return Error{Errc::temporary, "the mailbox index is not available",
                 std::string("a change that makes no sense: ") + fault};
}

std::set<std::uint32_t> chunks_of(const MailboxChange& change) {
    std::set<std::uint32_t> chunks;
    for (const auto number : change.removed) chunks.insert(chunk_of(number));
    for (const auto& message : change.added) chunks.insert(chunk_of(message.number));
    for (const auto& one : change.changed) chunks.insert(chunk_of(one.number));
    return chunks;
}

std::int64_t apply_change(ChunkStorage& storage, const MailboxChange& change) {
    TouchedChunks chunks(storage);
    std::map<std::uint32_t, std::set<std::uint32_t>> removed;
    for (const auto number : change.removed) removed[chunk_of(number)].insert(number);
    for (const auto& [chunk, numbers] : removed)
        std::erase_if(chunks.of(chunk * chunk_span),
                      [&gone = numbers](const StoredMessage& message) { return gone.contains(message.number); });
    for (const auto& message : change.added) chunks.of(message.number).push_back(message);
    for (const auto& one : change.changed) apply(one, chunks.of(one.number));
    return chunks.write();
}

}  // namespace popgate
