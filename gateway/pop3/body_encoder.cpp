#include "gateway/pop3/body_encoder.hpp"

namespace popgate::pop3 {

void BodyEncoder::encode(std::string_view octets, std::string& out) {
    while (!octets.empty() && !satisfied_) {
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
