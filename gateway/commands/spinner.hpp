#pragma once

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

namespace popgate::commands {

/// That something is waited for: a sign that turns, on a line of its own that is gone in the end. Nothing where it is
/// not wanted.
class Spinner {
public:
    Spinner(std::string_view what, std::ostream& to, bool wanted) : what_(what), to_(to), wanted_(wanted) {}
    Spinner(const Spinner&) = delete;
    Spinner& operator=(const Spinner&) = delete;
    ~Spinner() {
        if (wanted_) to_ << '\r' << std::string(what_.size() + 4, ' ') << '\r' << std::flush;
    }

    void turn() {
        constexpr std::string_view signs = "|/-\\";
        if (wanted_) to_ << "\r  " << signs[turns_++ % signs.size()] << ' ' << what_ << std::flush;
    }

private:
    std::string what_;
    std::ostream& to_;
    bool wanted_;
    std::size_t turns_ = 0;
};

}  // namespace popgate::commands
