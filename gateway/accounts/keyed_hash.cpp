#include "gateway/accounts/keyed_hash.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <stdexcept>

namespace popgate {

std::string keyed_hash(const std::string& user, const Secret& secret) {
    static const auto key = [] {
        std::array<unsigned char, 32> random{};
        if (::RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) throw std::runtime_error("RAND_bytes");
        return random;
    }();
    auto text = user + std::string(1, '\0') + secret.reveal();
    std::string hash(EVP_MAX_MD_SIZE, '\0');
    unsigned length = 0;
    if (!::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                reinterpret_cast<unsigned char*>(hash.data()), &length))
        throw std::runtime_error("HMAC");
    Secret::wipe(text);
    hash.resize(length);
    return hash;
}

}  // namespace popgate
