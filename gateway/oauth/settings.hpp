#pragma once

#include <chrono>
#include <string>

namespace popgate::oauth {

/// How popgate comes to a token.
enum class Grant {
    account,  ///< each account's own: a person signs in once, then it is refreshed (RFC 6749 §4.1 and §6, RFC 8628)
    client_credentials,  ///< popgate's own, for any account (RFC 6749 §4.4)
    service_account      ///< a Google service account that acts for the account (RFC 7523 §2.1)
};

/// What an [[oauth]] says of a provider.
struct Settings {
    std::string name;      ///< what a route's `oauth` says
    std::string provider;  ///< "google" or "microsoft" for what is known of them; empty: what follows says it
    std::string issuer;    ///< URL of an OpenID Connect provider; its discovery document says the addresses
    std::string authorization_url;
    std::string token_url;
    std::string device_url;
    std::string tenant;  ///< microsoft only; empty: "common"
    Grant grant = Grant::account;
    std::string client_id;
    std::string client_secret;
    std::string
        client_secret_file;  ///< instead of it; "credential:NAME" is $CREDENTIALS_DIRECTORY/NAME, here and below
    std::string client_certificate;    ///< PEM; instead of a secret: it signs assertions (RFC 7523 §2.2)
    std::string client_key;            ///< PEM, its key
    std::string service_account_file;  ///< JSON, as Google gives it
    std::string scopes;                ///< separated by spaces; empty: what the provider wants for the route's backend
    std::string ca_file;               ///< trusted instead of the system's authorities
    std::string http_proxy;
    std::chrono::milliseconds timeout{30'000};  ///< of the provider's silence

    bool operator==(const Settings&) const = default;
};

}  // namespace popgate::oauth
