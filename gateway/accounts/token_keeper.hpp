#pragma once

#include "backends/upstream_login.hpp"
#include "gateway/accounts/account_store.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/oauth/provider.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace popgate {

class Claim;
class StateStore;

/// Keeps accounts' OAuth2 tokens fresh. One refresh at a time for an account, in all processes that share the store;
/// whoever else wants the token meanwhile waits for it. The new refresh token is durable before it is used and before
/// the old one goes.
///
/// A token is given up only when the provider says that a person must sign in (Refusal::Kind::sign_in): it is kept even
/// then, marked, and not tried again by clients until a sign-in replaces it. After any other failure it is tried again
/// later, with growing pauses; an access token that is still good serves meanwhile. The store is asked each time, as
/// another process may have refreshed, replaced or removed what is there. Shared by all sessions and threads; a refresh
/// runs on a fiber of its own in the context of who asked first, which must have ended before the keeper does.
class TokenKeeper {
public:
    struct Options {
        std::function<std::int64_t()> now;             ///< seconds since 1970
        std::function<Deadline()> clock = Clock::now;  ///< for pauses
        std::string sign_in_at;                        ///< what a client is told: a URL; empty: whom to ask
        /// Is run with user and reason when a person must act; empty: none.
        std::string sign_in_command;
        std::chrono::seconds margin{60};             ///< before its end an access token counts as expired
        std::chrono::hours idle_limit{24 * 7};       ///< see refresh_idle()
        std::chrono::milliseconds patience{20'000};  ///< how long a login waits for somebody else's refresh
    };

    TokenKeeper(StateStore& store, AccountStore& accounts, Options options);
    ~TokenKeeper();

    /// The tokens of `user`: his own by Grant::account, else the application's for him, which is kept in memory alone.
    std::shared_ptr<TokenSource> source(const std::string& user, std::shared_ptr<const oauth::Provider> provider);

    /// After a sign-in: replaces what was there. Suspends; durable when it returns.
    Status keep(Fiber& fiber, const std::string& user, const oauth::Provider& provider, const oauth::Tokens& tokens);

    /// Writes what could not be written when the provider gave it. Suspends. To be called now and then.
    void save_unsaved(Fiber& fiber);
    /// The process is to end: refreshes under way, and those to come, get some seconds and no more. Any thread.
    void hurry();

    /// Refreshes accounts whose refresh token was not used for Options::idle_limit, before it dies of disuse
    /// (Microsoft: 90 days, Google: 6 months), and once a day those that were refused, in case the provider was wrong.
    /// `provider_of` gives null for who has no route any more. Suspends, for long.
    void refresh_idle(
        Fiber& fiber,
        const std::function<std::shared_ptr<const oauth::Provider>(const std::string& user)>& provider_of);

private:
    class Source;
    class Flights;
    struct Wanted;
    struct Unsaved;
    using Outcome = std::optional<Result<Secret>>;  // nothing: not yet

    Result<Secret> get(Fiber& fiber, const Wanted& wanted);
    Result<Secret> get_own(Fiber& fiber, const Wanted& wanted);
    std::shared_ptr<Outcome> start_refresh(boost::asio::io_context& context, Wanted wanted, Secret fallback,
                                           std::shared_ptr<void> flight);
    Result<Secret> refresh(Fiber& fiber, const Wanted& wanted, const Secret& fallback);
    Result<Secret> ask_provider(Fiber& fiber, const Wanted& wanted, const AccountTokens& stored, const Secret& fallback,
                                std::shared_ptr<Claim> claim);
    Status write_unsaved(Fiber& fiber, const std::string& user, const std::shared_ptr<const Unsaved>& fresh);
    bool is_fresh(const AccountTokens& tokens) const;
    Result<Secret> get_applications(Fiber& fiber, const Wanted& wanted);
    Error must_sign_in(const std::string& user, const std::string& why) const;
    /// False: the tokens that are there are not those that were refused.
    Result<bool> keep_marked(Fiber& fiber, const std::string& user, const AccountTokens& before,
                             const oauth::Refusal& refusal);

    StateStore& store_;
    AccountStore& accounts_;
    Options options_;
    std::unique_ptr<Flights> flights_;
};

}  // namespace popgate
