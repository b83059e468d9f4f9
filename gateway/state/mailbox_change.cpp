#include "gateway/state/mailbox_change.hpp"

#include "gateway/state/message_codec.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

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

}  // namespace

Status check_change(const MailboxChange& change, std::uint32_t next_number) {
    const auto* fault = fault_of(change, next_number);
    if (!fault) return {};
    return Error{Errc::temporary, "the mailbox index is not available",
                 std::string("a change that makes no sense: ") + fault};
}

std::set<std::uint32_t> chunks_of(const MailboxChange& change) {
    std::set<std::uint32_t> chunks;
    auto add = [&, last = UINT32_MAX](std::uint32_t number) mutable {
        if (const auto chunk = chunk_of(number); chunk != std::exchange(last, chunk)) chunks.insert(chunk);
    };
    for (const auto number : change.removed) add(number);
    for (const auto& message : change.added) add(message.number);
    for (const auto& one : change.changed) add(one.number);
    return chunks;
}

std::int64_t apply_change(ChunkStorage& storage, const MailboxChange& change) {
    std::map<std::uint32_t, std::set<std::uint32_t>> removed;
    for (const auto number : change.removed) removed[chunk_of(number)].insert(number);
    std::map<std::uint32_t, std::vector<const MessageChange*>> changed;
    for (const auto& one : change.changed) changed[chunk_of(one.number)].push_back(&one);

    std::int64_t more = 0;
    auto added = change.added.begin();
    std::vector<StoredMessage> messages;
    for (const auto chunk : chunks_of(change)) {
        messages.clear();
        const bool existed = storage.read(chunk, messages);
        more -= std::ssize(messages);
        if (const auto gone = removed.find(chunk); gone != removed.end())
            std::erase_if(messages, [&](const StoredMessage& each) { return gone->second.contains(each.number); });
        // Chunks ascend, and so do the numbers of what is added.
        const auto is_anothers = [&](const StoredMessage& each) { return chunk_of(each.number) != chunk; };
        const auto behind = std::find_if(added, change.added.end(), is_anothers);
        messages.insert(messages.end(), std::exchange(added, behind), behind);
        if (const auto altered = changed.find(chunk); altered != changed.end())
            for (const auto* one : altered->second) apply(*one, messages);
        more += std::ssize(messages);
        if (!messages.empty())
            storage.write(chunk, messages);
        else if (existed)
            storage.erase(chunk);
    }
    return more;
}

}  // namespace popgate
