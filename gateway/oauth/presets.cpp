#include "gateway/oauth/presets.hpp"

#include <algorithm>
#include <initializer_list>
#include <sstream>

namespace popgate::oauth {

namespace {

constexpr std::string_view google_mail = "https://mail.google.com/";

bool is_imap(std::string_view kind) { return kind == "imap" || kind == "imaps"; }

bool is_openid(const Settings& settings) { return !settings.provider.empty() || !settings.issuer.empty(); }

std::string microsoft(const Settings& settings, std::string_view path) {
    return "https://login.microsoftonline.com/" + (settings.tenant.empty() ? "common" : settings.tenant) +
           std::string(path);
}

}  // namespace

std::optional<Endpoints> known_endpoints(const Settings& settings) {
    Endpoints known;
    if (settings.provider == "google") {
        known.issuer = "https://accounts.google.com";
        known.authorization = "https://accounts.google.com/o/oauth2/v2/auth";
        known.token = "https://oauth2.googleapis.com/token";
        known.userinfo = "https://openidconnect.googleapis.com/v1/userinfo";
        // Its device flow has no scope for mail.
    } else if (settings.provider == "microsoft") {
        known.issuer = "https://login.microsoftonline.com/{tenantid}/v2.0";
        known.authorization = microsoft(settings, "/oauth2/v2.0/authorize");
        known.token = microsoft(settings, "/oauth2/v2.0/token");
        known.device = microsoft(settings, "/oauth2/v2.0/devicecode");
        // A token for a mailbox opens no userinfo: the ID token says who it is.
    } else if (!settings.issuer.empty()) {
        return std::nullopt;
    }
    // What the settings say goes before what is known.
    if (!settings.authorization_url.empty()) known.authorization = settings.authorization_url;
    if (!settings.token_url.empty()) known.token = settings.token_url;
    if (!settings.device_url.empty()) known.device = settings.device_url;
    return known;
}

std::string scopes_for(const Settings& settings, std::string_view backend_kind) {
    if (!settings.scopes.empty()) return settings.scopes;
    const bool is_application = settings.grant == Grant::client_credentials;
    if (settings.provider == "google" && (is_imap(backend_kind) || backend_kind == "gmail"))
        return std::string(google_mail);
    if (settings.provider != "microsoft") return {};
    if (is_imap(backend_kind))
        return is_application ? "https://outlook.office365.com/.default"
                              : "https://outlook.office.com/IMAP.AccessAsUser.All offline_access";
    if (backend_kind == "graph")
        return is_application ? "https://graph.microsoft.com/.default"
                              : "https://graph.microsoft.com/Mail.ReadWrite offline_access";
    return {};
}

std::string sign_in_scopes(const Settings& settings, const std::string& scopes) {
    if (!is_openid(settings)) return scopes;
    std::istringstream words(scopes);
    std::vector<std::string> all;
    for (std::string word; words >> word;) all.push_back(word);
    const auto add = [&](const char* scope) {
        if (std::ranges::find(all, scope) == all.end()) all.emplace_back(scope);
    };
    add("openid");
    add("email");
    if (settings.provider == "microsoft") add("profile");  // preferred_username
    if (settings.provider.empty()) add("offline_access");  // OpenID Connect Core §11
    std::string joined;
    for (const auto& scope : all) joined += (joined.empty() ? "" : " ") + scope;
    return joined;
}

std::string display_name(const Settings& settings) {
    if (settings.provider == "google") return "Google";
    if (settings.provider == "microsoft") return "Microsoft";
    return settings.name;
}

std::vector<Problem> check(const Settings& settings) {
    std::vector<Problem> problems;
    const auto add = [&](std::string key, std::string text) { problems.push_back({std::move(key), std::move(text)}); };
    const bool is_google = settings.provider == "google";
    const bool is_microsoft = settings.provider == "microsoft";
    if (settings.name.empty()) add("name", "is missing: routes say it as their oauth");
    if (!settings.provider.empty() && !is_google && !is_microsoft)
        add("provider",
            '"' + settings.provider + R"(" is neither "google" nor "microsoft"; another one goes by its issuer)");
    if (!settings.provider.empty() && !settings.issuer.empty()) add("issuer", "goes without provider");
    if (settings.provider.empty() && settings.issuer.empty() && settings.token_url.empty())
        add("provider", R"(is missing: "google", "microsoft", or instead an issuer, or a token_url)");
    for (const auto& [key, url] :
         {std::pair{"issuer", &settings.issuer}, std::pair{"authorization_url", &settings.authorization_url},
          std::pair{"token_url", &settings.token_url}, std::pair{"device_url", &settings.device_url}})
        if (!url->empty() && !is_safe_url(*url)) add(key, '"' + *url + "\" is no https: URL");
    if (!settings.tenant.empty() && !is_microsoft) add("tenant", "goes with provider = \"microsoft\" only");
    if (settings.tenant == "." || settings.tenant == ".." || !std::ranges::all_of(settings.tenant, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        }))
        add("tenant", '"' + settings.tenant + "\" is neither an id nor a domain");

    const bool has_secret = !settings.client_secret.empty() || !settings.client_secret_file.empty();
    if (!settings.client_secret.empty() && !settings.client_secret_file.empty())
        add("client_secret_file", "goes without client_secret");
    if (settings.client_certificate.empty() != settings.client_key.empty())
        add(settings.client_key.empty() ? "client_key" : "client_certificate",
            "is missing: certificate and key go together");
    const bool is_service_account = settings.grant == Grant::service_account;
    if (is_service_account) {
        if (settings.service_account_file.empty()) add("service_account_file", "is missing");
        if (!is_google && settings.token_url.empty()) add("grant", "\"service-account\" is Google's");
        return problems;
    }
    if (!settings.service_account_file.empty())
        add("service_account_file", "goes with grant = \"service-account\" only");
    if (settings.client_id.empty())
        add("client_id", "is missing: the provider gives one when popgate is registered there");
    if (settings.grant != Grant::client_credentials) return problems;
    if (is_google) add("grant", "\"client-credentials\" is not known to Google; \"service-account\" is");
    const bool names_no_directory = settings.tenant.empty() || settings.tenant == "common" ||
                                    settings.tenant == "organizations" || settings.tenant == "consumers";
    if (is_microsoft && names_no_directory)
        add("tenant", "is missing: an application's own token is for one directory");
    if (!has_secret && settings.client_certificate.empty())
        add("client_secret_file", "is missing: an application proves itself with a secret or a certificate");
    return problems;
}

}  // namespace popgate::oauth
