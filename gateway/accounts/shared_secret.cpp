#include "gateway/accounts/shared_secret.hpp"

#include "backends/ascii.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <string>

namespace popgate {

bool proves(const Proof& proof, const Secret& shared_secret) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    const auto& secret = shared_secret.reveal();
    bool is_made = false;
    if (proof.method == Proof::Method::apop) {
        auto text = proof.challenge + secret;
        is_made = EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_md5(), nullptr) == 1;
        Secret::wipe(text);
    } else {
        is_made = HMAC(EVP_md5(), secret.data(), static_cast<int>(secret.size()),
                       reinterpret_cast<const unsigned char*>(proof.challenge.data()), proof.challenge.size(),
                       digest.data(), &length) != nullptr;
    }
    static constexpr char digits[] = "0123456789abcdef";
    std::string expected;
    for (unsigned i = 0; i < length; ++i) expected += {digits[digest[i] >> 4], digits[digest[i] & 15]};
    std::string given = proof.secret.reveal();
    std::ranges::transform(given, given.begin(), lower);
    const bool is_equal =
        is_made && given.size() == expected.size() && CRYPTO_memcmp(given.data(), expected.data(), given.size()) == 0;
    return is_equal && !secret.empty();
}

}  // namespace popgate
