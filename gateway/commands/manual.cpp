#include "gateway/commands/manual.hpp"

#include "gateway/config/config.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace popgate::commands {

namespace {

constexpr std::size_t longest_roff_line = 78;

/// A text as it stands, and as it can be copied from the page: troff would set "-", "'" and others as typographic
/// signs.
std::string in_roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '\\': out += "\\e"; break;
            case '-': out += "\\-"; break;
            case '\'': out += "\\(aq"; break;
            case '`': out += "\\(ga"; break;
            case '^': out += "\\(ha"; break;
            case '~': out += "\\(ti"; break;
            case '\n': out += ' '; break;
            default: out += c;
        }
    }
    return out;
}

std::string bold(std::string_view text) { return "\\fB" + in_roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + in_roff(text) + "\\fR"; }

/// Roff in lines of a length that every formatter takes, none of which is a macro by accident.
std::string in_lines(std::string_view roff) {
    std::string out;
    std::size_t length = 0;
    while (!roff.empty()) {
        const std::size_t end = std::min(roff.find(' '), roff.size());
        const std::string_view word = roff.substr(0, end);
        roff.remove_prefix(std::min(end + 1, roff.size()));
        if (word.empty()) continue;
        if (length != 0 && length + 1 + word.size() <= longest_roff_line) {
            out += ' ';
            length += 1 + word.size();
        } else {
            if (length != 0) out += '\n';
            if (word.front() == '.') out += "\\&";
            length = word.size();
        }
        out += word;
    }
    return length == 0 ? out : out + '\n';
}

std::string prose(std::string_view text) { return in_lines(in_roff(text)); }

std::string ended(std::string text) {
    if (!text.empty() && text.back() != '.') text += '.';
    return text;
}

std::string tagged(const std::string& tag, const std::string& body) { return ".TP\n" + in_lines(tag) + body; }

std::string title(std::string_view name, std::string_view number, std::string_view volume) {
    return ".TH " + std::string(name) + ' ' + std::string(number) + ' ' + POPGATE_VERSION_DATE + " \"popgate " +
           POPGATE_VERSION + "\" \"" + std::string(volume) + "\"\n";
}

/// The words that an option takes, where it is one of a few; else what CLI11 calls its type.
std::string value_name(const CLI::Option& option) {
    std::string type = option.get_type_name();
    const auto open = type.find('{');
    const auto close = type.find('}');
    if (open == std::string::npos || close == std::string::npos) return type;
    type = type.substr(open + 1, close - open - 1);
    std::replace(type.begin(), type.end(), ',', '|');
    return type;
}

std::string described(const CLI::Option& option) {
    std::string tag;
    if (option.get_positional()) {
        tag = italic(option.get_single_name());
    } else {
        for (const auto& name : option.get_snames()) tag += (tag.empty() ? "" : ", ") + bold("-" + name);
        for (const auto& name : option.get_lnames()) tag += (tag.empty() ? "" : ", ") + bold("--" + name);
        if (option.get_items_expected_max() > 0) tag += ' ' + italic(value_name(option));
    }
    std::string text = ended(option.get_description());
    if (option.get_required()) text += " Required.";
    std::string body = prose(text);
    if (!option.get_default_str().empty()) body += "Default:\n" + in_lines(bold(option.get_default_str()));
    return tagged(tag, body);
}

bool is_help(const CLI::Option& option) { return option.get_single_name() == "help"; }

/// "popgate mailbox show" and the like: the commands that do something.
struct Command {
    std::string name;
    const CLI::App* app;
};

void collect_commands(const CLI::App& app, const std::string& name, std::vector<Command>& commands) {
    const auto children = app.get_subcommands({});
    if (children.empty()) commands.push_back({name, &app});
    for (const CLI::App* child : children) collect_commands(*child, name + ' ' + child->get_name(), commands);
}

std::string synopsis(const Command& command) {
    bool has_options = false;
    std::string arguments;
    for (const CLI::Option* option : command.app->get_options()) {
        if (is_help(*option)) continue;
        if (!option->get_positional()) {
            has_options = true;
            continue;
        }
        const bool many = option->get_items_expected_max() > 1;
        const std::string one = italic(option->get_single_name()) + (many ? "..." : "");
        arguments += option->get_required() ? ' ' + one : " [" + one + ']';
    }
    return ".br\n" + in_lines(bold(command.name) + (has_options ? " [" + italic("OPTIONS") + "]" : "") + arguments);
}

std::string described(const Command& command) {
    std::string out = ".SS " + command.name + '\n' + prose(ended(command.app->get_description()));
    for (const CLI::Option* option : command.app->get_options()) {
        if (!is_help(*option)) out += described(*option);
    }
    return out;
}

constexpr std::string_view program_description = R"(.SH DESCRIPTION
.B popgate
serves POP3 (RFC 1939) in front of mailboxes that lie elsewhere: on an IMAP
server, behind JMAP, the Gmail API, Microsoft Graph or another HTTP API, in a
Maildir or an mbox.
Each session becomes calls on the place where the mail really is.
.PP
.B popgate serve
runs in the foreground.
It reads
.BR popgate.conf (5),
or takes options for one listener and one upstream.
What is wrong with a configuration is told with its line before anything is
listened on, also by
.BR "popgate check" .
.PP
Started as root it becomes the user
.I popgate
(or another one,
.B user
in
.BR [process] ),
and keeps no capability but that of binding ports below 1024.
)";

constexpr std::string_view program_surroundings = R"(.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
No new sessions are taken; running ones have
.B drain_timeout
to end.
A second signal ends them at once.
.TP
.B SIGHUP
The configuration is read again.
One that is wrong changes nothing, and the log says what is wrong.
Listeners that did not change keep their sessions.
.TP
.B SIGUSR1
The log file, if there is one, is opened anew.
.SH EXIT STATUS
.TP
.B 0
Done; for
.BR serve :
it was told to end, and has.
.TP
.B 1
It failed; for
.BR serve :
it could not start, as when an address is in use.
.TP
.B 2
The configuration or the command line is wrong.
.TP
.B 3
.B import\-uids
found no counterpart for some messages.
.TP
.B 130
Interrupted before it was done.
.SH ENVIRONMENT
.TP
.BR POPGATE_ \fISECTION\fR_\fIKEY ", " POPGATE_ \fISECTION\fR_\fIN\fR_\fIKEY
A key of
.BR popgate.conf (5)
in capitals, over what the file says;
.I N
counts the elements of a list from 0.
.TP
.B CREDENTIALS_DIRECTORY
Where
.RB \(dqcredential: NAME \(dq
in the configuration is looked for; set by
.BR systemd.exec (5).
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC ", " LISTEN_FDS
The service manager's, for a unit with Type=notify, a watchdog, or sockets that
it has opened.
.TP
.BR XDG_STATE_HOME ", " HOME
Where a server without a configuration file remembers mailboxes, unless root
runs it.
.SH FILES
.TP
.I /etc/popgate/popgate.toml
The configuration:
.BR popgate.conf (5).
.TP
.I /var/lib/popgate/state.db
What is remembered of mailboxes, and in
.IR state.db\-unique\-ids " and " state.db\-accounts
what cannot be learned again.
.TP
.I /var/lib/popgate/secrets.key
The keys of stored tokens and passwords, unless the configuration names another
file.
.TP
.I /run/popgate/admin.sock
Where the server listens to commands that are for it.
.SH SEE ALSO
.BR popgate.conf (5),
.BR systemd.socket (5),
.BR fetchmail (1)
)";

constexpr std::string_view configuration_description = R"(.SH NAME
popgate.conf, popgate.toml \- configuration of popgate
.SH SYNOPSIS
.I /etc/popgate/popgate.toml
.SH DESCRIPTION
The file that
.BR popgate (8)
runs with is TOML: sections in brackets, and in them keys with values.
A section in double brackets may be there any number of times, each time for
one more element.
Texts are in double quotes, or in single quotes where no backslash is to mean
anything.
.PP
At least one
.B [[listen]]
and one
.B [[route]]
are needed; all else has a default.
A key that is not known is an error, and so is a value that cannot be meant.
.PP
Names of files are relative to the folder of this file.
A duration is a number of seconds or a text such as
.BR \(dq500ms\(dq ,
.BR \(dq10m\(dq ,
.B \(dq12h\(dq
or
.BR \(dq30d\(dq .
In addresses of mailboxes and files
.B %u
stands for the user's name,
.B %n
for what is before its @ and
.B %d
for what is behind it.
.PP
The file holds passwords where it is told some: let none but root and
popgate's user read it.
.B popgate check \-\-config
.I FILE
judges it without running it.
)";

constexpr std::string_view configuration_end = R"(.SH EXAMPLE
.nf
[[listen]]
address = \(dq0.0.0.0:995\(dq
tls = \(dqimplicit\(dq

[tls]
certificate = \(dq/etc/popgate/tls/fullchain.pem\(dq
key = \(dq/etc/popgate/tls/privkey.pem\(dq

[[route]]
match = \(dq*\(dq
backend = \(dqimaps://imap.example.com\(dq
.fi
.SH SEE ALSO
.BR popgate (8)
)";

/// The keys of one section, in the order of the reference.
std::string described(const Section& section) {
    const std::string name(section.name);
    std::string out = ".SS " + (section.is_list ? "[[" + name + "]]" : '[' + name + ']') + '\n';
    out += prose(section.text);
    Config standard;
    for (const Option& option : section.open(standard)) {
        const OptionTexts texts = texts_of(option);
        std::string body = prose(option.text);
        const auto add = [&body](std::string_view what, const std::string& value) {
            if (!value.empty()) body += ".br\n" + in_lines(std::string(what) + ": " + in_roff(value));
        };
        add("Values", texts.values);
        add("Default", texts.standard);
        add("Example", texts.example);
        out += tagged(bold(option.key), body);
    }
    return out;
}

}  // namespace

std::string program_manual(const CLI::App& app) {
    std::vector<Command> commands;
    collect_commands(app, app.get_name(), commands);
    std::string out = title("POPGATE", "8", "System Manager's Manual");
    out += ".SH NAME\npopgate \\- a POP3 server in front of IMAP, HTTP and local mailboxes\n.SH SYNOPSIS\n";
    std::string lines;
    for (const Command& command : commands) lines += synopsis(command);
    out += lines.substr(lines.find('\n') + 1);  // the first needs no break before it
    out += program_description;
    out += ".SH OPTIONS\n";
    for (const CLI::Option* option : app.get_options()) out += described(*option);
    out += ".SH COMMANDS\nEach takes\n.B \\-\\-help\ntoo.\n";
    for (const Command& command : commands) out += described(command);
    out += program_surroundings;
    return out;
}

std::string configuration_manual() {
    std::string out = title("POPGATE.CONF", "5", "File Formats Manual");
    out += configuration_description;
    out += ".SH SECTIONS\n";
    for (const Section& section : sections()) out += described(section);
    out += configuration_end;
    return out;
}

}  // namespace popgate::commands
