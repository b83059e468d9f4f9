#include "gateway/pop3/command.hpp"

#include "backends/ascii.hpp"
#include "gateway/pop3/command_rules.hpp"

#include <algorithm>
#include <charconv>

namespace popgate::pop3 {

namespace {

// Digits alone: from_chars would take a sign for signed types only, but not refuse a leading zero.
std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
    if (text.size() > 1 && text.front() == '0') return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> parse_message_number(std::string_view text) {
    const auto number = parse_number(text);
    return number && *number > 0 ? number : std::nullopt;
}

// Lines that browsers, mail and IMAP clients, and TLS on a port without it, begin with.
bool is_foreign(std::string_view line, std::string_view verb) {
    if (line.starts_with("\x16\x03")) return true;
    for (const auto word : {"GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"})
        if (verb == word && line.find(' ') != std::string_view::npos) return true;
    return false;
}

}  // namespace

std::string_view command_name(std::string_view line) {
    const auto verb = line.substr(0, line.find(' '));
    const auto rule = std::ranges::find_if(
        command_rules, [&](const CommandRule& each) { return equal_but_for_case(each.name, verb); });
    return rule == std::end(command_rules) ? "other" : rule->name;
}

std::variant<Command, CommandFault> parse_command(std::string_view line) {
    const auto space = line.find(' ');
    const auto verb = line.substr(0, space);
    if (is_foreign(line, verb)) return CommandFault::foreign;
    if (line.find('\0') != std::string_view::npos || line.find('\r') != std::string_view::npos)
        return CommandFault::bad_characters;

    const auto rule = std::ranges::find_if(
        command_rules, [&](const CommandRule& each) { return equal_but_for_case(each.name, verb); });
    if (rule == std::end(command_rules)) return CommandFault::unknown;

    Command command;
    command.verb = rule->verb;
    std::string_view rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    if (rule->arguments == Arguments::text) {
        // Verbatim: a password may begin, end and be filled with spaces.
        if (rest.empty()) return CommandFault::bad_arguments;
        command.text = rest;
        return command;
    }
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    const auto gap = rest.find(' ');
    const auto first = rest.substr(0, gap);
    const auto second = gap == std::string_view::npos ? std::string_view() : rest.substr(gap + 1);
    const bool has_second = gap != std::string_view::npos;

    switch (rule->arguments) {
        case Arguments::text: break;
        case Arguments::none:
            if (!rest.empty()) return CommandFault::bad_arguments;
            break;
        case Arguments::optional_number:
        case Arguments::number:
            if (has_second || (rest.empty() && rule->arguments == Arguments::number))
                return CommandFault::bad_arguments;
            if (rest.empty()) break;
            command.number = parse_message_number(rest);
            if (!command.number) return CommandFault::bad_number;
            break;
        case Arguments::number_and_lines: {
            if (!has_second) return CommandFault::bad_arguments;
            command.number = parse_message_number(first);
            if (!command.number) return CommandFault::bad_number;
            const auto lines = parse_number(second);
            if (!lines) return CommandFault::bad_arguments;
            command.lines = *lines;
            break;
        }
        case Arguments::optional_text:
            if (has_second) return CommandFault::bad_arguments;
            command.text = rest;
            break;
        case Arguments::mechanism:
            if (second.find(' ') != std::string_view::npos) return CommandFault::bad_arguments;
            command.text = first;
            if (has_second) command.initial_response = second;
            break;
    }
    return command;
}

}  // namespace popgate::pop3
