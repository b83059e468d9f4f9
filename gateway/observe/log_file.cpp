#include "gateway/observe/log_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace popgate {

namespace {

constexpr mode_t log_file_mode = 0640;

int open_to_append(const std::string& path) {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, log_file_mode);
}

Error cannot_be_opened(const std::string& path) {
    return {Errc::permanent, "the log file " + path + " cannot be opened: " + std::strerror(errno), {}};
}

}  // namespace

Result<std::unique_ptr<LogFile>> LogFile::open(const std::string& path, LossLine loss_line) {
    const int descriptor = open_to_append(path);
    if (descriptor < 0) return cannot_be_opened(path);
    return std::unique_ptr<LogFile>(new LogFile(path, descriptor, std::move(loss_line)));
}

LogFile::LogFile(std::string path, int descriptor, LossLine loss_line)
    : path_(std::move(path)), descriptor_(descriptor), loss_line_(std::move(loss_line)) {}

LogFile::~LogFile() { ::close(descriptor_); }

void LogFile::write(std::string_view line) {
    std::string text;
    if (torn_) text += '\n';
    if (lost_ > 0) text += loss_line_(lost_) + '\n';
    text.append(line).append("\n");
    if (put(text)) {
        lost_ = 0;
        torn_ = false;
        return;
    }
    const int cause = errno;
    if (lost_++ == 0)
        std::fprintf(stderr, "popgate: %s cannot be written, log lines are lost: %s\n", path_.c_str(),
                     std::strerror(cause));
}

bool LogFile::put(std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(descriptor_, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
        torn_ = true;  // until all of it is there
    }
    return true;
}

Status LogFile::reopen() {
    const int descriptor = open_to_append(path_);
    if (descriptor < 0) return cannot_be_opened(path_);
    ::close(std::exchange(descriptor_, descriptor));
    torn_ = false;
    return {};
}

}  // namespace popgate
