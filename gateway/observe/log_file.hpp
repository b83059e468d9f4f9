#pragma once

#include "backends/errors.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace popgate {

/// A file to which lines are appended, each by one write. What it cannot take, on a full disk, is lost: that is said on
/// standard error when it begins, and counted in the file when it goes on. Not safe from several threads.
class LogFile {
public:
    /// Makes the line, without its end, that tells how many lines are missing before it.
    using LossLine = std::function<std::string(std::uint64_t lost)>;

    /// Made with mode 0640 where it is missing; its folder is not. The error's text names the file and the cause.
    static Result<std::unique_ptr<LogFile>> open(const std::string& path, LossLine loss_line);
    ~LogFile();
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    void write(std::string_view line);
    /// Goes on in whatever file has the name now; after an error in the one before.
    Status reopen();
    const std::string& path() const { return path_; }

private:
    LogFile(std::string path, int descriptor, LossLine loss_line);
    bool put(std::string_view text);

    std::string path_;
    int descriptor_;
    LossLine loss_line_;
    std::uint64_t lost_ = 0;
    bool torn_ = false;  ///< it ends in a part of a line
};

}  // namespace popgate
