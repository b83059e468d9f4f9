#include "backends/imap/sasl_messages.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace popgate::imap {

namespace {

constexpr std::size_t few_octets = 6;  // of a secret in a row, by which it is known again

std::string base64(const std::string& plain) {
    std::string encoded(4 * ((plain.size() + 2) / 3) + 1, '\0');
    const int length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                        reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
    encoded.resize(static_cast<std::size_t>(length));
    return encoded;
}

/// A name in a GS2 header (RFC 5801 §4).
std::string gs2_name(const std::string& name) {
    std::string out;
    for (const char c : name) {
        if (c == ',')
            out += "=2C";
        else if (c == '=')
            out += "=3D";
        else
            out += c;
    }
    return out;
}

}  // namespace

Secret plain_message(const std::string& authorization, const std::string& user, const Secret& password) {
    std::string message = authorization + std::string(1, '\0') + user + std::string(1, '\0') + password.reveal();
    std::string encoded = base64(message);
    Secret secret(encoded);
    Secret::wipe(message);
    Secret::wipe(encoded);
    return secret;
}

void add_base64_forms(const Secret& secret, std::vector<Secret>& forms) {
    for (std::size_t before = 0; before < 3; ++before) {
        std::string shifted(before, '\0');
        shifted += secret.reveal();
        std::string encoded = base64(shifted);
        Secret::wipe(shifted);
        if (encoded.ends_with('=')) encoded.resize(encoded.size() - 4);
        if (before > 0) encoded.erase(0, 4);
        if (encoded.size() >= few_octets) forms.emplace_back(encoded);
        Secret::wipe(encoded);
    }
}

Secret token_message(bool is_oauthbearer, const std::string& user, const Secret& token, const std::string& host,
                     const std::string& port) {
    std::string message = is_oauthbearer ? "n,a=" + gs2_name(user) + ",\x01host=" + host + "\x01port=" + port + "\x01"
                                         : "user=" + user + "\x01";
    message += "auth=Bearer " + token.reveal() + "\x01\x01";
    std::string encoded = base64(message);
    Secret secret(encoded);
    Secret::wipe(message);
    Secret::wipe(encoded);
    return secret;
}

std::string decoded_challenge(std::string text) {
    while (text.size() % 4 != 0) text += '=';
    std::string decoded(text.size() / 4 * 3, '\0');
    const int length =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    decoded.resize(static_cast<std::size_t>(std::max(length, 0)));
    std::erase_if(decoded, [](unsigned char c) { return c < 0x20 || c >= 0x7F; });
    return decoded;
}

bool gives_away(std::string_view text, const std::vector<Secret>& sent) {
    return std::ranges::any_of(sent, [&](const Secret& form) {
        const auto window = std::min(few_octets, form.reveal().size());
        for (std::size_t i = 0; i + window <= form.reveal().size(); ++i)
            if (text.find(std::string_view(form.reveal()).substr(i, window)) != std::string_view::npos) return true;
        return false;
    });
}

}  // namespace popgate::imap
