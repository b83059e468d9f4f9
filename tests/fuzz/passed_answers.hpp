#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace popgate::test {

/// Reads what the guard lets pass as a strict parser would (RFC 3501 §9, and of it only what is asked for):
/// continuation requests, tagged lines, and FETCH answers with UID and BODY[]. The last may be cut anywhere.
class PassedAnswers {
public:
    explicit PassedAnswers(std::string_view text) : rest_(text) {}

    bool are_well_formed() {
        while (!rest_.empty() && !at_end_) {
            if (take("+ \r\n")) continue;
            if (rest_.starts_with("* ") ? !fetch() : !tagged()) return at_end_;
        }
        return true;
    }

private:
    /// Notes, too, when the text ends where `word` could go on.
    bool take(std::string_view word) {
        if (rest_.starts_with(word)) {
            rest_.remove_prefix(word.size());
            return true;
        }
        if (word.starts_with(rest_)) at_end_ = true;
        return false;
    }

    std::optional<std::uint32_t> number() {
        std::uint32_t value = 0;
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
        const auto length = static_cast<std::size_t>(end - rest_.data());
        if (error != std::errc{} || length == 0) return std::nullopt;
        rest_.remove_prefix(length);
        return value;
    }

    bool tagged() {
        const auto space = rest_.find(' ');
        if (space == std::string_view::npos || space == 0 || space > 16) return false;
        rest_.remove_prefix(space + 1);
        for (const auto condition : {"OK", "NO", "BAD", "BYE"})
            if (take(condition)) return take(" done\r\n");
        return false;
    }

    bool fetch() {
        if (!take("* ") || !number() || !take(" FETCH (")) return false;
        for (;;) {
            while (take(" ")) {
            }
            if (take(")\r\n")) return true;
            if (!item()) return false;
        }
    }

    bool item() {
        if (take_any_case("UID ")) return number().has_value();
        if (!take_any_case("BODY[]")) return false;
        if (take("<") && (!number() || !take(">"))) return false;
        if (!take(" ")) return false;
        if (take_any_case("NIL")) return true;
        return take("\"") ? quoted() : literal();
    }

    bool take_any_case(std::string_view upper_case) {
        if (rest_.size() < upper_case.size()) return false;
        for (std::size_t i = 0; i < upper_case.size(); ++i) {
            const char c = rest_[i];
            if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != upper_case[i]) return false;
        }
        rest_.remove_prefix(upper_case.size());
        return true;
    }

    bool quoted() {
        for (std::size_t i = 0; i < rest_.size(); ++i) {
            const char c = rest_[i];
            if (c == '\0' || c == '\r' || c == '\n') return false;
            if (c == '\\') ++i;
            if (c != '"') continue;
            rest_.remove_prefix(i + 1);
            return true;
        }
        return false;
    }

    bool literal() {
        if (!take("{")) return false;
        const auto size = number();
        if (!size || !(take("}\r\n") || take("+}\r\n"))) return false;
        if (*size >= rest_.size()) at_end_ = true;
        rest_.remove_prefix(*size < rest_.size() ? *size : rest_.size());
        return true;
    }

    std::string_view rest_;
    bool at_end_ = false;
};

inline bool are_answers_a_parser_bears(std::string_view text) { return PassedAnswers(text).are_well_formed(); }

}  // namespace popgate::test
