#include "gateway/accounts/password_file.hpp"

#include "gateway/accounts/secret.hpp"
#include "gateway/net/blocking_call.hpp"

#include <crypt.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace popgate {

namespace {

constexpr auto hashing_limit = std::chrono::seconds(10);
constexpr std::size_t largest_file = 64 * 1024 * 1024;

/// What crypt(3) makes of the password; empty when it refuses.
std::string hashed(const std::string& password, const std::string& setting) {
    struct Wiped {
        void operator()(crypt_data* data) const {
            OPENSSL_cleanse(data, sizeof *data);
            delete data;
        }
    };
    const std::unique_ptr<crypt_data, Wiped> data(new crypt_data{});  // 32 KiB
    const char* const hash = ::crypt_r(password.c_str(), setting.c_str(), data.get());
    return hash && hash[0] != '*' ? hash : std::string();
}

/// False for what locks an account ("*", "!…", nothing), for plain text and for DES.
bool is_usable(std::string_view hash) {
    return hash.size() > 1 && hash.front() == '$' && ::crypt_checksalt(std::string(hash).c_str()) != CRYPT_SALT_INVALID;
}

struct Found {
    std::string_view hash;        // of the user; empty when there is none that could match
    std::string_view any_usable;  // the first in the file
};

Found find(std::string_view text, std::string_view user) {
    Found found;
    bool has_user = false;
    while (!text.empty()) {
        const auto line_end = text.find('\n');
        auto line = text.substr(0, line_end);
        text.remove_prefix(line_end == std::string_view::npos ? text.size() : line_end + 1);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        const auto colon = line.find(':');
        if (line.empty() || line.front() == '#' || colon == std::string_view::npos) continue;
        const auto rest = line.substr(colon + 1);
        const auto hash = rest.substr(0, rest.find(':'));
        if (found.any_usable.empty() && is_usable(hash)) found.any_usable = hash;
        // The first line of a user counts, so that a later one does not unlock what it locks.
        if (has_user || colon == 0 || line.substr(0, colon) != user) continue;
        has_user = true;
        if (is_usable(hash)) found.hash = hash;
    }
    return found;
}

std::string new_setting() {
    const std::unique_ptr<char, decltype(&std::free)> setting(::crypt_gensalt_ra(nullptr, 0, nullptr, 0), std::free);
    if (!setting) throw std::system_error(errno, std::generic_category(), "crypt_gensalt");
    return setting.get();
}

/// For a file in which there is no hash to take as an example.
const std::string& example_setting() {
    static const std::string setting = new_setting();
    return setting;
}

struct FileText {
    std::string text;
    int error = 0;
};

FileText read_file(const std::string& path) {
    FileText file;
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return {{}, errno};
    std::array<char, 16 * 1024> block{};
    while (file.error == 0) {
        const auto got = ::read(descriptor, block.data(), block.size());
        if (got == 0) break;
        if (got < 0)
            file.error = errno == EINTR ? 0 : errno;
        else if (file.text.size() + static_cast<std::size_t>(got) > largest_file)
            file.error = EFBIG;
        else
            file.text.append(block.data(), static_cast<std::size_t>(got));
    }
    ::close(descriptor);
    return file;
}

}  // namespace

Status check_password_file(Fiber& fiber, const std::string& file, const std::string& user, const Secret& password) {
    struct Answer {
        bool matches = false;
        int error = 0;
    };
    // The work may outlive this call, so it has a copy; the last one to go wipes it.
    const auto copy = std::make_shared<const Secret>(password.reveal());
    const auto answer = blocking_call(
        fiber, Clock::now() + hashing_limit,
        [file, user, copy] {
            auto read = read_file(file);
            const Answer given{read.error == 0 && password_matches(read.text, user, copy->reveal()), read.error};
            Secret::wipe(read.text);
            return std::make_optional(given);
        },
        Blocking::passwords);
    const std::string text = "passwords cannot be checked now, please wait and try again";
    if (!answer || !*answer)
        return Error{Errc::temporary, text, "password file: too slow, interrupted, or too many calls at once"};
    const auto [matches, error] = **answer;
    if (error != 0) return Error{Errc::temporary, text, file + ": " + std::generic_category().message(error)};
    if (!matches) return Error{Errc::auth, "wrong user name or password", {}};
    return {};
}

bool password_matches(std::string_view file_text, std::string_view user, const std::string& password) {
    const auto found = find(file_text, user);
    // Who has no hash is tried against somebody else's, for the time that it takes.
    const std::string expected(found.hash.empty() ? found.any_usable : found.hash);
    const auto given = hashed(password, expected.empty() ? example_setting() : expected);
    const bool is_equal =
        given.size() == expected.size() && CRYPTO_memcmp(given.data(), expected.data(), given.size()) == 0;
    // crypt(3) sees a password only up to its first NUL.
    return is_equal && !expected.empty() && !found.hash.empty() && password.find('\0') == std::string::npos;
}

std::string hash_password(const std::string& password) {
    auto hash = password.find('\0') == std::string::npos ? hashed(password, new_setting()) : std::string();
    if (hash.empty())
        throw std::invalid_argument("crypt(3) does not take this password: it is too long or holds a NUL");
    return hash;
}

}  // namespace popgate
