#pragma once

#include "gateway/accounts/account_store.hpp"
#include "gateway/web/http.hpp"
#include "gateway/web/mail_settings.hpp"
#include "gateway/web/texts.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace popgate::web {

/// What every page has around it.
struct Frame {
    Language language = Language::english;
    std::string service_name;
    std::string user{};        ///< who is signed in; empty: nobody
    std::string form_token{};  ///< for the forms of the page
    std::string path = "/";    ///< of the page, for the link to the other language; empty: no such link
    bool https = true;
};

/// A provider that people can sign in with.
struct ProviderChoice {
    std::string name;   ///< as the form sends it
    std::string title;  ///< as people know it
};

// Pure: every value is escaped, whoever it came from.

Response sign_in_page(const Frame& frame, const std::vector<ProviderChoice>& providers);
Response devices_page(const Frame& frame, const std::vector<AppPassword>& devices, const MailSettings& settings);
Response revoke_all_page(const Frame& frame);
/// The only page with a secret in it. Its body is wiped by nobody: it goes to the person.
Response new_password_page(const Frame& frame, std::string_view label, std::string_view password,
                           const MailSettings& settings);
Response password_gone_page(const Frame& frame);
/// `value` goes into the text; `said`: the provider's own words, may be empty.
Response message_page(const Frame& frame, unsigned status, Text title, Text explanation, std::string_view value = {},
                      std::string_view said = {});
Response style_sheet(bool https);

/// 303, so that a reload does not send a form again.
Response see_other(std::string url, bool https);

}  // namespace popgate::web
