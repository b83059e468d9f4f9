#include "gateway/commands/pop3_reply.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::commands {

void ReplyReader::feed(std::string_view octets) {
    buffer_.erase(0, start_);
    scanned_ -= std::min(scanned_, start_);
    start_ = 0;
    buffer_ += octets;
}

ReplyReader::Event ReplyReader::next(bool multiline, std::string_view& text) {
    switch (place_) {
        case Place::broken: return Event::broken;
        case Place::status: return next_status(multiline, text);
        case Place::end: place_ = Place::status; return Event::end;
        default: return next_octets(text);
    }
}

ReplyReader::Event ReplyReader::next_status(bool multiline, std::string_view& text) {
    const auto end = buffer_.find('\n', std::max(start_, scanned_));
    scanned_ = end == std::string::npos ? buffer_.size() : end + 1;
    if (scanned_ - start_ > longest_status) {
        place_ = Place::broken;
        return Event::broken;
    }
    if (end == std::string::npos) return Event::need_more;
    auto line = std::string_view(buffer_).substr(start_, end - start_);
    start_ = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string_view word = line.starts_with("+OK") ? "+OK" : "-ERR";
    ok_ = word == "+OK";
    const bool right = line.starts_with(word) && (line.size() == word.size() || line[word.size()] == ' ');
    if (!right) {
        place_ = Place::broken;
        return Event::broken;
    }
    line.remove_prefix(word.size());
    if (line.starts_with(' ')) line.remove_prefix(1);
    text = line;
    place_ = ok_ && multiline ? Place::line_start : Place::end;
    return Event::status;
}

ReplyReader::Event ReplyReader::next_octets(std::string_view& text) {
    decoded_.clear();
    while (start_ < buffer_.size() && place_ != Place::end) {
        const char c = buffer_[start_];
        if (place_ == Place::in_line) {
            const auto line_end = buffer_.find('\n', start_);
            const auto end = line_end == std::string::npos ? buffer_.size() : line_end + 1;
            decoded_.append(buffer_, start_, end - start_);
            start_ = end;
            if (line_end != std::string::npos) place_ = Place::line_start;
        } else if (place_ == Place::line_start && c == '.') {
            place_ = Place::after_dot;
            ++start_;
        } else if (place_ == Place::after_dot && c == '\r') {
            place_ = Place::after_dot_cr;
            ++start_;
        } else if (place_ != Place::line_start && c == '\n') {
            place_ = Place::end;
            ++start_;
        } else {
            if (place_ == Place::after_dot_cr) decoded_ += '\r';
            place_ = Place::in_line;
        }
    }
    // What was searched for the end of a status line belongs to an earlier reply.
    scanned_ = start_;
    if (!decoded_.empty()) {
        text = decoded_;
        return Event::octets;
    }
    if (place_ != Place::end) return Event::need_more;
    place_ = Place::status;
    return Event::end;
}

std::optional<ScanLine> parse_scan_line(std::string_view line) {
    ScanLine scan;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), scan.number);
    if (error != std::errc() || scan.number == 0) return std::nullopt;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (!line.empty() && line.front() != ' ' && line.front() != '\t') return std::nullopt;
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
    scan.value = line;
    return scan;
}

bool is_valid_unique_id(std::string_view id) {
    return !id.empty() && id.size() <= 70 && std::ranges::all_of(id, [](char c) { return c >= 0x21 && c <= 0x7E; });
}

std::string_view response_code(std::string_view status) {
    const auto end = status.find(']');
    if (!status.starts_with('[') || end == std::string_view::npos) return {};
    return status.substr(1, end - 1);
}

}  // namespace popgate::commands
