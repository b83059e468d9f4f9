#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

namespace popgate::commands {

/// That something is waited for: a sign that turns, on a line of its own on standard error's terminal that is gone in
/// the end, and the ^C that ended it too. Nothing where it is not wanted.
class Spinner {
public:
    Spinner(std::string_view what, std::ostream& to, bool wanted) : what_(what), to_(to), wanted_(wanted) {}
    Spinner(const Spinner&) = delete;
    Spinner& operator=(const Spinner&) = delete;
    ~Spinner() {
        if (wanted_) to_ << erase_line << std::flush;
    }

    void turn() {
        constexpr std::string_view signs = "|/-\\";
        if (!wanted_) return;
        const std::string line = std::string("  ") + signs[turns_++ % signs.size()] + ' ' + what_;
        to_ << erase_line << line.substr(0, room()) << std::flush;
    }

private:
    static constexpr std::string_view erase_line = "\r\x1b[K";

    /// One column less: some terminals wrap when the last one is written. And two for a ^C.
    static std::size_t room() {
        winsize size{};
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 77;
        return size.ws_col > 3 ? size.ws_col - 3u : 0;
    }

    std::string what_;
    std::ostream& to_;
    bool wanted_;
    std::size_t turns_ = 0;
};

}  // namespace popgate::commands
