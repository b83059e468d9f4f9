#include "gateway/state/redis/mailbox_store.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/state/mailbox_change.hpp"
#include "gateway/state/message_codec.hpp"
#include "gateway/state/redis/scripts.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <utility>

namespace popgate::redis {

namespace {

constexpr int most_looks = 300;             // at a mailbox that others keep changing
constexpr std::size_t chunks_at_once = 64;  // in one command

Error busy(const char* why) {
    return {Errc::temporary, "the mailbox index is not available", std::string("state store: ") + why};
}

std::minstd_rand& random_number() {
    static thread_local std::minstd_rand numbers{std::random_device{}()};
    return numbers;
}

// Whoever is faster wins; the others must not all come back at once.
void let_others(Fiber& fiber, int attempt) {
    if (attempt < 2) return;
    const auto longest = 1000U * static_cast<unsigned>(std::min(attempt, 20));
    fiber.sleep_until(Clock::now() + std::chrono::microseconds(random_number()() % longest));
}

/// Chunks as they were seen, and as a change leaves them.
class SeenChunks final : public ChunkStorage {
public:
    SeenChunks(const std::string& mailbox, const CachedMailbox& seen, CachedMailbox& then, HeadRecord& next)
        : mailbox_(mailbox), seen_(seen), then_(then), next_(next) {}

    bool read(std::uint32_t chunk, std::vector<StoredMessage>& to) override {
        const auto listed = next_.chunks.find(chunk);
        if (listed == next_.chunks.end()) return false;
        const auto& octets = *seen_.chunks.at(chunk).octets;
        const auto packed = unseal_chunk(octets, mailbox_, chunk, listed->second);
        if (!packed || !unpack_messages(*packed, chunk, to)) damaged = true;
        return true;
    }
    void write(std::uint32_t chunk, const std::vector<StoredMessage>& messages) override {
        auto octets = seal_chunk(pack_messages(messages), mailbox_, chunk, next_.write);
        then_.chunks[chunk] = {next_.write, std::make_shared<const std::string>(std::move(octets))};
        next_.chunks[chunk] = next_.write;
        written.push_back(chunk);
    }
    void erase(std::uint32_t chunk) override {
        then_.chunks.erase(chunk);
        next_.chunks.erase(chunk);
        erased_.push_back(chunk);
    }

    /// As scripts::save_mailbox wants them.
    void add_to(Run& run) const {
        run.arguments.push_back(std::to_string(written.size()));
        for (const auto chunk : written) {
            run.arguments.push_back(std::to_string(chunk));
            run.arguments.push_back(*then_.chunks.at(chunk).octets);
        }
        for (const auto chunk : erased_) run.arguments.push_back(std::to_string(chunk));
    }

    std::vector<std::uint32_t> written;
    bool damaged = false;

private:
    const std::string& mailbox_;
    const CachedMailbox& seen_;
    CachedMailbox& then_;
    HeadRecord& next_;
    std::vector<std::uint32_t> erased_;
};

/// What `change` makes of the head, before its messages are looked at.
HeadRecord next_record(const std::optional<HeadRecord>& stored, const MailboxChange& change) {
    auto next = stored.value_or(HeadRecord{});
    next.write = next_write(next.write);
    if (change.head) {
        const auto before = next.head;
        next.head = *change.head;
        next.head.version = next_write(before.version);
        next.head.sizes_corrected = before.sizes_corrected;
    }
    if (change.forget_all_before) {
        next.chunks.clear();
        next.messages = 0;
    }
    next.head.sizes_corrected += change.sizes_corrected;
    return next;
}

}  // namespace

unsigned Keys::bucket_of(std::string_view name) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data());
    static_assert(buckets == 256);
    return digest[0];
}

std::string Keys::of(std::string_view kind, const std::string& name) const {
    return bucket_key(prefix_, bucket_of(name), std::string(kind) + ':' + name);
}

std::string Keys::in_bucket(unsigned bucket, std::string_view kind) const { return bucket_key(prefix_, bucket, kind); }

std::uint64_t next_write(std::uint64_t before) {
    using namespace std::chrono;
    const auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
    // Two nodes may write at one time, or with clocks that are behind.
    const auto chance = std::uint64_t{random_number()() % 256U};
    return std::max(before + 1, static_cast<std::uint64_t>(now) * 256) + chance;
}

Error refused(const Reply& reply) {
    return {Errc::temporary, "the mailbox index is not available",
            "state store: " + (reply.is_error() ? reply.text : "an answer that makes no sense")};
}

Result<MailboxStore::Seen> MailboxStore::look(Fiber& fiber, const std::string& mailbox) {
    const auto known = cache_.find(mailbox);
    auto reply =
        client_.run(fiber, Run{&scripts::load_mailbox, {keys_.of("head", mailbox), keys_.of("ids", mailbox)}, {}});
    if (!reply) return reply.error();
    if (reply->kind != Reply::Kind::array || reply->elements.size() != 4) return refused(*reply);
    auto& parts = reply->elements;
    auto seen = std::make_shared<CachedMailbox>();
    seen->head = std::move(parts[0].text);
    seen->first_generation = std::move(parts[1].text);
    seen->imported_generation = std::move(parts[2].text);
    seen->imported_revision = std::move(parts[3].text);
    if (known) {
        seen->chunks = known->chunks;
        if (known->imported_revision == seen->imported_revision) seen->imported = known->imported;
    }
    if (!seen->imported && !seen->imported_revision.empty()) {
        const auto got = client_.call(fiber, Keys::bucket_of(mailbox), {{"GET", keys_.of("imported", mailbox)}});
        if (!got) return got.error();
        const auto& octets = got->front();
        if (octets.is_error()) return refused(octets);
        auto ids = octets.kind == Reply::Kind::text ? unseal_imported(octets.text, mailbox) : std::nullopt;
        if (!ids) return busy("imported unique-ids are damaged or missing");
        seen->imported = std::make_shared<const ImportedIds>(std::move(*ids));
    }
    return Seen(std::move(seen));
}

Result<bool> MailboxStore::complete(Fiber& fiber, const std::string& mailbox, CachedMailbox& seen,
                                    const HeadRecord& record, const std::set<std::uint32_t>* wanted) {
    std::erase_if(seen.chunks, [&](const auto& known) {
        const auto listed = record.chunks.find(known.first);
        return listed == record.chunks.end() || listed->second != known.second.write;
    });
    std::vector<std::uint32_t> missing;
    for (const auto& [chunk, write] : record.chunks)
        if (!seen.chunks.contains(chunk) && (!wanted || wanted->contains(chunk))) missing.push_back(chunk);
    if (missing.empty()) return true;
    std::vector<Command> commands;
    for (std::size_t begin = 0; begin < missing.size(); begin += chunks_at_once) {
        Command command{"HMGET", keys_.of("chunks", mailbox)};
        for (auto i = begin; i < std::min(begin + chunks_at_once, missing.size()); ++i)
            command.push_back(std::to_string(missing[i]));
        commands.push_back(std::move(command));
    }
    auto replies = client_.call(fiber, Keys::bucket_of(mailbox), std::move(commands));
    if (!replies) return replies.error();
    for (std::size_t i = 0; i < missing.size(); ++i) {
        auto& reply = (*replies)[i / chunks_at_once];
        if (reply.kind != Reply::Kind::array || reply.elements.size() <= i % chunks_at_once) return refused(reply);
        auto& octets = reply.elements[i % chunks_at_once].text;
        const auto write = record.chunks.at(missing[i]);
        if (!unseal_chunk(octets, mailbox, missing[i], write)) return false;
        seen.chunks[missing[i]] = {write, std::make_shared<const std::string>(std::move(octets))};
    }
    return true;
}

// Chunks that do not fit were written meanwhile, or are damaged: a head that stays has chunks that stay.
Result<MailboxStore::Seen> MailboxStore::newer_than(Fiber& fiber, const std::string& mailbox,
                                                    const CachedMailbox& seen) {
    auto looked = look(fiber, mailbox);
    if (!looked) return looked.error();
    if ((*looked)->head == seen.head) return Seen();
    return looked;
}

// As with a broken file: what can be learned again goes, and what keeps unique-ids stays.
void MailboxStore::discard(Fiber& fiber, const std::string& mailbox, const std::string& head, const char* why) {
    log(LogLevel::error, "state_discarded", {{"mailbox", mailbox}, {"error", why}});
    cache_.forget(mailbox);
    (void)client_.run(fiber, Run{&scripts::forget_mailbox,
                                 {keys_.of("head", mailbox), keys_.of("chunks", mailbox), keys_.of("ids", mailbox),
                                  keys_.of("retired", mailbox), keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                                 {mailbox, head.substr(0, identity_size)}});
}

namespace {

/// False for chunks that are damaged.
bool unpack_all(const CachedMailbox& seen, const HeadRecord& record, const std::string& mailbox,
                std::vector<StoredMessage>& messages) {
    messages.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(record.messages, 1'000'000)));
    for (const auto& [chunk, write] : record.chunks) {
        const auto found = seen.chunks.find(chunk);
        if (found == seen.chunks.end()) return false;
        const auto packed = unseal_chunk(*found->second.octets, mailbox, chunk, write);
        if (!packed || !unpack_messages(*packed, chunk, messages)) return false;
    }
    return messages.size() == record.messages;
}

void add_ids(const CachedMailbox& seen, StoredMailbox& stored) {
    stored.first_generation = seen.first_generation;
    stored.imported_generation = seen.imported_generation;
    if (seen.imported) stored.imported = *seen.imported;
}

}  // namespace

Result<StoredMailbox> MailboxStore::load(Fiber& fiber, const std::string& mailbox) {
    for (int attempt = 0; attempt < most_looks; ++attempt) {
        let_others(fiber, attempt);
        const auto looked = look(fiber, mailbox);
        if (!looked) return looked.error();
        CachedMailbox seen = **looked;
        StoredMailbox stored;
        add_ids(seen, stored);
        if (seen.head.empty()) {
            seen.chunks.clear();
            cache_.keep(mailbox, std::make_shared<const CachedMailbox>(std::move(seen)));
            return stored;
        }
        auto record = unpack_head(seen.head, mailbox);
        if (!record) {
            discard(fiber, mailbox, seen.head, "the head of a mailbox is damaged");
            continue;
        }
        const auto complete_now = complete(fiber, mailbox, seen, *record, nullptr);
        if (!complete_now) return complete_now.error();
        if (*complete_now && unpack_all(seen, *record, mailbox, stored.messages)) {
            stored.head = std::move(record->head);
            cache_.keep(mailbox, std::make_shared<const CachedMailbox>(std::move(seen)));
            return stored;
        }
        const auto newer = newer_than(fiber, mailbox, seen);
        if (!newer) return newer.error();
        if (!*newer) discard(fiber, mailbox, seen.head, "messages of a mailbox are damaged");
    }
    return busy("others keep changing the mailbox");
}

StoredMailbox MailboxStore::last_seen(const std::string& mailbox) {
    StoredMailbox stored;
    const auto seen = cache_.find(mailbox);
    if (!seen) return stored;
    add_ids(*seen, stored);
    if (seen->head.empty()) return stored;
    auto record = unpack_head(seen->head, mailbox);
    if (record && unpack_all(*seen, *record, mailbox, stored.messages))
        stored.head = std::move(record->head);
    else
        stored.messages.clear();
    return stored;
}

Result<std::optional<std::uint64_t>> MailboxStore::save(Fiber& fiber, const std::string& mailbox,
                                                        const MailboxChange& change) {
    using Version = std::optional<std::uint64_t>;
    const auto wanted = chunks_of(change);
    auto known = cache_.find(mailbox);
    for (int attempt = 0; attempt < most_looks; ++attempt) {
        let_others(fiber, attempt);
        if (!known) {
            auto looked = look(fiber, mailbox);
            if (!looked) return looked.error();
            known = std::move(*looked);
        }
        CachedMailbox seen = *std::exchange(known, nullptr);
        const auto stored = seen.head.empty() ? std::nullopt : unpack_head(seen.head, mailbox);
        if (!stored && !seen.head.empty()) {
            discard(fiber, mailbox, seen.head, "the head of a mailbox is damaged");
            continue;
        }
        // What this node saw last is as good as what is stored only where the write proves it.
        const bool is_other_version = change.head && change.head->version != (stored ? stored->head.version : 0);
        if (is_other_version || (!change.head && !stored)) {
            auto newer = newer_than(fiber, mailbox, seen);
            if (!newer) return newer.error();
            known = std::move(*newer);
            if (known) continue;
            return is_other_version || !change.changed.empty() ? Version() : Version(0);
        }
        if (auto status = check_change(change, stored ? stored->head.next_number : 1); !status) return status.error();
        const auto is_complete = stored ? complete(fiber, mailbox, seen, *stored, &wanted) : Result<bool>(true);
        if (!is_complete) return is_complete.error();
        auto next = next_record(stored, change);
        CachedMailbox then = seen;
        if (change.forget_all_before) then.chunks.clear();
        SeenChunks chunks(mailbox, seen, then, next);
        if (*is_complete) next.messages += static_cast<std::uint64_t>(apply_change(chunks, change));
        if (!*is_complete || chunks.damaged) {
            auto newer = newer_than(fiber, mailbox, seen);
            if (!newer) return newer.error();
            known = std::move(*newer);
            if (!known) discard(fiber, mailbox, seen.head, "messages of a mailbox are damaged");
            continue;
        }
        if (!change.head && chunks.written.empty() && change.sizes_corrected == 0) return Version(next.head.version);
        then.head = pack_head(next, mailbox);
        Run run{&scripts::save_mailbox,
                {keys_.of("head", mailbox), keys_.of("chunks", mailbox),
                 keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                {seen.head.substr(0, identity_size), then.head, mailbox, change.forget_all_before ? "1" : "0"}};
        chunks.add_to(run);
        std::vector<Run> runs;
        runs.push_back(std::move(run));
        const auto written = client_.run_replicated(fiber, std::move(runs), change.durable ? replicas_ : 0);
        if (!written) {
            cache_.forget(mailbox);  // it may have been done
            return written.error();
        }
        const auto& reply = written->front();
        if (reply.kind == Reply::Kind::integer && reply.integer == 1) {
            cache_.keep(mailbox, std::make_shared<const CachedMailbox>(std::move(then)));
            return Version(next.head.version);
        }
        if (reply.kind != Reply::Kind::text && reply.kind != Reply::Kind::integer) return refused(reply);
    }
    return busy("others keep changing the mailbox");
}

Result<bool> MailboxStore::forget(Fiber& fiber, const std::string& mailbox) {
    cache_.forget(mailbox);
    const auto reply =
        client_.run(fiber, Run{&scripts::forget_mailbox,
                               {keys_.of("head", mailbox), keys_.of("chunks", mailbox), keys_.of("ids", mailbox),
                                keys_.of("retired", mailbox), keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                               {mailbox, ""}});
    if (!reply) return reply.error();
    if (reply->kind != Reply::Kind::integer) return refused(*reply);
    return reply->integer == 1;
}

}  // namespace popgate::redis
