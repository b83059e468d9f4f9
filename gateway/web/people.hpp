#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/account_store.hpp"
#include "gateway/accounts/secret.hpp"
#include "gateway/oauth/provider.hpp"
#include "gateway/web/pages.hpp"

#include <memory>
#include <string>
#include <vector>

namespace popgate {
class Fiber;
}

namespace popgate::web {

/// What the pages do with accounts. Calls suspend; Errc::temporary and Errc::permanent as everywhere.
class People {
public:
    virtual ~People() = default;

    /// Providers that lead to some route's app passwords.
    virtual std::vector<ProviderChoice> choices() const = 0;
    /// Null where `name` is none of them.
    virtual std::shared_ptr<const oauth::Provider> provider(const std::string& name) const = 0;

    /// What became of somebody who has signed in.
    struct Welcome {
        enum class Outcome {
            admitted,      ///< tokens are kept; `user` is the account
            no_mailbox,    ///< no route with app passwords and this provider
            other_person,  ///< somebody else signed in for this account before
            refused,       ///< the mail server does not open the account's mailbox with these tokens
            other_scopes,  ///< the account's route wants a token of `provider`: the person must go there once more
        };
        Outcome outcome = Outcome::admitted;
        std::string user{};
        std::shared_ptr<const oauth::Provider> provider{};
    };
    /// Keeps the tokens where all is well, and nothing otherwise.
    virtual Result<Welcome> welcome(Fiber& fiber, const std::string& provider_name,
                                    const std::shared_ptr<const oauth::Provider>& provider,
                                    const oauth::Identity& identity, oauth::Tokens tokens) = 0;

    virtual Result<std::vector<AppPassword>> devices(Fiber& fiber, const std::string& user) = 0;
    /// The password, to be shown; empty where the account has as many devices as it may.
    virtual Result<Secret> add_device(Fiber& fiber, const std::string& user, const std::string& label) = 0;
    /// One, or all where `id` is empty.
    virtual Status revoke(Fiber& fiber, const std::string& user, const std::string& id) = 0;
};

}  // namespace popgate::web
