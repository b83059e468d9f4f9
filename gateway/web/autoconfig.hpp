#pragma once

#include "gateway/web/http.hpp"
#include "gateway/web/mail_settings.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::web {

/// Mail domains for whose addresses settings are told: "example.com example.org", or "*" for any.
class ServedDomains {
public:
    explicit ServedDomains(std::string_view domains);
    /// The domain of an address, in lower case; nothing where it is no address or none of ours.
    std::optional<std::string> of_address(std::string_view address) const;
    std::optional<std::string> find(std::string_view domain) const;

private:
    std::vector<std::string> domains_;
    bool any_ = false;
};

// Pure. Incoming mail alone: outgoing mail is not this server's. Ports in clear are never told.

/// Mozilla's clientConfig 1.1 for mail programs of a domain.
std::string autoconfig_xml(const MailSettings& settings, std::string_view domain);

/// Outlook's settings for an address (POX, MS-OXDSCLI, responseschema/2006a).
std::string autodiscover_xml(const MailSettings& settings, std::string_view address);
/// Its error answer, MS-OXDSCLI §2.2.4.1.1.2: 600 invalid request, 601 schema not provided, 500 no such user.
std::string autodiscover_error_xml(unsigned code, std::string_view message);

/// Answers what mail programs ask for by itself; nothing for another path. `url`: of these pages.
std::optional<Response> answer_mail_program(const Request& request, const MailSettings& settings,
                                            const ServedDomains& domains, const std::string& url);

}  // namespace popgate::web
