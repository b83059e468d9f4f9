#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace popgate::pop3 {

enum class Verb {
    user,
    pass,
    apop,
    rpop,
    auth,
    stls,
    capa,
    stat,
    list,
    uidl,
    retr,
    top,
    dele,
    rset,
    noop,
    quit,
    utf8,
    lang
};

/// One command. Views point into the line that was parsed.
struct Command {
    Verb verb{};
    std::string_view text;                             ///< USER, PASS, APOP, RPOP: verbatim; AUTH: mechanism; LANG: tag
    std::optional<std::string_view> initial_response;  ///< AUTH
    std::optional<std::uint64_t> number;               ///< message number, 1 or more
    std::uint64_t lines = 0;                           ///< TOP
};

enum class CommandFault {
    unknown,         ///< no such verb
    bad_arguments,   ///< too many, too few, or not of the right kind
    bad_number,      ///< not a message number: 0, a sign, a leading zero, more than 64 bits
    bad_characters,  ///< NUL or a lone CR in the line
    foreign,         ///< another protocol: nothing good can follow
};

/// Parses one line without its end (RFC 1939 §3, RFC 2449 §4). Verbs are not case-sensitive.
std::variant<Command, CommandFault> parse_command(std::string_view line);

/// The command that a line begins with, in capitals; "other" for what is none.
std::string_view command_name(std::string_view line);

}  // namespace popgate::pop3
