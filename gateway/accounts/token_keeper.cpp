#include "gateway/accounts/token_keeper.hpp"

#include "gateway/accounts/run_command.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/state/state_store.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace popgate {

using namespace std::chrono_literals;

namespace {

constexpr auto refresh_limit = 90s;   // of one refresh, whatever the provider does
constexpr auto farewell_limit = 15s;  // what a refresh under way is given when the process is to end
constexpr auto first_pause = 1s;      // after a failure; twice as long each time
constexpr std::chrono::seconds longest_pause = 60s;
constexpr auto claim_pause = 50ms;                   // between two looks at what another process does
constexpr std::chrono::seconds renewal_pause = 60s;  // an upstream that refuses every token must not cause a storm
constexpr std::int64_t refused_pause = 24 * 3600;
constexpr std::size_t most_application_tokens = 10'000;

bool is_own(const oauth::Provider& provider) { return provider.settings().grant == oauth::Grant::account; }

Error to_error(const oauth::Refusal& refusal) {
    const auto code = refusal.kind == oauth::Refusal::Kind::setup ? Errc::permanent : Errc::temporary;
    return {code, refusal.text, refusal.detail};
}

void count_failure(const oauth::Refusal& refusal) {
    const bool is_setup = refusal.kind == oauth::Refusal::Kind::setup;
    metrics::token_refreshes.add(is_setup ? metrics::Refresh::misconfigured : metrics::Refresh::put_off);
}

}  // namespace

struct TokenKeeper::Wanted {
    std::string user;
    std::shared_ptr<const oauth::Provider> provider;
    Secret refused;             ///< by the upstream; empty: any good one will do
    bool is_for_client = true;  ///< false: what was refused may be tried again

    Wanted copy() const { return {user, provider, Secret(refused.reveal()), is_for_client}; }
    bool is_refused(const Secret& token) const {
        return !refused.reveal().empty() && refused.reveal() == token.reveal();
    }
    /// Accounts by name, applications' tokens by what they are for.
    std::string key() const {
        return is_own(*provider) ? user : "application/" + provider->settings().name + '/' + user;
    }
};

/// Tokens that the provider has given.
struct TokenKeeper::Unsaved {
    AccountTokens tokens;
    std::vector<Secret> replaced;  ///< the refresh tokens of before, of which the store may have any

    bool replaces(const AccountTokens& kept) const {
        return std::ranges::any_of(replaced,
                                   [&](const Secret& each) { return each.reveal() == kept.refresh_token.reveal(); });
    }

    void put_into(AccountTokens& kept) const {
        kept.provider = tokens.provider;
        kept.refresh_token = Secret(tokens.refresh_token.reveal());
        kept.access_token = Secret(tokens.access_token.reveal());
        kept.refreshed = tokens.refreshed;
        kept.expires = tokens.expires;
        kept.scope = tokens.scope;
        kept.refusal.clear();
        kept.refused = 0;
    }
};

/// What is known of refreshes in this process, account by account: which are under way and who waits for them, what
/// failed and when it may be tried again, and what could not be written.
class TokenKeeper::Flights {
public:
    struct FiberPlace {
        boost::asio::io_context* context;
        Fiber* fiber;  ///< null once it is done; for the context's thread alone
    };

    /// The one refresh of an account; nobody else's begins as long as it lives.
    class Flight {
    public:
        Flight(Flights& flights, std::string key) : flights_(flights), key_(std::move(key)) {}
        ~Flight() { flights_.end(key_); }
        Flight(const Flight&) = delete;
        Flight& operator=(const Flight&) = delete;

    private:
        Flights& flights_;
        std::string key_;
    };

    /// Null where one is under way.
    std::shared_ptr<Flight> begin(const std::string& key) {
        const std::lock_guard lock(mutex_);
        if (std::exchange(entries_[key].is_under_way, true)) return nullptr;
        return std::make_shared<Flight>(*this, key);
    }

    /// Until the one that is under way has ended, or for `deadline`.
    void wait(Fiber& fiber, const std::string& key, Deadline deadline) {
        const auto waiter = std::make_shared<FiberPlace>(FiberPlace{&fiber.context(), &fiber});
        {
            const std::lock_guard lock(mutex_);
            const auto found = entries_.find(key);
            if (found == entries_.end() || !found->second.is_under_way) return;
            found->second.waiters.push_back(waiter);
        }
        fiber.sleep_until(deadline);
        waiter->fiber = nullptr;  // whoever wakes it does so on this thread
    }

    /// While it lives, hurry() finds this fiber.
    class Hurriable {
    public:
        Hurriable(Flights& flights, Fiber& fiber)
            : flights_(flights), place_(std::make_shared<FiberPlace>(FiberPlace{&fiber.context(), &fiber})) {
            const std::lock_guard lock(flights_.mutex_);
            if (flights_.is_hurried_) fiber.interrupt();
            flights_.running_.push_back(place_);
        }
        ~Hurriable() {
            place_->fiber = nullptr;
            const std::lock_guard lock(flights_.mutex_);
            std::erase(flights_.running_, place_);
        }
        Hurriable(const Hurriable&) = delete;
        Hurriable& operator=(const Hurriable&) = delete;

    private:
        Flights& flights_;
        std::shared_ptr<FiberPlace> place_;
    };

    bool is_hurried() const {
        const std::lock_guard lock(mutex_);
        return is_hurried_;
    }
    void hurry() {
        const std::lock_guard lock(mutex_);
        is_hurried_ = true;
        for (const auto& each : running_)
            boost::asio::post(*each->context, [each] {
                if (each->fiber) each->fiber->interrupt();
            });
    }

    /// Why it may not be tried now, if it may not.
    std::optional<Error> why_not(const std::string& key, Deadline now) const {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found == entries_.end() || found->second.not_before <= now) return std::nullopt;
        return found->second.failure;
    }

    void failed(const std::string& key, const Error& error, std::optional<std::chrono::seconds> told, Deadline now) {
        const std::lock_guard lock(mutex_);
        auto& entry = entries_[key];
        auto pause = std::min(longest_pause, first_pause * (1 << std::min(entry.failures++, 6u)));
        if (told) pause = std::max(pause, std::min<std::chrono::seconds>(*told, 1h));
        entry.not_before = now + pause;
        entry.failure = error;
    }

    void renewed(const std::string& key, Deadline now) {
        const std::lock_guard lock(mutex_);
        entries_[key].renewed = now;
    }
    bool was_renewed_just_now(const std::string& key, Deadline now) const {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        return found != entries_.end() && found->second.renewed && now < *found->second.renewed + renewal_pause;
    }

    void succeeded(const std::string& key) {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found == entries_.end()) return;
        found->second.failures = 0;
        found->second.not_before = {};
    }

    /// Another process would ask the provider with the token that they replace, so it may not: the claim stays here.
    void set_unsaved(const std::string& key, std::shared_ptr<const Unsaved> tokens, std::shared_ptr<Claim> claim) {
        const std::lock_guard lock(mutex_);
        entries_[key].unsaved = std::move(tokens);
        entries_[key].claim = std::move(claim);
    }
    /// Those, or whatever there is.
    void forget_unsaved(const std::string& key, const std::shared_ptr<const Unsaved>& tokens = nullptr) {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found == entries_.end() || (tokens && found->second.unsaved != tokens)) return;
        found->second.unsaved = nullptr;
        found->second.claim = nullptr;
    }
    std::shared_ptr<Claim> held_claim(const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        return found == entries_.end() ? nullptr : found->second.claim;
    }
    std::vector<std::pair<std::string, std::shared_ptr<const Unsaved>>> all_unsaved() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::pair<std::string, std::shared_ptr<const Unsaved>>> all;
        for (const auto& [key, entry] : entries_)
            if (entry.unsaved) all.emplace_back(key, entry.unsaved);
        return all;
    }
    std::shared_ptr<const Unsaved> unsaved(const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        return found == entries_.end() ? nullptr : found->second.unsaved;
    }

    /// An application's token; in memory alone, as another one is to be had at any time.
    void set_application_token(const std::string& key, const Secret& token, std::int64_t expires) {
        const std::lock_guard lock(mutex_);
        auto& entry = entries_[key];
        entry.token = Secret(token.reveal());
        entry.token_expires = expires;
        entry.token_made = true;
        order_.push_back(key);
        while (order_.size() > most_application_tokens) {
            const auto oldest = entries_.find(order_.front());
            if (oldest != entries_.end() && !oldest->second.is_under_way && oldest->first != key)
                entries_.erase(oldest);
            order_.pop_front();
        }
    }
    std::optional<std::pair<Secret, std::int64_t>> application_token(const std::string& key) const {
        const std::lock_guard lock(mutex_);
        const auto found = entries_.find(key);
        if (found == entries_.end() || !found->second.token_made) return std::nullopt;
        return std::pair(Secret(found->second.token.reveal()), found->second.token_expires);
    }

private:
    struct Entry {
        bool is_under_way = false;
        std::vector<std::shared_ptr<FiberPlace>> waiters;
        unsigned failures = 0;
        Deadline not_before{};
        std::optional<Deadline> renewed;  // when a token that an upstream had refused was last replaced
        Error failure;
        std::shared_ptr<const Unsaved> unsaved;
        std::shared_ptr<Claim> claim;  // as long as there are unsaved ones
        Secret token;
        std::int64_t token_expires = 0;
        bool token_made = false;
    };

    void end(const std::string& key) {
        std::vector<std::shared_ptr<FiberPlace>> waiters;
        {
            const std::lock_guard lock(mutex_);
            auto& entry = entries_[key];
            entry.is_under_way = false;
            waiters = std::move(entry.waiters);
            if (entry.failures == 0 && !entry.unsaved && !entry.token_made && !entry.renewed) entries_.erase(key);
        }
        for (auto& waiter : waiters)
            boost::asio::post(*waiter->context, [waiter] {
                if (waiter->fiber) waiter->fiber->wake();
            });
    }

    mutable std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;
    std::list<std::string> order_;  // of applications' tokens, the oldest first
    std::vector<std::shared_ptr<FiberPlace>> running_;
    bool is_hurried_ = false;
};

class TokenKeeper::Source final : public TokenSource {
public:
    Source(TokenKeeper& keeper, std::string user, std::shared_ptr<const oauth::Provider> provider)
        : keeper_(keeper), user_(std::move(user)), provider_(std::move(provider)) {}

    Result<Secret> token(Fiber& fiber) override { return keeper_.get(fiber, {user_, provider_, {}}); }

    Result<bool> renew(Fiber& fiber, const Secret& refused) override {
        auto another = keeper_.get(fiber, {user_, provider_, Secret(refused.reveal())});
        if (!another) return another.error();
        return another->reveal() != refused.reveal();
    }

private:
    TokenKeeper& keeper_;
    std::string user_;
    std::shared_ptr<const oauth::Provider> provider_;
};

TokenKeeper::TokenKeeper(StateStore& store, AccountStore& accounts, Options options)
    : store_(store), accounts_(accounts), options_(std::move(options)), flights_(std::make_unique<Flights>()) {}

TokenKeeper::~TokenKeeper() = default;

// A token of a minute would never be good if a minute before its end it counted as expired. Of one that comes from the
// future, by a clock that was ahead, nobody knows how long it lives.
bool TokenKeeper::is_fresh(const AccountTokens& tokens) const {
    const auto lifetime = std::max<std::int64_t>(tokens.expires - tokens.refreshed, 0);
    const auto margin = std::min<std::int64_t>(options_.margin.count(), lifetime / 2);
    const auto now = options_.now();
    return now < tokens.expires - margin && tokens.refreshed <= now + options_.margin.count();
}

std::shared_ptr<TokenSource> TokenKeeper::source(const std::string& user,
                                                 std::shared_ptr<const oauth::Provider> provider) {
    return std::make_shared<Source>(*this, user, std::move(provider));
}

Status TokenKeeper::keep(Fiber& fiber, const std::string& user, const oauth::Provider& provider,
                         const oauth::Tokens& tokens) {
    auto status = accounts_.change_tokens(fiber, user, [&](AccountTokens& kept) {
        // A provider that gave none this time may still take the one from before, if it is the same person's and its
        // own.
        const bool may_stay = kept.provider == provider.settings().name;
        if (!tokens.refresh_token.reveal().empty() || !may_stay)
            kept.refresh_token = Secret(tokens.refresh_token.reveal());
        kept.provider = provider.settings().name;
        kept.access_token = Secret(tokens.access_token.reveal());
        kept.refreshed = options_.now();
        kept.expires = kept.refreshed + tokens.lifetime.count();
        kept.scope = tokens.scope;
        kept.refusal.clear();
        kept.refused = 0;
        return true;
    });
    if (!status) return status;
    flights_->forget_unsaved(user);
    flights_->succeeded(user);
    return {};
}

Error TokenKeeper::must_sign_in(const std::string& user, const std::string& why) const {
    const auto where = options_.sign_in_at.empty() ? std::string("ask your administrator") : options_.sign_in_at;
    return {Errc::sign_in, where, why + " (popgate account login " + user + ")"};
}

Result<Secret> TokenKeeper::get(Fiber& fiber, const Wanted& wanted) {
    return is_own(*wanted.provider) ? get_own(fiber, wanted) : get_applications(fiber, wanted);
}

Result<Secret> TokenKeeper::get_own(Fiber& fiber, const Wanted& wanted) {
    const auto deadline = Clock::now() + options_.patience;
    std::shared_ptr<Outcome> outcome;
    Secret fallback;  // good to its end, whatever becomes of the refresh
    std::int64_t fallback_expires = 0;
    do {
        if (outcome && *outcome) return std::move(**outcome);
        auto stored = accounts_.tokens(fiber, wanted.user);
        if (!stored) return stored.error();
        if (!*stored || (*stored)->provider != wanted.provider->settings().name)
            return must_sign_in(wanted.user, "nobody has signed in for this account");
        auto& tokens = **stored;
        if (const auto unsaved = flights_->unsaved(wanted.user)) {
            if (unsaved->replaces(tokens)) unsaved->put_into(tokens);
            (void)write_unsaved(fiber, wanted.user, unsaved);
        }
        const bool is_usable = !tokens.access_token.reveal().empty() && !wanted.is_refused(tokens.access_token);
        if (is_usable && wanted.is_for_client && is_fresh(tokens)) return std::move(tokens.access_token);
        fallback = Secret(is_usable && options_.now() < tokens.expires ? tokens.access_token.reveal() : std::string());
        fallback_expires = tokens.expires;
        if (!tokens.refusal.empty() && wanted.is_for_client) {
            if (!fallback.reveal().empty()) return Secret(fallback.reveal());
            return must_sign_in(wanted.user, tokens.refusal);
        }
        // It was made because the one before was refused, too: the upstream wants none of them.
        if (wanted.is_refused(tokens.access_token) && flights_->was_renewed_just_now(wanted.user, options_.clock()))
            return std::move(tokens.access_token);
        if (auto failure = flights_->why_not(wanted.user, options_.clock())) {
            if (!fallback.reveal().empty()) return Secret(fallback.reveal());
            return std::move(*failure);
        }
        if (auto flight = flights_->begin(wanted.user))
            outcome = start_refresh(fiber.context(), wanted.copy(), Secret(fallback.reveal()), std::move(flight));
        flights_->wait(fiber, wanted.user, deadline);
    } while (Clock::now() < deadline && !fiber.interrupted());
    if (outcome && *outcome) return std::move(**outcome);
    if (!fallback.reveal().empty() && options_.now() < fallback_expires) return fallback;
    return Error{Errc::temporary, "the access token is being refreshed", "waited for another login's refresh"};
}

// On a fiber of its own: what the provider gives must not be lost because a client has gone or has waited too long.
std::shared_ptr<TokenKeeper::Outcome> TokenKeeper::start_refresh(boost::asio::io_context& context, Wanted wanted,
                                                                 Secret fallback, std::shared_ptr<void> flight) {
    auto outcome = std::make_shared<Outcome>();
    const auto what = std::make_shared<std::pair<Wanted, Secret>>(std::move(wanted), std::move(fallback));
    auto body = [this, outcome, what, flight = std::move(flight)](Fiber& fiber) {
        const Fiber::Shield shield(fiber, farewell_limit);
        const Fiber::LimitScope limit(fiber, Clock::now() + refresh_limit);
        const Flights::Hurriable hurriable(*flights_, fiber);
        outcome->emplace(refresh(fiber, what->first, what->second));
    };
    const auto failed = [this, user = what->first.user](const std::exception& error) {
        log(LogLevel::error, "refresh_failed", {{"user", user}, {"error", error.what()}});
        flights_->failed(user, {Errc::temporary, "the access token could not be refreshed", error.what()}, {},
                         options_.clock());
    };
    // Not from within the caller's fiber.
    boost::asio::post(context, [&context, body = std::move(body), failed] {
        try {
            Fiber::start(context, body, failed);
        } catch (const std::exception& error) {
            failed(error);
        }
    });
    return outcome;
}

// Nobody else in this process refreshes this account now.
Result<Secret> TokenKeeper::refresh(Fiber& fiber, const Wanted& wanted, const Secret& fallback) {
    const auto deadline = std::min(Clock::now() + options_.patience, fiber.limit());
    auto claim = flights_->held_claim(wanted.user);
    while (!claim) {
        auto tried = store_.try_claim(fiber, "refresh/" + wanted.user);
        if (!tried) return tried.error();
        claim = std::move(*tried);
        if (claim) break;
        if (Clock::now() >= deadline)
            return Error{Errc::temporary, "the access token is being refreshed", "waited for another process"};
        fiber.sleep_until(Clock::now() + claim_pause);
    }
    // Whoever was here before may have done it all.
    auto stored = accounts_.tokens(fiber, wanted.user);
    if (!stored) return stored.error();
    if (!*stored) return must_sign_in(wanted.user, "the account was removed");
    auto& tokens = **stored;
    if (const auto unsaved = flights_->unsaved(wanted.user); unsaved && unsaved->replaces(tokens))
        unsaved->put_into(tokens);
    if (wanted.is_for_client && !wanted.is_refused(tokens.access_token) && !tokens.access_token.reveal().empty() &&
        is_fresh(tokens))
        return std::move(tokens.access_token);
    if (!tokens.refusal.empty() && wanted.is_for_client) return must_sign_in(wanted.user, tokens.refusal);
    if (tokens.refresh_token.reveal().empty()) return must_sign_in(wanted.user, "the provider gave no refresh token");
    return ask_provider(fiber, wanted, tokens, fallback, std::move(claim));
}

Result<Secret> TokenKeeper::ask_provider(Fiber& fiber, const Wanted& wanted, const AccountTokens& stored,
                                         const Secret& fallback, std::shared_ptr<Claim> claim) {
    auto answer = wanted.provider->refresh(fiber, stored.refresh_token);
    if (!answer) {
        const auto& refusal = answer.error();
        log(LogLevel::warning, "refresh_failed",
            {{"user", wanted.user}, {"oauth", stored.provider}, {"error", refusal.text}, {"detail", refusal.detail}});
        if (refusal.kind == oauth::Refusal::Kind::sign_in) {
            metrics::token_refreshes.add(metrics::Refresh::refused);
            const auto marked = keep_marked(fiber, wanted.user, stored, refusal);
            if (!marked) return marked.error();
            if (!*marked) return Error{Errc::temporary, "somebody has just signed in for this account", {}};
            if (!fallback.reveal().empty()) return Secret(fallback.reveal());
            return must_sign_in(wanted.user, refusal.detail);
        }
        count_failure(refusal);
        const auto error = to_error(refusal);
        flights_->failed(wanted.user, error, refusal.wait, options_.clock());
        if (!fallback.reveal().empty()) return Secret(fallback.reveal());
        return error;
    }
    metrics::token_refreshes.add(metrics::Refresh::done);
    flights_->succeeded(wanted.user);
    if (!wanted.refused.reveal().empty()) flights_->renewed(wanted.user, options_.clock());
    auto fresh = std::make_shared<Unsaved>();
    const auto& next = answer->refresh_token.reveal();
    // The store may have what comes before those that could not be written, or have taken them meanwhile.
    const auto unsaved = flights_->unsaved(wanted.user);
    const bool follows_unsaved = unsaved && unsaved->tokens.refresh_token.reveal() == stored.refresh_token.reveal();
    if (follows_unsaved)
        for (const auto& each : unsaved->replaced) fresh->replaced.emplace_back(each.reveal());
    fresh->replaced.emplace_back(stored.refresh_token.reveal());
    fresh->tokens.provider = stored.provider;
    fresh->tokens.refresh_token = Secret(next.empty() ? stored.refresh_token.reveal() : next);
    fresh->tokens.access_token = Secret(answer->access_token.reveal());
    fresh->tokens.refreshed = options_.now();
    fresh->tokens.expires = fresh->tokens.refreshed + answer->lifetime.count();
    fresh->tokens.scope = answer->scope.empty() ? stored.scope : answer->scope;
    // What cannot be written lives in memory until it can: the token that it replaces may be dead now.
    flights_->set_unsaved(wanted.user, fresh, std::move(claim));
    auto status = write_unsaved(fiber, wanted.user, fresh);
    // Who is to end will not come back to it.
    if (!status && flights_->is_hurried()) {
        fiber.sleep_until(Clock::now() + first_pause);
        status = write_unsaved(fiber, wanted.user, fresh);
    }
    if (!status)
        log(LogLevel::error, "tokens_not_saved",
            {{"user", wanted.user}, {"error", status.error().text}, {"detail", status.error().detail}});
    return std::move(answer->access_token);
}

Status TokenKeeper::write_unsaved(Fiber& fiber, const std::string& user, const std::shared_ptr<const Unsaved>& fresh) {
    auto status = accounts_.change_tokens(fiber, user, [&](AccountTokens& kept) {
        // Somebody has signed in, or removed the account, while the provider thought: that counts.
        if (!fresh->replaces(kept)) return false;
        fresh->put_into(kept);
        return true;
    });
    if (status) flights_->forget_unsaved(user, fresh);
    return status;
}

Result<bool> TokenKeeper::keep_marked(Fiber& fiber, const std::string& user, const AccountTokens& before,
                                      const oauth::Refusal& refusal) {
    bool is_meant = false;
    bool is_new = false;
    const auto unsaved = flights_->unsaved(user);
    auto status = accounts_.change_tokens(fiber, user, [&](AccountTokens& kept) {
        // Of another token than the one that is there now nothing was said.
        if (unsaved && unsaved->replaces(kept)) unsaved->put_into(kept);
        is_meant = kept.refresh_token.reveal() == before.refresh_token.reveal();
        if (!is_meant) return false;
        is_new = kept.refusal.empty();
        kept.refusal = refusal.detail.empty() ? refusal.text : refusal.detail;
        kept.refused = options_.now();
        return true;
    });
    if (!status) return status.error();
    if (unsaved) flights_->forget_unsaved(user, unsaved);
    if (!is_new) return is_meant;
    metrics::sign_ins_needed.add();
    log(LogLevel::error, "sign_in_needed", {{"user", user}, {"oauth", before.provider}, {"reason", refusal.detail}});
    if (!options_.sign_in_command.empty()) run_command(options_.sign_in_command, {user, refusal.detail});
    return true;
}

Result<Secret> TokenKeeper::get_applications(Fiber& fiber, const Wanted& wanted) {
    const auto key = wanted.key();
    const auto deadline = Clock::now() + options_.patience;
    do {
        auto kept = flights_->application_token(key);
        const auto now = options_.now();
        const bool is_usable = kept && !wanted.is_refused(kept->first) && now < kept->second;
        if (is_usable && now < kept->second - options_.margin.count()) return std::move(kept->first);
        if (auto failure = flights_->why_not(key, options_.clock())) {
            if (is_usable) return std::move(kept->first);
            return std::move(*failure);
        }
        const auto flight = flights_->begin(key);
        if (!flight) {
            flights_->wait(fiber, key, deadline);
            continue;
        }
        const Fiber::LimitScope limit(fiber, Clock::now() + refresh_limit);
        auto answer = wanted.provider->for_application(fiber, wanted.user);
        if (!answer) {
            const auto& refusal = answer.error();
            count_failure(refusal);
            log(LogLevel::warning, "refresh_failed",
                {{"user", wanted.user},
                 {"oauth", wanted.provider->settings().name},
                 {"error", refusal.text},
                 {"detail", refusal.detail}});
            const auto error = to_error(refusal);
            flights_->failed(key, error, refusal.wait, options_.clock());
            if (is_usable) return std::move(kept->first);
            return error;
        }
        metrics::token_refreshes.add(metrics::Refresh::done);
        flights_->succeeded(key);
        flights_->set_application_token(key, answer->access_token, options_.now() + answer->lifetime.count());
        // One that was refused as soon as it came is not asked for again and again.
        if (!wanted.refused.reveal().empty())
            flights_->failed(key, {Errc::temporary, "the mail server does not take popgate's token", {}}, 60s,
                             options_.clock());
        return std::move(answer->access_token);
    } while (Clock::now() < deadline && !fiber.interrupted());
    return Error{Errc::temporary, "the access token is being refreshed", "waited for another login's refresh"};
}

void TokenKeeper::save_unsaved(Fiber& fiber) {
    for (const auto& [user, tokens] : flights_->all_unsaved()) {
        if (fiber.interrupted()) return;
        (void)write_unsaved(fiber, user, tokens);
    }
}

void TokenKeeper::hurry() { flights_->hurry(); }

void TokenKeeper::refresh_idle(
    Fiber& fiber, const std::function<std::shared_ptr<const oauth::Provider>(const std::string& user)>& provider_of) {
    const auto users = accounts_.users(fiber);
    if (!users) return log(LogLevel::warning, "refresh_idle_failed", {{"error", users.error().text}});
    for (const auto& user : *users) {
        if (fiber.interrupted()) return;
        const auto provider = provider_of(user);
        if (!provider || !is_own(*provider)) continue;
        const auto stored = accounts_.tokens(fiber, user);  // what cannot be read has been logged
        if (!stored || !*stored || (*stored)->provider != provider->settings().name) continue;
        const auto& tokens = **stored;
        const auto now = options_.now();
        const auto idle = std::chrono::duration_cast<std::chrono::seconds>(options_.idle_limit).count();
        const bool is_due =
            tokens.refusal.empty() ? now - tokens.refreshed >= idle : now - tokens.refused >= refused_pause;
        if (!is_due) continue;
        (void)get_own(fiber, {user, provider, {}, false});
    }
}

}  // namespace popgate
