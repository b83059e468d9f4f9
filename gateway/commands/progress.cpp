#include "gateway/commands/progress.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>

namespace popgate::commands {

namespace {

constexpr std::chrono::milliseconds redraw_every{100};
constexpr std::size_t bar_width = 30;
constexpr std::string_view erase_line = "\r\x1b[K";

std::size_t terminal_columns() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

std::string as_time(std::uint64_t seconds) {
    if (seconds >= 3600) return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
}

}  // namespace

Progress::Progress(std::string_view what, std::size_t total, bool wanted)
    : what_(what), total_(total), shown_(wanted && isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (shown_) std::cerr << erase_line << std::flush;
}

void Progress::advance() {
    ++done_;
    draw();
}

void Progress::set(std::size_t done, std::size_t total) {
    done_ = done;
    total_ = total;
    draw();
}

void Progress::draw() {
    const auto now = Clock::now();
    if (!shown_ || total_ == 0 || now < next_) return;
    next_ = now + redraw_every;
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - start_);
    // One column less: some terminals wrap when the last one is written.
    std::cerr << erase_line << progress_line(what_, done_, total_, elapsed, terminal_columns() - 1) << std::flush;
}

std::string progress_line(std::string_view what, std::size_t done, std::size_t total, std::chrono::milliseconds elapsed,
                          std::size_t columns) {
    done = std::min(done, total);
    const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar_width));
    const double seconds = static_cast<double>(elapsed.count()) / 1000.0;
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    std::string line = fmt::format("{}  [{}{}]  {}/{}", what, std::string(filled, '#'),
                                   std::string(bar_width - filled, '.'), done, total);
    if (rate > 0) {
        const auto left = static_cast<std::uint64_t>(std::llround(static_cast<double>(total - done) / rate));
        line += fmt::format("  {:.0f}/s  {} left", rate, as_time(left));
    }
    if (line.size() > columns) line.resize(columns);
    return line;
}

}  // namespace popgate::commands
