#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace popgate {

class Fiber;
class StateStore;
class Vault;

// Times are seconds since 1970; 0: never.

/// A password that popgate made for one of a person's programs. Only its digest is kept.
struct AppPassword {
    std::string id;     ///< 8 characters, for commands and pages
    std::string label;  ///< what the person calls the device; UTF-8
    std::string salt;
    std::string digest;  ///< SHA-256 over salt and password: the password is random, and long enough for that
    std::int64_t created = 0;
    std::int64_t last_used = 0;  ///< to the hour
    std::string last_address{};
};

/// What is kept of an account beside its mailbox and its tokens. Move-only, as secrets are.
struct Account {
    std::int64_t created = 0;
    std::string upstream_user;  ///< its name at the upstream; empty: as the route says
    Secret upstream_password;   ///< for upstream_auth = "stored"
    Secret shared_secret;       ///< for APOP and CRAM-MD5, which need it in clear
    /// Who signed in first; nobody else may later (OpenID Connect's iss and sub).
    std::string issuer;
    std::string subject;
    std::vector<AppPassword> app_passwords;
};

/// An account's tokens of one [[oauth]].
struct AccountTokens {
    std::string provider;  ///< Settings::name
    Secret refresh_token;
    Secret access_token;
    std::int64_t expires = 0;    ///< of the access token
    std::int64_t refreshed = 0;  ///< when a refresh, or the sign-in, last succeeded
    std::string scope;
    /// Why a person must sign in again; empty: nobody must. The refresh token is kept all the same.
    std::string refusal;
    std::int64_t refused = 0;
};

/// The accounts of a state store, sealed record by record: what is wrong with one harms no other. Shared by all
/// sessions and threads; calls suspend. Users go by their name after the name rules.
///
/// Errc::permanent: the record cannot be opened (a wrong key, damage); the detail names the account and what.
class AccountStore {
public:
    AccountStore(StateStore& store, Vault& vault) : store_(store), vault_(vault) {}

    /// Nothing where there is no such account.
    Result<std::optional<Account>> account(Fiber& fiber, const std::string& user) const;
    Result<std::optional<AccountTokens>> tokens(Fiber& fiber, const std::string& user) const;

    /// Reads, lets `change` work on it (on an empty one where there is none), and writes it, durably, before it
    /// returns; again from the start where somebody else was faster. False of `change`: nothing is written.
    Status change_account(Fiber& fiber, const std::string& user, const std::function<bool(Account&)>& change);
    Status change_tokens(Fiber& fiber, const std::string& user, const std::function<bool(AccountTokens&)>& change);

    /// False: there was none.
    Result<bool> remove(Fiber& fiber, const std::string& user);

    /// All that have an account or tokens, sorted.
    Result<std::vector<std::string>> users(Fiber& fiber) const;

    /// Seals every record with the vault's first key. The error names the accounts that could not be read; the others
    /// are done.
    Result<std::size_t> seal_anew(Fiber& fiber);

private:
    StateStore& store_;
    Vault& vault_;
};

/// The kinds of records that it keeps in a state store.
const std::vector<std::string>& record_kinds();

/// A fresh app password, as "abcd-efgh-ijkm-npqr" (without letters that look alike), and what is kept of it.
struct NewAppPassword {
    Secret password;
    AppPassword kept;
};
NewAppPassword make_app_password(std::string label, std::int64_t now);

/// The one of `account` that this is, null when none. Takes as long for a null account and for any password; hyphens,
/// spaces and case do not count, as people type it from a page.
const AppPassword* find_app_password(const Account* account, const Secret& password);

}  // namespace popgate
