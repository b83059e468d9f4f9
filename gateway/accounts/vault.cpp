#include "gateway/accounts/vault.hpp"

#include "gateway/accounts/secret_file.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/state/file_steps.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace popgate {

namespace {

// A sealed record: this octet, the key's id, the nonce, the ciphertext, the tag.
constexpr char format = 1;
constexpr std::size_t id_size = 8;
constexpr std::size_t nonce_size = 12;
constexpr std::size_t tag_size = 16;
constexpr std::size_t key_size = 32;
constexpr std::size_t header_size = 1 + id_size + nonce_size;

const unsigned char* octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* octets(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

Error bad(std::string text) { return {Errc::permanent, std::move(text), {}}; }

std::string id_of(std::string_view key) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(octets(key), key.size(), digest.data());
    return {reinterpret_cast<const char*>(digest.data()), id_size};
}

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

/// What names a state of the file.
struct Stamp {
    dev_t device{};
    ino_t inode{};
    off_t size{};
    timespec changed{};
    bool operator==(const Stamp& other) const {
        return device == other.device && inode == other.inode && size == other.size &&
               changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
    }
};

std::string encoded_key(const std::string& key) {
    std::string line(4 * ((key.size() + 2) / 3) + 1, '\0');
    line.resize(static_cast<std::size_t>(EVP_EncodeBlock(octets(line), octets(key), static_cast<int>(key.size()))));
    return line;
}

Secret new_key() {
    std::string key(key_size, '\0');
    if (RAND_bytes(octets(key), static_cast<int>(key.size())) != 1) throw std::runtime_error("no random numbers");
    auto line = encoded_key(key);
    Secret secret(line);
    Secret::wipe(key);
    Secret::wipe(line);
    return secret;
}

/// All of `text` under the name `path`, or nothing. `may_replace`: there is a file already.
Status write_file(const std::string& path, const Secret& text, bool may_replace) {
    // Of its own for each that writes at the same time: one would put the other's half-written key in place.
    static std::atomic<unsigned> drafts{0};
    const auto fresh = path + ".new-" + std::to_string(::getpid()) + '-' + std::to_string(++drafts);
    ::unlink(fresh.c_str());
    make_directory_of(path);
    if (!make_private_file(fresh)) return bad(fresh + ": " + std::strerror(errno));
    const int file = ::open(fresh.c_str(), O_WRONLY | O_CLOEXEC);
    const auto& content = text.reveal();
    bool good = file >= 0 && ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
                ::fsync(file) == 0;
    int error = errno;
    if (file >= 0) ::close(file);
    if (good) {
        // link() fails where the name is taken: two processes that begin at once must not make two keys.
        good = may_replace ? ::rename(fresh.c_str(), path.c_str()) == 0 : ::link(fresh.c_str(), path.c_str()) == 0;
        error = errno;
    }
    ::unlink(fresh.c_str());
    if (!good) return bad(path + ": " + std::strerror(error));
    sync_directory_of(path);
    return {};
}

}  // namespace

struct Vault::Key {
    std::string id;
    Secret key;
};

struct Vault::Keys {
    Stamp stamp;
    std::vector<Key> keys;

    /// A key a line; what stands behind '#' is for people.
    static Result<std::vector<Key>> parse(const std::string& file, const Secret& text) {
        std::vector<Key> keys;
        std::string_view rest = text.reveal();
        for (unsigned number = 1; !rest.empty(); ++number) {
            const auto end = rest.find('\n');
            auto line = rest.substr(0, end);
            rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
            while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
            if (line.empty() || line.front() == '#') continue;
            std::string key(line.size() / 4 * 3 + 3, '\0');
            const int length = line.size() == 44 && line.back() == '='
                                   ? EVP_DecodeBlock(octets(key), octets(line), static_cast<int>(line.size()))
                                   : -1;
            const bool is_good = length == static_cast<int>(key_size) + 1;
            if (is_good) {
                key.resize(key_size);
                keys.push_back({id_of(key), Secret(key)});
            }
            Secret::wipe(key);
            if (!is_good)
                return bad(file + ':' + std::to_string(number) + ": is no key: 32 octets in base64 are wanted");
        }
        if (keys.empty()) return bad(file + ": holds no key");
        return keys;
    }
};

Result<std::shared_ptr<const Vault::Keys>> Vault::keys() {
    const auto path = secret_path(key_file_);
    if (path.empty()) return bad(key_file_ + ": is no credential that systemd has given ($CREDENTIALS_DIRECTORY)");
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return bad("key file " + path + ": " + std::strerror(errno));
    const Stamp stamp{status.st_dev, status.st_ino, status.st_size, status.st_mtim};
    const std::lock_guard lock(mutex_);
    if (keys_ && keys_->stamp == stamp) return keys_;
    const auto text = read_secret_file(key_file_);
    if (!text) return bad("key file " + text.error().text);
    auto parsed = Keys::parse("key file " + path, *text);
    if (!parsed) return parsed.error();
    if (status.st_mode & S_IROTH)
        log(LogLevel::warning, "key_file", {{"text", path + " can be read by everybody on this machine"}});
    auto keys = std::make_shared<Keys>();
    keys->stamp = stamp;
    keys->keys = std::move(*parsed);
    keys_ = std::move(keys);
    return keys_;
}

Result<std::string> Vault::seal(std::string_view place, const Secret& content) {
    const auto all = keys();
    if (!all) return all.error();
    const auto& key = (*all)->keys.front();
    const auto& plain = content.reveal();
    std::string sealed = format + key.id + std::string(nonce_size + plain.size() + tag_size, '\0');
    auto* const nonce = octets(sealed) + 1 + id_size;
    auto* const cipher = octets(sealed) + header_size;
    const Context context(EVP_CIPHER_CTX_new());
    int length = 0;
    const bool good =
        context && RAND_bytes(nonce, nonce_size) == 1 &&
        EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, octets(key.key.reveal()), nonce) == 1 &&
        EVP_EncryptUpdate(context.get(), nullptr, &length, octets(place), static_cast<int>(place.size())) == 1 &&
        EVP_EncryptUpdate(context.get(), cipher, &length, octets(plain), static_cast<int>(plain.size())) == 1 &&
        EVP_EncryptFinal_ex(context.get(), cipher + length, &length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_size, cipher + plain.size()) == 1;
    if (!good) throw std::runtime_error("AES-256-GCM is not to be had");
    return sealed;
}

Result<Secret> Vault::open(std::string_view place, std::string_view sealed) {
    const auto all = keys();
    if (!all) return all.error();
    if (sealed.size() < header_size + tag_size) return bad("it has been cut short");
    if (sealed.front() != format) return bad("it is damaged, or a newer popgate wrote it");
    const auto id = sealed.substr(1, id_size);
    const auto key = std::ranges::find_if((*all)->keys, [&](const Key& each) { return each.id == id; });
    if (key == (*all)->keys.end()) return bad("none of the keys in " + secret_path(key_file_) + " has sealed it");
    const auto cipher = sealed.substr(header_size, sealed.size() - header_size - tag_size);
    std::string tag(sealed.substr(sealed.size() - tag_size));
    std::string plain(cipher.size(), '\0');
    const Context context(EVP_CIPHER_CTX_new());
    int length = 0;
    const bool good =
        context &&
        EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, octets(key->key.reveal()),
                           octets(sealed) + 1 + id_size) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &length, octets(place), static_cast<int>(place.size())) == 1 &&
        EVP_DecryptUpdate(context.get(), octets(plain), &length, octets(cipher), static_cast<int>(cipher.size())) ==
            1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_size, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(context.get(), octets(plain) + length, &length) == 1;
    Secret content(good ? std::string_view(plain) : std::string_view());
    Secret::wipe(plain);
    if (!good) return bad("it is damaged, or belongs to another account");
    return content;
}

bool Vault::is_current(std::string_view sealed) {
    const auto all = keys();
    return all && sealed.size() > id_size && sealed.substr(1, id_size) == (*all)->keys.front().id;
}

bool Vault::exists() const {
    const auto path = secret_path(key_file_);
    return !path.empty() && file_exists(path);
}

Status Vault::create() {
    if (secret_path(key_file_) != key_file_)
        return bad(key_file_ + ": a credential is made by who gives it to popgate");
    auto line = new_key().reveal() + '\n';
    auto status = write_file(key_file_, Secret(line), false);
    Secret::wipe(line);
    return status;
}

Status Vault::add_key() {
    if (secret_path(key_file_) != key_file_)
        return bad(key_file_ + ": a credential is changed by who gives it to popgate");
    const auto before = read_secret_file(key_file_);
    if (!before) return before.error();
    auto text = new_key().reveal() + '\n' + before->reveal() + '\n';
    auto status = write_file(key_file_, Secret(text), true);
    Secret::wipe(text);
    return status;
}

Status Vault::drop_old_keys() {
    if (secret_path(key_file_) != key_file_)
        return bad(key_file_ + ": a credential is changed by who gives it to popgate");
    const auto all = keys();
    if (!all) return all.error();
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(2, (*all)->keys.size()); ++i) {
        auto line = encoded_key((*all)->keys[i].key.reveal());
        text += line + '\n';
        Secret::wipe(line);
    }
    auto status = write_file(key_file_, Secret(text), true);
    Secret::wipe(text);
    return status;
}

}  // namespace popgate
