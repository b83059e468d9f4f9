#include "gateway/accounts/secret.hpp"

#include <openssl/crypto.h>

namespace popgate {

// A moved-from std::string keeps its bytes in place when they are short, so both sides are wiped by hand.
// NOLINTNEXTLINE(performance-move-constructor-init): see above
Secret::Secret(Secret&& other) noexcept : text_(other.text_) { wipe(other.text_); }

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe(text_);
        text_ = other.text_;
        wipe(other.text_);
    }
    return *this;
}

void Secret::wipe(std::string& text) {
    text.resize(text.capacity());
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
}

}  // namespace popgate
