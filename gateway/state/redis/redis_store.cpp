#include "gateway/state/redis/redis_store.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/state/packing.hpp"
#include "gateway/state/redis/scripts.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace popgate::redis {

namespace {

constexpr const char* format = "1";                  // of all that is stored; another one is not understood
constexpr std::string_view other_format = "FORMAT";  // as scripts::greet says it
constexpr std::int64_t retired_seconds = std::int64_t{400} * 86'400;
constexpr std::size_t retired_at_once = 500;
constexpr std::uint64_t record_seed = 14;
constexpr unsigned greeted_in_a_round = 90;  // of 256 buckets, so that all are within the life of a lease

/// So that neither another account's record nor another revision's octets are taken for this one.
std::uint64_t seed_of(std::string_view kind, std::string_view name, std::uint64_t revision) {
    return packing::checksum(name, packing::checksum(kind, record_seed)) + revision;
}

Run greeting(const Keys& keys, unsigned bucket) {
    return {&scripts::greet, {keys.in_bucket(bucket, "epoch"), keys.in_bucket(bucket, "format")}, {format}};
}

Status status_of(const Result<Reply>& reply) {
    if (!reply) return reply.error();
    if (reply->is_error()) return refused(*reply);
    return {};
}

class LeasedClaim final : public Claim {
public:
    LeasedClaim(std::shared_ptr<Leases> leases, std::shared_ptr<Leases::Lease> lease)
        : leases_(std::move(leases)), lease_(std::move(lease)) {}
    ~LeasedClaim() override { leases_->let_go(lease_); }
    LeasedClaim(const LeasedClaim&) = delete;
    LeasedClaim& operator=(const LeasedClaim&) = delete;

private:
    std::shared_ptr<Leases> leases_;
    std::shared_ptr<Leases::Lease> lease_;
};

class LeasedMaildrop final : public MaildropHold {
public:
    LeasedMaildrop(std::shared_ptr<Leases> leases, std::shared_ptr<Leases::Lease> lease)
        : leases_(std::move(leases)), lease_(std::move(lease)) {}
    ~LeasedMaildrop() override {
        if (lease_) leases_->let_go(lease_);
    }
    LeasedMaildrop(const LeasedMaildrop&) = delete;
    LeasedMaildrop& operator=(const LeasedMaildrop&) = delete;

    Deadline held_until() const override { return Leases::held_until(*lease_); }
    bool is_lost() const override { return Leases::is_lost(*lease_); }
    Status confirm(Fiber& fiber) override { return leases_->confirm(fiber, *lease_); }
    void release(Fiber& fiber) override {
        if (const auto lease = std::exchange(lease_, nullptr)) leases_->free(fiber, lease);
    }

private:
    std::shared_ptr<Leases> leases_;
    std::shared_ptr<Leases::Lease> lease_;
};

}  // namespace

class RedisStore::Throttles final : public SharedThrottles {
public:
    Throttles(Client& client, const Keys& keys) : client_(client), keys_(keys) {}

    Result<Known> look(Fiber& fiber, const std::string& name) override {
        const auto reply =
            client_.run(fiber, Run{&scripts::look_at_logins, {keys_.of("wait", name), keys_.of("failures", name)}, {}});
        if (!reply) return reply.error();
        if (reply->kind != Reply::Kind::array || reply->elements.size() != 2) return refused(*reply);
        return Known{std::chrono::milliseconds(std::max<std::int64_t>(reply->elements[0].integer, 0)),
                     reply->elements[1].integer != 0};
    }
    Result<std::uint32_t> count(Fiber& fiber, const std::string& name, std::chrono::milliseconds memory) override {
        const auto counted = number(client_.run(
            fiber, Run{&scripts::count_failure, {keys_.of("failures", name)}, {std::to_string(memory.count())}}));
        if (!counted) return counted.error();
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(*counted, 0, UINT32_MAX));
    }
    Status hold_up(Fiber& fiber, const std::string& name, std::chrono::milliseconds wait) override {
        return status_of(
            client_.run(fiber, Run{&scripts::hold_up,
                                   {keys_.of("wait", name)},
                                   {std::to_string(std::max(wait, std::chrono::milliseconds(1)).count())}}));
    }
    Status forget(Fiber& fiber, const std::string& name) override {
        const auto gone =
            client_.call(fiber, Keys::bucket_of(name), {{"DEL", keys_.of("failures", name), keys_.of("wait", name)}});
        if (!gone) return gone.error();
        return gone->front().is_error() ? Status(refused(gone->front())) : Status();
    }
    Result<bool> admit(Fiber& fiber, const std::string& name, std::chrono::milliseconds interval,
                       std::uint32_t burst) override {
        const auto admitted =
            number(client_.run(fiber, Run{&scripts::admit,
                                          {keys_.of("logins", name)},
                                          {std::to_string(interval.count()), std::to_string(std::max(burst, 1U))}}));
        if (!admitted) return admitted.error();
        return *admitted == 1;
    }
    Status give_back(Fiber& fiber, const std::string& name, std::chrono::milliseconds interval) override {
        return status_of(client_.run(
            fiber, Run{&scripts::give_back, {keys_.of("logins", name)}, {std::to_string(interval.count())}}));
    }

private:
    static Result<std::int64_t> number(const Result<Reply>& reply) {
        if (!reply) return reply.error();
        if (reply->kind != Reply::Kind::integer) return refused(*reply);
        return reply->integer;
    }

    Client& client_;
    const Keys& keys_;
};

namespace {

ClientOptions client_options(const StoreOptions& options) {
    ClientOptions made;
    made.tls = options.tls;
    made.name = "popgate-" + options.node;
    made.greeting = [keys = Keys(options.address.prefix)](const std::vector<unsigned>& which) {
        std::vector<Run> runs;
        for (const auto bucket : which) runs.push_back(greeting(keys, bucket));
        return runs;
    };
    return made;
}

}  // namespace

RedisStore::RedisStore(const StoreOptions& options)
    : replicas_(options.leases.replicas),
      serves_without_index_(options.serves_without_index),
      keys_(options.address.prefix),
      client_(std::make_shared<Client>(options.address, client_options(options))),
      mailboxes_(*client_, keys_, options.cache_octets, options.leases.replicas),
      leases_(std::make_shared<Leases>(client_, options.node, options.leases)),
      throttles_(std::make_unique<Throttles>(*client_, keys_)) {}

RedisStore::~RedisStore() = default;

// Once when it goes away, and once when it is back: not for each session.
template <class Answer>
Answer RedisStore::noted(Answer answer, metrics::StoreUse use) {
    const bool is_away = answer.has_error() && !client_->trouble().empty();
    if (answer.has_error()) metrics::state_failures.add(use);
    metrics::state_writable.set(is_away ? 0 : 1);
    if (is_away != is_away_.load() && is_away_.exchange(is_away) != is_away)
        log(is_away ? LogLevel::error : LogLevel::info, is_away ? "state_store_away" : "state_store_back",
            {{"error", is_away ? client_->trouble() : std::string()}});
    return answer;
}

Result<StoredMailbox> RedisStore::load(Fiber& fiber, const std::string& mailbox) {
    auto loaded = noted(mailboxes_.load(fiber, mailbox));
    if (!loaded && serves_without_index_) return mailboxes_.last_seen(mailbox);
    return loaded;
}

Result<std::optional<std::uint64_t>> RedisStore::save(Fiber& fiber, const std::string& mailbox, MailboxChange change) {
    return noted(mailboxes_.save(fiber, mailbox, change), metrics::StoreUse::write);
}

Result<bool> RedisStore::forget(Fiber& fiber, const std::string& mailbox) {
    return noted(mailboxes_.forget(fiber, mailbox), metrics::StoreUse::write);
}

Status RedisStore::run_durably(Fiber& fiber, Run run) {
    std::vector<Run> runs;
    runs.push_back(std::move(run));
    const auto replies = noted(client_->run_replicated(fiber, std::move(runs), replicas_), metrics::StoreUse::write);
    if (!replies) return replies.error();
    return replies->front().is_error() ? Status(refused(replies->front())) : Status();
}

Status RedisStore::keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                                 const ImportedIds& unique_ids) {
    return run_durably(fiber, {&scripts::keep_imported,
                               {keys_.of("ids", mailbox), keys_.of("imported", mailbox),
                                keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                               {mailbox, generation, unique_ids.empty() ? std::string() : std::to_string(next_write(0)),
                                seal_imported(unique_ids, mailbox)}});
}

Status RedisStore::keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) {
    return run_durably(fiber, {&scripts::keep_first_generation,
                               {keys_.of("ids", mailbox), keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                               {mailbox, generation}});
}

Result<RetiredIds> RedisStore::retired(Fiber& fiber, const std::string& mailbox) {
    const auto replies =
        noted(client_->call(fiber, Keys::bucket_of(mailbox), {{"HGETALL", keys_.of("retired", mailbox)}}));
    if (!replies) return replies.error();
    const auto& pairs = replies->front();
    if (pairs.kind != Reply::Kind::array || pairs.elements.size() % 2 != 0) return refused(pairs);
    RetiredIds ids;
    for (std::size_t i = 0; i < pairs.elements.size(); i += 2) {
        const auto& times = pairs.elements[i + 1].text;
        std::from_chars(times.data(), times.data() + times.size(), ids[pairs.elements[i].text]);
    }
    return ids;
}

Status RedisStore::keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) {
    for (auto each = ids.begin(); each != ids.end();) {
        Run run{&scripts::keep_retired,
                {keys_.of("retired", mailbox), keys_.of("retired-ages", mailbox),
                 keys_.in_bucket(Keys::bucket_of(mailbox), "mailboxes")},
                {mailbox, std::to_string(now), std::to_string(retired_seconds)}};
        for (std::size_t count = 0; count < retired_at_once && each != ids.end(); ++count, ++each) {
            run.arguments.push_back(each->first);
            run.arguments.push_back(std::to_string(each->second));
        }
        if (auto status = run_durably(fiber, std::move(run)); !status) return status;
    }
    return {};
}

Result<std::vector<std::string>> RedisStore::names_in(Fiber& fiber, const char* command, const std::string& set) {
    std::vector<std::string> names;
    for (unsigned bucket = 0; bucket < buckets; ++bucket) {
        auto replies = noted(client_->call(fiber, bucket, {{command, keys_.in_bucket(bucket, set)}}));
        if (!replies) return replies.error();
        auto& found = replies->front();
        if (found.kind != Reply::Kind::array) return refused(found);
        for (auto& each : found.elements) names.push_back(std::move(each.text));
    }
    std::ranges::sort(names);
    return names;
}

Result<std::vector<std::string>> RedisStore::mailboxes(Fiber& fiber) {
    return names_in(fiber, "SMEMBERS", "mailboxes");
}

Result<StoredRecord> RedisStore::record(Fiber& fiber, const std::string& kind, const std::string& name) {
    const auto bucket = Keys::bucket_of(name);
    const auto replies =
        noted(client_->call(fiber, bucket, {{"HGET", keys_.in_bucket(bucket, "records:" + kind), name}}));
    if (!replies) return replies.error();
    const auto& stored = replies->front();
    if (stored.kind == Reply::Kind::nil) return StoredRecord{};
    if (stored.kind != Reply::Kind::text) return refused(stored);
    StoredRecord record;
    const auto* end = stored.text.data() + stored.text.size();
    const auto [rest, error] = std::from_chars(stored.text.data(), end, record.revision);
    const auto octets = error == std::errc() && rest != end && *rest == ':'
                            ? packing::unsealed({rest + 1, end}, seed_of(kind, name, record.revision))
                            : std::nullopt;
    if (!octets || record.revision == 0)
        return Error{Errc::temporary, "the mailbox index is not available",
                     "state store: the record " + kind + '/' + name + " is damaged"};
    record.octets = *octets;
    return record;
}

Result<bool> RedisStore::keep_record(Fiber& fiber, const std::string& kind, const std::string& name,
                                     const std::string& octets, std::uint64_t expected) {
    const auto bucket = Keys::bucket_of(name);
    const auto revision = next_write(expected);
    std::vector<Run> runs{{&scripts::keep_record,
                           {keys_.in_bucket(bucket, "records:" + kind)},
                           {name, std::to_string(expected), std::to_string(revision),
                            packing::sealed(octets, seed_of(kind, name, revision))}}};
    const auto replies = noted(client_->run_replicated(fiber, std::move(runs), replicas_), metrics::StoreUse::write);
    if (!replies) return replies.error();
    if (replies->front().kind != Reply::Kind::integer) return refused(replies->front());
    return replies->front().integer == 1;
}

Result<bool> RedisStore::erase_record(Fiber& fiber, const std::string& kind, const std::string& name) {
    std::vector<Run> runs{
        {&scripts::erase_record, {keys_.in_bucket(Keys::bucket_of(name), "records:" + kind)}, {name}}};
    const auto replies = noted(client_->run_replicated(fiber, std::move(runs), replicas_), metrics::StoreUse::write);
    if (!replies) return replies.error();
    if (replies->front().kind != Reply::Kind::integer) return refused(replies->front());
    return replies->front().integer == 1;
}

Result<std::vector<std::string>> RedisStore::record_names(Fiber& fiber, const std::string& kind) {
    return names_in(fiber, "HKEYS", "records:" + kind);
}

Result<std::unique_ptr<Claim>> RedisStore::try_claim(Fiber& fiber, const std::string& what) {
    const auto epoch = keys_.in_bucket(Keys::bucket_of(what), "epoch");
    auto taken = noted(leases_->take(fiber, keys_.of("claim", what), epoch), metrics::StoreUse::write);
    if (!taken) return taken.error();
    std::unique_ptr<Claim> claim;
    if (taken->lease) claim = std::make_unique<LeasedClaim>(leases_, std::move(taken->lease));
    return claim;
}

Result<MaildropAnswer> RedisStore::hold_maildrop(Fiber& fiber, const std::string& mailbox) {
    const auto epoch = keys_.in_bucket(Keys::bucket_of(mailbox), "epoch");
    auto taken = noted(leases_->take(fiber, keys_.of("lock", mailbox), epoch), metrics::StoreUse::write);
    if (!taken) return taken.error();
    MaildropAnswer answer;
    answer.free_in = taken->free_in;
    if (taken->lease) answer.hold = std::make_unique<LeasedMaildrop>(leases_, std::move(taken->lease));
    return answer;
}

SharedThrottles* RedisStore::shared_throttles() { return throttles_.get(); }

Status RedisStore::check(Fiber& fiber) {
    const auto replies = noted(client_->call(fiber, 0, {{"PING"}}));
    if (replies) return {};
    const auto& error = replies.error();
    const auto found = error.detail.find(other_format);
    if (found == std::string::npos) return error;
    return Error{Errc::permanent,
                 "the state store was written by another version of popgate, whose format is" +
                     error.detail.substr(found + other_format.size()) + "; this one knows " + format,
                 error.detail};
}

Result<std::vector<std::string>> RedisStore::remarks(Fiber& fiber) {
    const auto replies = noted(client_->call(fiber, 0, {{"INFO", "memory"}, {"INFO", "persistence"}}));
    if (!replies) return replies.error();
    const auto value = [](const std::string& info, std::string_view name) -> std::string {
        const auto found = info.find(std::string(name) + ':');
        if (found == info.npos) return {};
        const auto begin = found + name.size() + 1;
        return info.substr(begin, info.find_first_of("\r\n", begin) - begin);
    };
    std::vector<std::string> remarks;
    const auto policy = value(replies->front().text, "maxmemory_policy");
    if (!policy.empty() && policy != "noeviction")
        remarks.push_back("its maxmemory-policy is " + policy + ": it may drop locks and accounts; set noeviction");
    if (value(replies->back().text, "aof_enabled") == "0")
        remarks.push_back(
            "its appendonly is off: a restart may forget accounts and what was deleted; set appendonly yes");
    return remarks;
}

// A server that was emptied begins all its epochs at one time, also those of mailboxes that nobody opens for long. And
// whether it is there is known although nobody logs in, which a node that is not ready would wait for in vain.
void RedisStore::keep_up(Fiber& fiber, const std::function<bool()>& is_needed) {
    leases_->keep_up(fiber, is_needed, [this, next = 0U](Fiber& chore) mutable {
        for (unsigned i = 0; i < greeted_in_a_round; ++i)
            if (!noted(client_->run(chore, greeting(keys_, next++ % buckets)))) return;
    });
}

}  // namespace popgate::redis
