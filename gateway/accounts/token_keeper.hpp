#pragma once

#include "backends/upstream_login.hpp"
#include "gateway/accounts/account_store.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/oauth/provider.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace popgate {

/// Keeps accounts' OAuth2 tokens fresh. One refresh at a time for an account, in all processes that share the store;
/// whoever else wants the token meanwhile waits for it. The new refresh token is durable before it is used and before
/// the old one goes.
///
/// A token is given up only when the provider says that a person must sign in (Refusal::Kind::sign_in): it is kept even
/// then, marked, and not tried again until a sign-in replaces it. After any other failure it is tried again later, with
/// growing pauses; an access token that is still good serves meanwhile. Shared by all sessions and threads.
class TokenKeeper {
public:
    struct Options {
        std::function<std::int64_t()> now;  ///< seconds since 1970
        std::string sign_in_at;             ///< what a client is told: a URL, or a command
        std::string sign_in_command;        ///< is run with user and reason when a person must act; empty: none
        std::chrono::seconds margin{60};    ///< before its end an access token counts as expired
        std::chrono::hours idle_limit{
            24 * 7};  ///< a refresh token that was not used for so long is used, see refresh_idle()
        std::chrono::milliseconds patience{20'000};  ///< how long a login waits for a refresh
    };

    TokenKeeper(StateStore& store, AccountStore& accounts, Options options)
        : store_(store), accounts_(accounts), options_(std::move(options)) {}

    /// The tokens of `user`: his own by Grant::account, else the application's for him, which is kept in memory alone.
    std::shared_ptr<TokenSource> source(const std::string& user, std::shared_ptr<const oauth::Provider> provider);

    /// After a sign-in: replaces what was there. Suspends; durable when it returns.
    Status keep(Fiber& fiber, const std::string& user, const oauth::Provider& provider, const oauth::Tokens& tokens);

    /// Refreshes accounts whose refresh token would otherwise die of disuse (Microsoft: 90 days, Google: 6 months).
    /// `provider_of` gives null for who has no route any more. Suspends, for long.
    void refresh_idle(
        Fiber& fiber,
        const std::function<std::shared_ptr<const oauth::Provider>(const std::string& user)>& provider_of);

private:
    class Source;
    struct Flight;

    StateStore& store_;
    AccountStore& accounts_;
    Options options_;
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Flight>, std::less<>> flights_;
};

}  // namespace popgate
