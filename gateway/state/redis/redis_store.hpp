#pragma once

#include "gateway/observe/metrics.hpp"
#include "gateway/state/redis/leases.hpp"
#include "gateway/state/redis/mailbox_store.hpp"
#include "gateway/state/state_store.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace popgate::redis {

struct StoreOptions {
    Address address;
    std::shared_ptr<const TlsClientContext> tls;
    std::string node;
    Leases::Rules leases;
    std::size_t cache_octets = std::size_t{64} << 20;
    bool serves_without_index = false;  ///< what this node saw last stands in for a store that is away
};

/// A store in a Redis or Valkey, for any number of nodes. The server must not evict keys. What is kept of accounts, of
/// imported and retired ids lasts as long as the server keeps it.
class RedisStore final : public StateStore {
public:
    explicit RedisStore(const StoreOptions& options);
    ~RedisStore() override;

    Result<StoredMailbox> load(Fiber& fiber, const std::string& mailbox) override;
    Result<std::optional<std::uint64_t>> save(Fiber& fiber, const std::string& mailbox, MailboxChange change) override;
    Result<bool> forget(Fiber& fiber, const std::string& mailbox) override;
    Status keep_imported(Fiber& fiber, const std::string& mailbox, const std::string& generation,
                         const std::map<std::string, std::string, std::less<>>& unique_ids) override;
    Status keep_first_generation(Fiber& fiber, const std::string& mailbox, const std::string& generation) override;
    Result<RetiredIds> retired(Fiber& fiber, const std::string& mailbox) override;
    Status keep_retired(Fiber& fiber, const std::string& mailbox, const RetiredIds& ids, std::int64_t now) override;
    Result<std::vector<std::string>> mailboxes(Fiber& fiber) override;
    Result<StoredRecord> record(Fiber& fiber, const std::string& kind, const std::string& name) override;
    Result<bool> keep_record(Fiber& fiber, const std::string& kind, const std::string& name, const std::string& octets,
                             std::uint64_t expected) override;
    Result<bool> erase_record(Fiber& fiber, const std::string& kind, const std::string& name) override;
    Result<std::vector<std::string>> record_names(Fiber& fiber, const std::string& kind) override;
    Result<std::unique_ptr<Claim>> try_claim(Fiber& fiber, const std::string& what) override;
    Result<MaildropAnswer> hold_maildrop(Fiber& fiber, const std::string& mailbox) override;
    SharedThrottles* shared_throttles() override;
    Status check(Fiber& fiber) override;
    Result<std::vector<std::string>> remarks(Fiber& fiber) override;
    void keep_up(Fiber& fiber, const std::function<bool()>& is_needed) override;
    std::string impairment() const override { return client_->trouble(); }
    bool lasts() const override { return true; }

private:
    class Throttles;
    Status run_durably(Fiber& fiber, Run run);
    Result<std::vector<std::string>> names_in(Fiber& fiber, const char* command, const std::string& set);
    template <class Answer>
    Answer noted(Answer answer, metrics::StoreUse use = metrics::StoreUse::read);

    const unsigned replicas_;
    const bool serves_without_index_;
    const Keys keys_;
    const std::shared_ptr<Client> client_;
    MailboxStore mailboxes_;
    const std::shared_ptr<Leases> leases_;
    const std::unique_ptr<Throttles> throttles_;
    std::atomic<bool> is_away_ = false;
};

}  // namespace popgate::redis
