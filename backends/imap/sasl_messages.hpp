#pragma once

#include "gateway/accounts/secret.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace popgate::imap {

/// What SASL PLAIN sends (RFC 4616 §2), in base64.
Secret plain_message(const std::string& authorization, const std::string& user, const Secret& password);

/// What OAUTHBEARER (RFC 7628), or else XOAUTH2, sends to carry a token, in base64.
Secret token_message(bool is_oauthbearer, const std::string& user, const Secret& token, const std::string& host,
                     const std::string& port);

/// Of base64, as far as it is that, printable: what a server says of a token that it refuses.
std::string decoded_challenge(std::string text);

/// Adds what base64 shows of a secret wherever it begins in what is encoded: three forms, without the ends that depend
/// on its neighbours.
void add_base64_forms(const Secret& secret, std::vector<Secret>& forms);

/// Some servers repeat the line that they did not like, and what they say ends in a reply and in a log. So their text
/// is searched for any few octets of the secret in a row, in each form in which it may have been `sent`.
bool gives_away(std::string_view text, const std::vector<Secret>& sent);

}  // namespace popgate::imap
