#include "backends/imap/response_guard.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::imap {

namespace {

constexpr std::size_t longest_line = 1024 * 1024;          // SEARCH answers on one line
constexpr std::size_t longest_response = 4 * 1024 * 1024;  // of one command, bodies aside
constexpr std::uint64_t longest_literal = 64 * 1024;       // of anything but a body
constexpr int deepest_nesting = 24;
constexpr std::size_t kept_of_line = 4096;
constexpr std::size_t kept_of_tail = 24;  // "{4294967295}" and a CR fit

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool starts_with_word(std::string_view text, std::string_view word) {
    if (text.size() < word.size()) return false;
    if (!std::ranges::equal(text.substr(0, word.size()), word, {}, upper)) return false;
    return text.size() == word.size() || text[word.size()] == ' ';
}

std::string_view after_word(std::string_view text) {
    const auto space = text.find(' ');
    return space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
}

}  // namespace

void ResponseGuard::begin_command(bool expect_body) {
    expect_body_ = expect_body;
    response_octets_ = 0;
    complaint_.clear();
}

bool ResponseGuard::refuse(std::string_view reason) {
    reason_ = reason;
    return false;
}

bool ResponseGuard::feed(std::string_view octets) {
    if (!reason_.empty()) return false;
    while (!octets.empty()) {
        if (body_left_ > 0) {
            const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, octets.size()));
            body_left_ -= skipped;
            octets.remove_prefix(skipped);
            continue;
        }
        const auto end = octets.find('\n');
        const auto piece = octets.substr(0, end);
        octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 1);

        line_octets_ += piece.size();
        response_octets_ += piece.size() + 1;
        if (line_octets_ > longest_line) return refuse("a line without end");
        if (response_octets_ > longest_response) return refuse("a response without end");
        // Quotes are not looked at: what one parser takes for quoted another may not.
        for (const char c : piece) {
            if (c == '(' && ++depth_ > deepest_nesting) return refuse("parentheses nested too deep");
            if (c == ')') --depth_;
        }
        if (line_.size() < kept_of_line) line_ += piece.substr(0, kept_of_line - line_.size());
        tail_ += piece.substr(piece.size() - std::min(piece.size(), kept_of_tail));
        if (tail_.size() > kept_of_tail) tail_.erase(0, tail_.size() - kept_of_tail);

        if (end != std::string_view::npos && !end_of_line()) return false;
    }
    return true;
}

bool ResponseGuard::end_of_line() {
    std::uint64_t literal = 0;
    const bool continues = literal_ahead(literal);
    if (continues) {
        if (announces_body()) {
            expect_body_ = false;
            body_left_ = literal;
        } else if (literal > longest_literal) {
            return refuse("a literal too large");
        }
    }
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto status = after_word(line);
    if (starts_with_word(line, "*") && starts_with_word(status, "STATUS")) return refuse("a STATUS that was not asked for");
    for (const auto word : {"NO", "BAD", "BYE"}) {
        if (!starts_with_word(status, word)) continue;
        complaint_ = status.substr(0, 500);
        said_bye_ = said_bye_ || word == std::string_view("BYE");
    }
    std::string_view list;
    if (starts_with_word(line, "*") && starts_with_word(status, "CAPABILITY")) {
        list = after_word(status);
    } else if (starts_with_word(status, "OK") && starts_with_word(after_word(status), "[CAPABILITY")) {
        list = after_word(after_word(status));
        list = list.substr(0, list.find(']'));
    }
    if (!list.empty()) {
        capabilities_ = " " + std::string(list) + " ";
        std::ranges::transform(capabilities_, capabilities_.begin(), upper);
    }
    line_.clear();
    tail_.clear();
    line_octets_ = 0;
    if (!continues) depth_ = 0;
    return true;
}

bool ResponseGuard::literal_ahead(std::uint64_t& octets) const {
    std::string_view tail = tail_;
    if (tail.ends_with('\r')) tail.remove_suffix(1);
    if (!tail.ends_with('}')) return false;
    tail.remove_suffix(1);
    if (tail.ends_with('+')) tail.remove_suffix(1);
    const auto open = tail.rfind('{');
    if (open == std::string_view::npos) {
        // More digits than any number has: as large as can be.
        octets = UINT64_MAX;
        return tail.find_first_not_of("0123456789") == std::string_view::npos;
    }
    const auto digits = tail.substr(open + 1);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), octets);
    if (error == std::errc::result_out_of_range) octets = UINT64_MAX;
    return !digits.empty() && stop == digits.data() + digits.size();
}

// Only "* 7 FETCH (… BODY[] {n}" with nothing quoted before: octets that are skipped here must be skipped by libetpan
// too, or an upstream could hide from one what the other reads.
bool ResponseGuard::announces_body() const {
    std::string_view line = line_;
    if (!expect_body_ || line.size() > 256 || line_octets_ != line.size() || !line.starts_with("* ")) return false;
    line.remove_prefix(2);
    const auto digits = std::min(line.find_first_not_of("0123456789"), line.size());
    if (digits == 0 || !starts_with_word(line.substr(std::min(digits + 1, line.size())), "FETCH")) return false;
    const auto open = line.rfind('{');
    if (open == std::string_view::npos || line.find_first_of("\"{") != open) return false;
    auto before = line.substr(0, open);
    if (before.ends_with("> ")) {  // BODY[]<0> {n}
        const auto less = before.rfind('<');
        if (less == std::string_view::npos) return false;
        before = before.substr(0, less);
    } else if (before.ends_with(' ')) {
        before.remove_suffix(1);
    }
    const auto length = before.size();
    return length > 7 && starts_with_word(before.substr(length - 6), "BODY[]") &&
           (before[length - 7] == '(' || before[length - 7] == ' ');
}

}  // namespace popgate::imap
