#pragma once

#include "gateway/accounts/account_store.hpp"
#include "gateway/accounts/authenticator.hpp"
#include "gateway/accounts/router.hpp"
#include "gateway/accounts/token_keeper.hpp"
#include "gateway/accounts/vault.hpp"
#include "gateway/config/config.hpp"

#include <memory>

namespace popgate {

class StateStore;

/// What stays of accounts and their logins while a process lives, whatever becomes of its configuration.
struct AccountKeeping {
    Vault vault;
    AccountStore store;
    TokenKeeper tokens;
    LoginHistory logins;

    AccountKeeping(const Config& config, StateStore& state);
};

/// All that knows who may open which mailbox, put together from a configuration: what a server and the administrator's
/// commands share. Members go in the order in which they need each other.
struct Accounts {
    const Config& config;
    std::shared_ptr<AccountKeeping> keeping;
    Router router;
    Vault& vault;
    AccountStore& store;
    TokenKeeper& tokens;
    Authenticator authenticator;

    /// `config` and `state` outlive it. Reads files, so it blocks. `before`: those of another configuration of the same
    /// process, whose keeping stays, and whose upstreams too where they are the same.
    static Result<std::unique_ptr<Accounts>> make(const Config& config, StateStore& state,
                                                  const Accounts* before = nullptr);

    Accounts(const Config& of, std::shared_ptr<AccountKeeping> kept, Router made);
};

/// Where the vault's keys are: as the configuration says, else beside the store's file.
std::string key_file_of(const Config& config);

}  // namespace popgate
