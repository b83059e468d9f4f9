#include "gateway/pop3/body_encoder.hpp"

namespace popgate::pop3 {

// Whole lines and the beginning of one: up to a line end that is none of CRLF, or to a line that begins with '.'.
std::size_t BodyEncoder::plain_length(std::string_view octets) const {
    for (std::size_t line = 0; line < octets.size();) {
        if (octets[line] == '.' && (line > 0 || line_octets_ == 0)) return line;
        const auto end = octets.find('\n', line);
        if (end == std::string_view::npos) break;
        if (end == 0 ? !last_was_cr_ : octets[end - 1] != '\r') return line;
        line = end + 1;
    }
    return octets.size();
}

void BodyEncoder::pass(std::string_view octets, std::string& out) {
    out += octets;
    octets_ += octets.size();
    const auto last_line_end = octets.rfind('\n');
    line_octets_ =
        last_line_end == std::string_view::npos ? line_octets_ + octets.size() : octets.size() - last_line_end - 1;
    last_was_cr_ = octets.back() == '\r';
}

void BodyEncoder::encode(std::string_view octets, std::string& out) {
    while (!octets.empty() && !satisfied_) {
        // Nearly all of nearly all messages. For TOP lines must be counted, but there are few of them.
        if (const auto plain = top_lines_ ? 0 : plain_length(octets); plain > 0) {
            pass(octets.substr(0, plain), out);
            octets.remove_prefix(plain);
            continue;
        }
        if (line_octets_ == 0 && octets.front() == '.') out += '.';
        const auto line_end = octets.find('\n');
        const auto content = octets.substr(0, line_end);
        if (!content.empty()) {
            out += content;
            octets_ += content.size();
            line_octets_ += content.size();
            last_was_cr_ = content.back() == '\r';
        }
        if (line_end == std::string_view::npos) return;
        octets.remove_prefix(line_end + 1);
        if (last_was_cr_) {
            out += '\n';
            octets_ += 1;
        } else {
            out += "\r\n";
            octets_ += 2;
        }
        end_line();
    }
}

void BodyEncoder::end_line() {
    const bool is_empty = line_octets_ == 0 || (line_octets_ == 1 && last_was_cr_);
    line_octets_ = 0;
    last_was_cr_ = false;
    if (!in_header_)
        ++body_lines_;
    else if (is_empty)
        in_header_ = false;
    satisfied_ = top_lines_ && !in_header_ && body_lines_ >= *top_lines_;
}

void BodyEncoder::finish(std::string& out) {
    if (line_octets_ > 0) {
        out += "\r\n";
        octets_ += 2;
    }
    out += ".\r\n";
}

}  // namespace popgate::pop3
