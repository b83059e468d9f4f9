// The first line is the user, the second the password, the rest the file. crypt_r() is replaced, see CMakeLists.txt.
#include "gateway/accounts/password_file.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <crypt.h>

#include <algorithm>
#include <optional>
#include <string>

// Never two hashes alike but for the same password and setting; "$y$made-of-…" for short.
extern "C" char* __wrap_crypt_r(const char* phrase, const char* setting, crypt_data* data) {
    const std::string hash = std::string(setting).substr(0, 100) + "#" + std::string(phrase).substr(0, 100);
    std::copy_n(hash.c_str(), hash.size() + 1, data->output);
    return data->output;
}

namespace {

std::string_view take_line(std::string_view& input) {
    const auto end = input.find('\n');
    const auto line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return line;
}

/// The hash in the first line that is the user's.
std::optional<std::string_view> hash_of(std::string_view file, std::string_view user) {
    while (!file.empty()) {
        auto line = take_line(file);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.starts_with('#') || line.substr(0, line.find(':')) != user || line.find(':') == std::string_view::npos)
            continue;
        line.remove_prefix(user.size() + 1);
        return line.substr(0, line.find(':'));
    }
    return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto input = test::as_text(data, size);
    const auto user = take_line(input);
    const std::string password(take_line(input));
    const bool matches = password_matches(input, user, password);
    // The stand-in never gives back its setting, so no hash of the file can match.
    FUZZ_CHECK(!matches || !hash_of(input, user)->empty());
    if (user.empty() || !hash_of(input, user)) FUZZ_CHECK(!matches);
    return 0;
}
