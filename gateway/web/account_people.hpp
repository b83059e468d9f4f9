#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/web/people.hpp"

namespace popgate::web {

/// People as the server's accounts have them. `config` and `accounts` outlive it.
class AccountPeople : public People {
public:
    AccountPeople(const Config& config, Accounts& accounts) : config_(config), accounts_(accounts) {}

    std::vector<ProviderChoice> choices() const override;
    std::shared_ptr<const oauth::Provider> provider(const std::string& name) const override;
    Result<Welcome> welcome(Fiber& fiber, const std::string& provider_name,
                            const std::shared_ptr<const oauth::Provider>& provider, const oauth::Identity& identity,
                            oauth::Tokens tokens) override;
    Result<std::vector<AppPassword>> devices(Fiber& fiber, const std::string& user) override;
    Result<Secret> add_device(Fiber& fiber, const std::string& user, const std::string& label) override;
    Status revoke(Fiber& fiber, const std::string& user, const std::string& id) override;

private:
    const Config& config_;
    Accounts& accounts_;
};

}  // namespace popgate::web
