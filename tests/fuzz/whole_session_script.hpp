#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate::test {

/// What happens to one answer of the upstream.
struct Change {
    enum class Kind { none, cut, put, leave_out, say, hang_up };
    Kind kind = Kind::none;
    std::size_t at = 0;     ///< in the answer
    std::size_t count = 0;  ///< of octets to be left out
    std::string text{};     ///< to be put in or said; "<tag>" stands for the command's tag
};

/// A session as a text. Line by line, each with a letter and a blank:
///
///     C RETR 1       the client says it
///     D              the client goes away
///     U =            an answer of the upstream, in their order (the greeting is the first), is as it should be
///     U cut 20       … ends after 20 octets, and so does its connection
///     U put 20 \n    … has this put in at 20; "\n" stands for CRLF
///     U out 20 3     … lacks 3 octets
///     U say * BYE\n  … is this
///     U end          there is none: the connection ends
///
/// Answers beyond the last are as they should be. Anything else means nothing.
struct WholeSessionScript {
    std::vector<std::string> commands;
    bool goes_away = false;
    std::vector<Change> changes;

    static constexpr std::size_t most_commands = 24;
    static constexpr std::size_t most_changes = 40;

    static WholeSessionScript parse(std::string_view text) {
        WholeSessionScript script;
        while (!text.empty()) {
            auto line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            if (line == "D") script.goes_away = true;
            if (line.size() < 2 || line[1] != ' ') continue;
            const auto rest = line.substr(2);
            if (line[0] == 'C' && script.commands.size() < most_commands && !script.goes_away)
                script.commands.emplace_back(rest);
            if (line[0] == 'U' && script.changes.size() < most_changes) script.changes.push_back(parse_change(rest));
        }
        return script;
    }

private:
    static std::string_view next_word(std::string_view& text) {
        const auto word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(word.size() + 1, text.size()));
        return word;
    }

    static std::size_t number(std::string_view text) {
        std::uint32_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }

    static Change parse_change(std::string_view text) {
        using Kind = Change::Kind;
        const auto word = next_word(text);
        if (word == "cut") return {Kind::cut, number(text)};
        if (word == "end") return {Kind::hang_up};
        if (word == "say") return {Kind::say, 0, 0, with_line_ends(text)};
        if (word == "put") {
            const auto at = number(next_word(text));
            return {Kind::put, at, 0, with_line_ends(text)};
        }
        if (word == "out") {
            const auto at = number(next_word(text));
            return {Kind::leave_out, at, number(text)};
        }
        return {};
    }

    static std::string with_line_ends(std::string_view text) {
        std::string result;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool is_end = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
            result += is_end ? "\r\n" : std::string(1, text[i]);
            i += is_end;
        }
        return result;
    }
};

}  // namespace popgate::test
