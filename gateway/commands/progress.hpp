#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace popgate::commands {

/// How far something is that takes long: one line on standard error that is written anew as it goes on, and gone in
/// the end. Nothing where that is no terminal.
class Progress {
public:
    using Clock = std::chrono::steady_clock;

    /// `total` may be 0 as long as it is not known. `wanted` false: nothing anyway.
    Progress(std::string_view what, std::size_t total, bool wanted);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress();

    /// One more is done.
    void advance();
    /// So many are done, of a total that has become known or another one.
    void set(std::size_t done, std::size_t total);

private:
    void draw();

    std::string what_;
    std::size_t total_;
    std::size_t done_ = 0;
    bool shown_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point next_ = start_;  // not drawn before
};

/// The line: "what  [#####.....]  count/total  rate/s  remaining", no wider than `columns`.
std::string progress_line(std::string_view what, std::size_t done, std::size_t total, std::chrono::milliseconds elapsed,
                          std::size_t columns);

}  // namespace popgate::commands
