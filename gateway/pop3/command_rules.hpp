#pragma once

#include "gateway/pop3/command.hpp"

#include <string_view>

namespace popgate::pop3 {

enum class Arguments { none, optional_number, number, number_and_lines, text, optional_text, mechanism };

/// Where a verb may be used and what follows it: the one place that says so.
struct CommandRule {
    std::string_view name;
    Verb verb;
    Arguments arguments;
    bool before_login;
    bool after_login;
};

inline constexpr CommandRule command_rules[] = {
    {"USER", Verb::user, Arguments::text, true, false},
    {"PASS", Verb::pass, Arguments::text, true, false},
    {"APOP", Verb::apop, Arguments::text, true, false},
    {"RPOP", Verb::rpop, Arguments::text, true, false},
    {"AUTH", Verb::auth, Arguments::mechanism, true, false},
    {"STLS", Verb::stls, Arguments::none, true, false},
    {"CAPA", Verb::capa, Arguments::none, true, true},
    {"STAT", Verb::stat, Arguments::none, false, true},
    {"LIST", Verb::list, Arguments::optional_number, false, true},
    {"UIDL", Verb::uidl, Arguments::optional_number, false, true},
    {"RETR", Verb::retr, Arguments::number, false, true},
    {"TOP", Verb::top, Arguments::number_and_lines, false, true},
    {"DELE", Verb::dele, Arguments::number, false, true},
    {"RSET", Verb::rset, Arguments::none, false, true},
    {"NOOP", Verb::noop, Arguments::none, false, true},
    {"QUIT", Verb::quit, Arguments::none, true, true},
    {"UTF8", Verb::utf8, Arguments::none, true, false},
    {"LANG", Verb::lang, Arguments::optional_text, true, true},
};

constexpr const CommandRule& rule_of(Verb verb) {
    for (const auto& rule : command_rules)
        if (rule.verb == verb) return rule;
    return command_rules[0];
}

}  // namespace popgate::pop3
