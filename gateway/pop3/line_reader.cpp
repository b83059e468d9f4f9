#include "gateway/pop3/line_reader.hpp"

#include <algorithm>

namespace popgate::pop3 {

void LineReader::feed(std::string_view octets) {
    drop(start_);
    if (discarding_) {
        const auto end = octets.find('\n');
        if (end == std::string_view::npos) return;
        discarding_ = false;
        octets.remove_prefix(end + 1);
    }
    buffer_ += octets;
}

LineReader::Event LineReader::next(std::string_view& line) {
    const auto end = buffer_.find('\n', std::max(scanned_, start_));
    if (end == std::string::npos) {
        scanned_ = buffer_.size();
        // One octet more than the limit may still be the CR of the line's end.
        if (buffer_.size() - start_ > limit_ + 1) {
            start_ = buffer_.size();
            drop(start_);
            discarding_ = true;
            return Event::too_long;
        }
        if (start_ == buffer_.size()) {
            drop(start_);
            buffer_.shrink_to_fit();
        }
        return Event::none;
    }
    line = std::string_view(buffer_).substr(start_, end - start_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    start_ = scanned_ = end + 1;
    return line.size() > limit_ ? Event::too_long : Event::line;
}

void LineReader::drop(std::size_t count) {
    // Lines hold passwords: overwritten, not only forgotten.
    std::fill_n(buffer_.begin(), count, '\0');
    buffer_.erase(0, count);
    start_ = 0;
    scanned_ -= std::min(scanned_, count);
}

}  // namespace popgate::pop3
