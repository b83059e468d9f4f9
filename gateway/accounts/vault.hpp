#pragma once

#include "backends/errors.hpp"
#include "gateway/accounts/secret.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {

/// Seals and opens what must not be read by whoever has the state store alone: AES-256-GCM with a fresh random nonce,
/// and with where it belongs as additional data, so that a record that was moved to another account does not open.
///
/// The keys lie in a file, one a line, in base64: the first seals, all open. The file is read again when it has
/// changed, so that a rotation by another process holds at once. Any thread may use it; all of it blocks.
class Vault {
public:
    /// `key_file`: a path, or "credential:NAME" for $CREDENTIALS_DIRECTORY/NAME (systemd). Nothing is read yet.
    explicit Vault(std::string key_file) : key_file_(std::move(key_file)) {}

    /// Errc::permanent, and the text names key file and cause, where there is no key.
    Result<std::string> seal(std::string_view place, const Secret& content);
    /// Errc::permanent for what was not sealed for this place by one of the keys, or is no longer as it was. The text
    /// names neither place nor content: the caller knows whose it is.
    Result<Secret> open(std::string_view place, std::string_view sealed);

    /// False where the first key did not seal it: it should be sealed anew.
    bool is_current(std::string_view sealed);

    /// Makes a file with one new key (0600) where there is none. Errc::permanent where it is there, or cannot be made.
    Status create();
    /// Puts a new key before the others, in one step. A credential cannot be changed from here: Errc::permanent.
    Status add_key();
    /// Drops all keys but the first and, for processes that have not looked again, the second.
    Status drop_old_keys();
    bool exists() const;
    const std::string& key_file() const { return key_file_; }

private:
    struct Key;
    struct Keys;
    Result<std::shared_ptr<const Keys>> keys();

    std::string key_file_;
    std::mutex mutex_;
    std::shared_ptr<const Keys> keys_;
};

}  // namespace popgate
