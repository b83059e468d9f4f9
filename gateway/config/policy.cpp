#include "gateway/accounts/secret_file.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/pattern.hpp"

#include <algorithm>
#include <utility>

namespace popgate {

std::vector<CertificateFiles> certificate_files(const Config& config) {
    std::vector<CertificateFiles> files;
    if (!config.tls.certificate.empty() && !config.tls.key.empty())
        files.push_back({.certificate = config.tls.certificate, .key = config.tls.key});
    files.insert(files.end(), config.certificates.begin(), config.certificates.end());
    for (auto& each : files)
        if (auto path = secret_path(each.key); !path.empty()) each.key = std::move(path);
    return files;
}

MaildropPolicy policy_for(const RouteConfig& route, const std::vector<AccountConfig>& accounts, std::string_view user) {
    MaildropPolicy policy = route.policy;
    const auto account =
        std::ranges::find_if(accounts, [&](const AccountConfig& each) { return matches_pattern(each.user, user); });
    if (account == accounts.end()) return policy;
    if (account->expire_after) policy.expire_after = account->expire_after;
    if (policy.expire_after == std::chrono::milliseconds::zero()) policy.expire_after.reset();
    policy.on_delete = account->on_delete.value_or(policy.on_delete);
    policy.delete_only_if_retrieved = account->delete_only_if_retrieved.value_or(policy.delete_only_if_retrieved);
    policy.view = account->view.value_or(policy.view);
    policy.order = account->order.value_or(policy.order);
    return policy;
}

}  // namespace popgate
