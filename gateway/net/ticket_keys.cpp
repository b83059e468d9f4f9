#include "gateway/net/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace popgate {

namespace {

void wipe(std::optional<TicketKeys::Key>& key) {
    if (key) OPENSSL_cleanse(&*key, sizeof *key);
    key.reset();
}

bool fill_secret(auto& octets) { return RAND_priv_bytes(octets.data(), static_cast<int>(octets.size())) == 1; }

}  // namespace

TicketKeys::~TicketKeys() {
    wipe(current_);
    wipe(previous_);
}

void TicketKeys::rotate() {
    const auto now = now_();
    if (current_ && now < current_->since + lifetime) return;
    // A key's time is counted from when it was made, even if nobody came in the hours after.
    wipe(previous_);
    auto since = now;
    if (current_ && now < current_->since + 2 * lifetime) {
        since = current_->since + lifetime;
        previous_ = current_;
    }
    wipe(current_);
    Key key{};
    if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1 && fill_secret(key.cipher) &&
        fill_secret(key.mac)) {
        key.since = since;
        current_ = key;
    }
    OPENSSL_cleanse(&key, sizeof key);
}

std::optional<TicketKeys::Key> TicketKeys::current() {
    const std::scoped_lock lock(mutex_);
    rotate();
    return current_;
}

std::optional<TicketKeys::Key> TicketKeys::find(const Name& name) {
    const std::scoped_lock lock(mutex_);
    rotate();
    for (const auto* key : {&current_, &previous_})
        if (*key && (*key)->name == name) return *key;
    return {};
}

}  // namespace popgate
