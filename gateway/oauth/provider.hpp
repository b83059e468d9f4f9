#pragma once

#include "gateway/net/fiber.hpp"
#include "gateway/oauth/settings.hpp"
#include "gateway/oauth/tokens.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace popgate::oauth {

/// A sign-in on another device (RFC 8628 §3.2).
struct DeviceCode {
    Secret device_code;
    std::string user_code;
    std::string verification_url;           ///< where the person types the code in
    std::string complete_verification_url;  ///< with the code in it; empty: not offered
    std::chrono::seconds lifetime{900};
    std::chrono::seconds interval{5};  ///< between two polls
};

/// What a sign-in in a browser begins with, and what is needed when it comes back.
struct AuthorizationRequest {
    std::string url;
    std::string state;
    std::string nonce;
    Secret verifier;  ///< PKCE (RFC 7636)
    std::string redirect_uri;
};

/// One [[oauth]], for one kind of backend: builds the requests, asks the provider, reads its answers. Shared by all
/// sessions and threads; what the discovery document says is kept for a while, for each process. Calls suspend.
class Provider {
public:
    /// `backend_url` decides which scopes are asked for where the settings name none. Reads the secret's, key's and CA
    /// files, so it blocks; before any fiber runs. The error's text says what is wrong with which key.
    static Result<std::shared_ptr<const Provider>> make(const Settings& settings, std::string_view backend_url,
                                                        std::function<Deadline()> clock = Clock::now);
    virtual ~Provider() = default;

    virtual const Settings& settings() const = 0;
    /// What is asked for, separated by spaces; without those that only sign-ins want (openid, email).
    virtual const std::string& scopes() const = 0;

    /// Another access token for the same person (RFC 6749 §6).
    virtual Answer<Tokens> refresh(Fiber& fiber, const Secret& refresh_token) const = 0;
    /// By Grant::client_credentials or Grant::service_account: for this account, which only the latter names.
    virtual Answer<Tokens> for_application(Fiber& fiber, const std::string& user) const = 0;

    /// False where the provider has no device flow, or none for mail (Google).
    virtual Answer<bool> offers_device_flow(Fiber& fiber) const = 0;
    virtual Answer<DeviceCode> begin_device_flow(Fiber& fiber) const = 0;
    /// One poll. Refusal::Kind::pending: wait for the interval (5 s longer after slow_down), and poll again.
    virtual Answer<Tokens> poll_device_flow(Fiber& fiber, const DeviceCode& code) const = 0;

    /// With a state, nonce and verifier of its own. `login_hint`: whom the provider should offer; may be empty.
    virtual Answer<AuthorizationRequest> begin_browser_flow(Fiber& fiber, const std::string& redirect_uri,
                                                            const std::string& login_hint) const = 0;
    /// With the code that came back, after the caller has compared the state and, where there is one, the `iss`
    /// parameter (RFC 9207) with the issuer. The identity's nonce was compared here.
    virtual Answer<Tokens> finish_browser_flow(Fiber& fiber, const AuthorizationRequest& request,
                                               const std::string& code) const = 0;

    /// Who has this token, where no ID token came along: by the userinfo endpoint (OpenID Connect Core §5.3).
    virtual Answer<Identity> identify(Fiber& fiber, const Secret& access_token) const = 0;
    /// The issuer that sign-ins come from; empty where it is not known.
    virtual Answer<std::string> issuer(Fiber& fiber) const = 0;
};

}  // namespace popgate::oauth
