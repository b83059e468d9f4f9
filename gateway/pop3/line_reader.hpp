#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace popgate::pop3 {

/// Cuts what arrives into lines, however it was split. CRLF ends a line and so does a bare LF, as some devices send
/// it; a lone CR does not, and stays in the line for the parser to refuse. Memory is bounded by the limit.
class LineReader {
public:
    enum class Event { none, line, too_long };

    /// `limit`: the longest line, without its end, in octets.
    explicit LineReader(std::size_t limit) : limit_(limit) {}

    void feed(std::string_view octets);

    /// The next event. `line` is valid until the next call of feed() or next(). A line that is too long gives
    /// too_long once, as soon as that is known, and the rest of it is thrown away.
    Event next(std::string_view& line);

    /// True when nothing that was fed is waiting, not even a part of a line.
    bool empty() const { return start_ == buffer_.size() && !discarding_; }

private:
    void drop(std::size_t count);

    std::size_t limit_;
    std::string buffer_;
    std::size_t start_ = 0;    // of what was not yet given out
    std::size_t scanned_ = 0;  // up to here there is no LF
    bool discarding_ = false;
};

}  // namespace popgate::pop3
