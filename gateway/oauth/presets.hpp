#pragma once

#include "gateway/oauth/settings.hpp"
#include "gateway/oauth/wire.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::oauth {

/// The endpoints of "google" and "microsoft", and of settings that say them all; nothing where a discovery document
/// must be asked.
std::optional<Endpoints> known_endpoints(const Settings& settings);

/// What to ask for, so that tokens open mailboxes of this kind of backend ("imap", "imaps", "gmail", "graph", …): the
/// settings' own scopes, or what the provider is known to want; empty where nobody knows.
std::string scopes_for(const Settings& settings, std::string_view backend_kind);

/// The same for a sign-in, which wants to know who comes.
std::string sign_in_scopes(const Settings& settings, const std::string& scopes);

/// What a person is told: "Google", "Microsoft", or the settings' name.
std::string display_name(const Settings& settings);

/// One thing wrong with settings: which key, and what.
struct Problem {
    std::string key;
    std::string text;
};
/// What can be seen without looking into files.
std::vector<Problem> check(const Settings& settings);

}  // namespace popgate::oauth
