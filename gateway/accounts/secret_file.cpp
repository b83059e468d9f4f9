#include "gateway/accounts/secret_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace popgate {

namespace {

constexpr std::size_t longest = 64 * 1024;
constexpr std::string_view scheme = "credential:";

}  // namespace

std::string secret_path(const std::string& file) {
    if (!file.starts_with(scheme)) return file;
    const auto name = file.substr(scheme.size());
    const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
    if (!directory || name.empty() || name.front() == '.' || name.find('/') != std::string::npos) return {};
    return std::string(directory) + '/' + name;
}

Result<Secret> read_secret_file(const std::string& file) {
    const auto bad = [&](const char* why) { return Error{Errc::permanent, file + ": " + why, {}}; };
    const auto path = secret_path(file);
    if (path.empty()) return bad("is no credential that systemd has given ($CREDENTIALS_DIRECTORY)");
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return bad(std::strerror(errno));
    std::string text(longest + 1, '\0');
    std::size_t size = 0;
    int error = 0;
    while (size < text.size()) {
        const auto got = ::read(descriptor, text.data() + size, text.size() - size);
        if (got == 0) break;
        if (got > 0)
            size += static_cast<std::size_t>(got);
        else if (errno != EINTR) {
            error = errno;
            break;
        }
    }
    ::close(descriptor);
    std::string_view content(text.data(), size);
    if (content.ends_with('\n')) content.remove_suffix(1);
    if (content.ends_with('\r')) content.remove_suffix(1);
    Secret secret(content);
    Secret::wipe(text);
    if (error != 0) return bad(std::strerror(error));
    if (size > longest) return bad("is longer than 64 KiB");
    if (secret.reveal().empty()) return bad("is empty");
    return secret;
}

}  // namespace popgate
