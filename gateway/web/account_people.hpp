#pragma once

#include "gateway/accounts/accounts.hpp"
#include "gateway/web/people.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace popgate::web {

/// Those of the configuration that holds now.
using CurrentAccounts = std::function<std::shared_ptr<Accounts>()>;

/// People as the server's accounts have them.
class AccountPeople : public People {
public:
    explicit AccountPeople(CurrentAccounts current) : current_(std::move(current)) {}

    std::vector<ProviderChoice> choices() const override;
    std::shared_ptr<const oauth::Provider> provider(const std::string& name) const override;
    Result<Welcome> welcome(Fiber& fiber, const std::string& provider_name,
                            const std::shared_ptr<const oauth::Provider>& provider, const oauth::Identity& identity,
                            oauth::Tokens tokens) override;
    Result<std::vector<AppPassword>> devices(Fiber& fiber, const std::string& user) override;
    Result<Secret> add_device(Fiber& fiber, const std::string& user, const std::string& label) override;
    Status revoke(Fiber& fiber, const std::string& user, const std::string& id) override;

private:
    CurrentAccounts current_;
};

}  // namespace popgate::web
