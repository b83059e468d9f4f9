#include "gateway/config/options.hpp"

#include "gateway/config/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace popgate {

namespace {

template <class E>
ChoiceTarget choice(E& value, const Names<E>& names) {
    ChoiceTarget target{{}, 0, [&value, &names](std::size_t i) { value = names[i].second; }};
    for (const auto& [name, meaning] : names) {
        if (meaning == value) target.standard = target.names.size();
        target.names.push_back(name);
    }
    return target;
}

std::vector<Option> listen_options(ListenConfig& listen) {
    return {
        {"address", &listen.address,
         "IP address and port, as \"0.0.0.0:110\" or \"[::]:995\"; port 0 takes a free one.", "0.0.0.0:110"},
        {"tls", choice(listen.tls, tls_mode_names),
         "Clear text, clear text that STLS may upgrade, or TLS from the start."},
        {"require_tls", &listen.require_tls, "With tls = \"starttls\" only: no login before STLS."},
        {"min_tls", choice(listen.min_tls, tls_version_names),
         "Oldest TLS version taken; below 1.2 is for devices that know nothing better."},
        {"proxy_protocol", ForeseenTarget{{"false"}, {"true"}, true}, "HAProxy's PROXY header before each session."},
    };
}

std::vector<Option> tls_options(TlsConfig& tls) {
    return {
        {"certificate", FileTarget{&tls.certificate}, "PEM file: the chain, the server's own certificate first.",
         "/etc/popgate/tls/fullchain.pem"},
        {"key", FileTarget{&tls.key}, "PEM file: the private key, without a passphrase.",
         "/etc/popgate/tls/privkey.pem"},
    };
}

std::vector<Option> limits_options(LimitsConfig& limits) {
    return {
        {"max_sessions", NumberTarget{&limits.max_sessions, 1, 10'000'000}, "Sessions at one time."},
        {"max_sessions_per_address", NumberTarget{&limits.max_sessions_per_address, 1, 10'000'000},
         "Sessions at one time from one client address."},
        {"login_timeout", &limits.login_timeout,
         "From the connection to login, whatever the client does; what the upstream takes does not count."},
        {"idle_timeout", &limits.idle_timeout, "Between two commands; RFC 1939 asks for at least 10 minutes."},
        {"session_timeout", &limits.session_timeout, "A whole session, whatever it does."},
        {"write_timeout", &limits.write_timeout, "A client that takes no octet for so long is gone."},
        {"drain_timeout", &limits.drain_timeout, "What running sessions are given at shutdown before they are cut."},
        {"bad_commands", NumberTarget{&limits.bad_commands, 1, 1000},
         "Bad commands before login after which the connection is closed."},
        {"workers", NumberTarget{&limits.workers, 0, 1024}, "Threads that carry sessions; 0 means one a core."},
        {"blocking_threads", NumberTarget{&limits.blocking_threads, 1, 1024},
         "Threads for what blocks: password hashes, local files."},
    };
}

std::vector<Option> log_options(LogConfig& log) {
    return {
        {"format", choice(log.format, log_format_names),
         "One line of words or one JSON object an event, on standard error."},
        {"level", choice(log.level, log_level_names), "The least level that is written."},
    };
}

std::vector<Option> state_options(Config&) {
    return {{"url", IgnoredTarget{}, "Where an index will be kept.", "sqlite:/var/lib/popgate/state.db"}};
}

std::vector<Option> admin_options(Config&) {
    return {{"listen", IgnoredTarget{}, "Where health and metrics will be served.", "127.0.0.1:9110"}};
}

std::vector<Option> route_options(RouteConfig& route) {
    BackendOptions& backend = route.backend;
    return {
        {"match", &route.match, "The POP3 user names meant: * is any run of characters, ? one; case does not matter."},
        {"backend", &backend.url,
         "Where the mail is: imaps://host[:port], imap://host[:port], maildir:/path/%u or mbox:/path/%u "
         "(%u user name, %n the part before the last @, %d the part after it).",
         "imaps://imap.example.com"},
        {"auth", choice(route.auth, client_auth_names),
         "Who checks the password: the upstream, or a password file where the mail is local."},
        {"password_file", FileTarget{&route.password_file},
         "Lines of \"user:hash\", as popgate hash-password makes them."},
        {"starttls", choice(backend.starttls, starttls_names),
         "imap:// only: whether the upstream must offer STARTTLS."},
        {"ca_file", FileTarget{&backend.ca_file},
         "PEM file: trust these authorities for the upstream instead of the system's."},
        {"verify_certificate", &backend.verify_certificate,
         "false believes any certificate, so that anybody in between can read passwords and mail."},
        {"folder", &backend.folder, "The upstream's folder that is served."},
        {"sizes", ForeseenTarget{{"backend", "learned"}, {"exact"}, false},
         "Where the sizes in LIST come from; \"learned\" is as \"backend\" in this version."},
        {"on_delete", ForeseenTarget{{"delete"}, {"trash", "archive", "mark-read", "keep"}, false},
         "What becomes of deleted messages at QUIT."},
        {"lock", choice(route.lock, lock_mode_names), "One session at a time for a mailbox, or any number."},
        {"mark_seen", &route.mark_seen, "Whether a message that was retrieved is marked as read upstream."},
        {"connect_timeout", &backend.connect_timeout, "To reach the upstream, and again for TLS."},
        {"command_timeout", &backend.command_timeout, "The longest silence of the upstream within one command."},
        {"keep_alive", &route.keep_alive, "How often the upstream is spoken to while the client is silent."},
    };
}

struct Unit {
    std::string_view name;
    std::chrono::milliseconds length;
};
constexpr std::array<Unit, 4> units{{{"h", std::chrono::hours(1)},
                                     {"m", std::chrono::minutes(1)},
                                     {"s", std::chrono::seconds(1)},
                                     {"ms", std::chrono::milliseconds(1)}}};

/// A target's default in TOML; empty where there is none.
struct DefaultText {
    std::string operator()(const std::string* text) const { return text->empty() ? "" : in_quotes(*text); }
    std::string operator()(const FileTarget& file) const { return (*this)(file.path); }
    std::string operator()(const bool* flag) const { return *flag ? "true" : "false"; }
    std::string operator()(const NumberTarget& number) const { return std::to_string(*number.value); }
    std::string operator()(const std::chrono::milliseconds* time) const { return in_quotes(duration_text(*time)); }
    std::string operator()(const ChoiceTarget& choice) const { return in_quotes(choice.names[choice.standard]); }
    std::string operator()(const ForeseenTarget& foreseen) const {
        return foreseen.is_boolean ? std::string(foreseen.now[0]) : in_quotes(foreseen.now[0]);
    }
    std::string operator()(const IgnoredTarget&) const { return {}; }
};

/// Which values a target takes, where that is not evident.
struct ValuesText {
    template <class T>
    std::string operator()(const T&) const {
        return {};
    }
    std::string operator()(const NumberTarget& number) const {
        return std::to_string(number.least) + " to " + std::to_string(number.most);
    }
    std::string operator()(const ChoiceTarget& choice) const { return listed(choice.names, " | "); }
    std::string operator()(const ForeseenTarget& foreseen) const {
        return "in this version only " +
               (foreseen.is_boolean ? std::string(foreseen.now[0]) : listed(foreseen.now, " | "));
    }
    std::string operator()(const IgnoredTarget&) const { return "no effect in this version"; }
};

}  // namespace

const std::vector<Section>& sections() {
    static const std::vector<Section> all = {
        {"listen", true, "One of any number of addresses to listen on.",
         [](Config& config) { return listen_options(config.listeners.emplace_back()); }},
        {"tls", false, "The server's certificate, for every listener that offers TLS.",
         [](Config& config) { return tls_options(config.tls); }},
        {"limits", false, "Durations are \"500ms\", \"60s\", \"10m\", \"12h\", or a number of seconds.",
         [](Config& config) { return limits_options(config.limits); }},
        {"log", false, "", [](Config& config) { return log_options(config.log); }},
        {"state", false, "", state_options},
        {"admin", false, "", admin_options},
        {"route", true, "Which users go where; the first route that matches wins.",
         [](Config& config) { return route_options(config.routes.emplace_back()); }},
    };
    return all;
}

std::string duration_text(std::chrono::milliseconds duration) {
    for (const Unit& unit : units) {
        if (duration % unit.length == std::chrono::milliseconds::zero()) {
            return std::to_string(duration / unit.length) + std::string(unit.name);
        }
    }
    return {};
}

std::chrono::milliseconds parse_duration(std::string_view text) {
    constexpr std::chrono::milliseconds none{-1};
    std::uint32_t count = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc()) return none;
    const std::string_view name(rest, static_cast<std::size_t>(end - rest));
    const auto* const unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    return unit == units.end() ? none : count * unit->length;
}

std::string config_reference() {
    Config standard;
    std::string out;
    for (const Section& section : sections()) {
        if (!out.empty()) out += '\n';
        if (!section.text.empty()) out += "# " + std::string(section.text) + '\n';
        const std::string name(section.name);
        out += section.is_list ? "[[" + name + "]]\n" : "[" + name + "]\n";
        for (const Option& option : section.open(standard)) {
            const std::string values = std::visit(ValuesText{}, option.target);
            const std::string value = std::visit(DefaultText{}, option.target);
            out += "# " + std::string(option.text) + (values.empty() ? "" : " (" + values + ")") + '\n';
            // A key without default is shown, but as a comment: the reference is a file that says nothing.
            out += value.empty() ? "# " + std::string(option.key) + " = " + in_quotes(option.example) + '\n'
                                 : std::string(option.key) + " = " + value + '\n';
        }
    }
    return out;
}

}  // namespace popgate
