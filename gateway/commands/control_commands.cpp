#include "gateway/commands/control_commands.hpp"

#include "backends/ascii.hpp"
#include "gateway/commands/admin_client.hpp"
#include "gateway/commands/commands.hpp"
#include "gateway/commands/opened.hpp"
#include "gateway/commands/output.hpp"
#include "gateway/commands/session_table.hpp"
#include "gateway/commands/top.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/endpoint.hpp"

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>

namespace popgate::commands {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto patience_of_people = 60s;  // a reload reads files and tries listeners
constexpr auto patience_of_probes = 5s;
// A trace goes on for so long after whoever looked has gone without a word; it is asked for anew well before.
constexpr auto trace_lasts = 15s;
constexpr auto trace_is_renewed_every = 5s;
constexpr const char* trace_waits = "1";  // seconds: so long may a Ctrl-C take

int complain_of(Console& console, const std::string& text, int exit_code) {
    console.err << "popgate: " << text << '\n';
    return exit_code;
}

/// A line that the server gave as the reason.
int refused(Console& console, const AdminClient::Answer& answer) {
    const auto line = answer.body.substr(0, answer.body.find('\n'));
    return complain_of(console, line.empty() ? "the server answers " + std::to_string(answer.status) : plain(line),
                       exit_failed);
}

int not_understood(Console& console) {
    return complain_of(console, "the server's answer cannot be understood", exit_failed);
}

std::string text_of(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value && value->is_string() ? plain(value->get_string()) : "-";
}

std::uint64_t count_of(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value && value->is_int64() ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, value->get_int64())) : 0;
}

bool holds(const json::object& object, std::string_view name) {
    const auto* const value = object.if_contains(name);
    return value && value->is_bool() && value->get_bool();
}

const json::array& list_in(const json::object& object, std::string_view name) {
    static const json::array none;
    const auto* const value = object.if_contains(name);
    return value && value->is_array() ? value->get_array() : none;
}

void print_list(std::ostream& out, std::string_view heading, const json::array& lines) {
    std::string before(heading);
    for (const auto& line : lines) {
        out << before << (line.is_string() ? plain(line.get_string()) : "-") << '\n';
        before.assign(heading.size(), ' ');
    }
}

void print_status(std::ostream& out, const json::object& status) {
    out << "popgate " << text_of(status, "version") << ", "
        << (holds(status, "draining") ? "draining"
            : holds(status, "ready")  ? "ready"
                                      : "NOT READY")
        << (holds(status, "under_stress") ? ", under stress" : "") << '\n';
    for (const auto& each : list_in(status, "troubles")) {
        const auto* const trouble = each.if_object();
        if (!trouble) continue;
        const auto why = text_of(*trouble, "why");
        out << (holds(*trouble, "stops_service") ? "STOPS SERVICE   " : "wrong           ") << text_of(*trouble, "what")
            << (why == "-" ? "" : ": " + why) << '\n';
    }
    out << "running since   " << text_of(status, "started") << '\n';
    out << "configured      " << text_of(status, "configured") << '\n';
    out << "sessions        " << count_of(status, "sessions") << " of " << count_of(status, "max_sessions") << '\n';
    std::uint64_t sessions = 0, logins = 0, failed = 0, messages = 0, octets = 0, failures = 0;
    for (const auto& each : list_in(status, "history")) {
        const auto* const minute = each.if_object();
        if (!minute) continue;
        sessions += count_of(*minute, "sessions");
        logins += count_of(*minute, "logins");
        failed += count_of(*minute, "failed_logins");
        messages += count_of(*minute, "messages");
        octets += count_of(*minute, "octets");
        failures += count_of(*minute, "upstream_failures");
    }
    out << "the last hour   " << sessions << " sessions, " << logins << " logins, " << failed << " failed logins, "
        << messages << " messages, " << octets << " octets, " << failures << " upstream failures\n";
    print_list(out, "listening on    ", list_in(status, "listeners"));
    print_list(out, "routes          ", list_in(status, "routes"));
}

/// SIGINT and SIGTERM wait to be looked at while it lives: an answer under way is read to its end first.
class HeldSignals {
public:
    HeldSignals() {
        sigemptyset(&set_);
        for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, each);
        sigprocmask(SIG_BLOCK, &set_, nullptr);
    }
    bool has_come() const {
        constexpr timespec at_once{0, 0};
        return sigtimedwait(&set_, nullptr, &at_once) > 0;
    }

private:
    sigset_t set_{};
};

}  // namespace

struct ControlCommands::Options {
    CLI::App* status = nullptr;
    CLI::App* sessions = nullptr;
    CLI::App* top = nullptr;
    CLI::App* kick = nullptr;
    CLI::App* drain = nullptr;
    CLI::App* reload = nullptr;
    CLI::App* trace = nullptr;
    CLI::App* health = nullptr;

    std::string config = standard_config;
    std::string socket;
    bool json = false;
    bool live = false;
    std::string user;
    std::optional<std::uint64_t> id;

    std::string address(Console& console) const;
    int run_status(AdminClient& client, Console& console) const;
    int run_sessions(AdminClient& client, Console& console) const;
    int run_kick(AdminClient& client, Console& console) const;
    int run_drain(AdminClient& client, Console& console) const;
    int run_reload(AdminClient& client, Console& console) const;
    int run_trace(AdminClient& client, Console& console) const;
    int run_health(AdminClient& client, Console& console) const;
};

/// Empty after a complaint. A file that is wrong elsewhere still says where the server is that runs with the one
/// before.
std::string ControlCommands::Options::address(Console& console) const {
    if (!socket.empty()) return "unix:" + socket;
    const auto loaded = load_servers_config(config);
    const auto addresses = words_of(loaded.config.admin.listen);
    for (const auto& each : addresses)
        if (parse_unix_address(each)) return each;
    // Health is told over TCP, too.
    if (*health)
        for (const auto& each : addresses)
            if (const auto endpoint = parse_endpoint(each); endpoint && endpoint->port() != 0) return each;
    if (!loaded.usable())
        for (const auto& problem : loaded.problems) console.err << "popgate: " << problem.to_string() << '\n';
    else
        console.err << "popgate: " << plain(config)
                    << ": [admin] listen names no Unix socket, as \"unix:/run/popgate/admin.sock\"\n";
    return {};
}

int ControlCommands::Options::run_status(AdminClient& client, Console& console) const {
    const auto answer = client.get("/status.json");
    if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
    if (!answer->good()) return refused(console, *answer);
    const auto said = answer->json();
    if (!said.is_object()) return not_understood(console);
    if (json)
        print_json(console.out, said);
    else
        print_status(console.out, said.get_object());
    return exit_done;
}

int ControlCommands::Options::run_sessions(AdminClient& client, Console& console) const {
    const auto answer = client.get("/sessions");
    if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
    if (!answer->good()) return refused(console, *answer);
    const auto list = answer->json();
    auto open = parse_sessions(list);
    if (!open) return not_understood(console);
    if (!json) return print_sessions(std::move(*open), console.out), exit_done;
    for (const auto& each : list.get_array()) print_json(console.out, each);
    return exit_done;
}

int ControlCommands::Options::run_kick(AdminClient& client, Console& console) const {
    const auto answer = client.post("/kick", {id ? std::pair<std::string, std::string>("id", std::to_string(*id))
                                                 : std::pair<std::string, std::string>("user", user)});
    if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
    if (!answer->good()) return refused(console, *answer);
    const auto said = answer->json();
    if (!said.is_object()) return not_understood(console);
    const auto kicked = count_of(said.get_object(), "kicked");
    if (json)
        print_json(console.out, said);
    else if (kicked > 0)
        console.out << "Ended " << kicked << (kicked == 1 ? " session.\n" : " sessions.\n");
    if (kicked > 0) return exit_done;
    return complain_of(console, "there is no such session", exit_failed);
}

int ControlCommands::Options::run_drain(AdminClient& client, Console& console) const {
    const auto answer = client.post("/drain");
    if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
    if (!answer->good()) return refused(console, *answer);
    console.out << "The server takes no new sessions, and ends when those that are open have ended.\n";
    return exit_done;
}

int ControlCommands::Options::run_reload(AdminClient& client, Console& console) const {
    constexpr unsigned bad_configuration = 422;
    const auto answer = client.post("/reload");
    if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
    const auto said = answer->json();
    if (answer->status == bad_configuration && said.is_object()) {
        for (const auto& problem : list_in(said.get_object(), "problems"))
            if (problem.is_string()) console.err << "popgate: " << plain(problem.get_string()) << '\n';
        return complain_of(console, "nothing was changed", exit_usage);
    }
    if (!answer->good()) return refused(console, *answer);
    if (!said.is_object()) return not_understood(console);
    console.out << "The configuration has been taken.\n";
    print_list(console.out, "", list_in(said.get_object(), "remarks"));
    return exit_done;
}

int ControlCommands::Options::run_trace(AdminClient& client, Console& console) const {
    const HeldSignals signals;
    const auto switch_to = [&](std::chrono::seconds time) {
        return client.post("/trace", {{"user", user}, {"seconds", std::to_string(time.count())}});
    };
    std::uint64_t last = 0;
    auto renewed = Clock::time_point::min();
    while (!signals.has_come() && console.out) {
        if (renewed == Clock::time_point::min() || Clock::now() - renewed >= trace_is_renewed_every) {
            renewed = Clock::now();
            const auto switched = switch_to(trace_lasts);
            if (!switched) return complain_of(console, plain(switched.error().text), exit_failed);
            if (!switched->good()) return refused(console, *switched);
        }
        const auto answer =
            client.get("/trace", {{"user", user}, {"after", std::to_string(last)}, {"wait", trace_waits}});
        if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
        if (!answer->good()) return refused(console, *answer);
        const auto lines = answer->json();
        if (!lines.is_array()) return not_understood(console);
        for (const auto& each : lines.get_array()) {
            const auto* const line = each.if_object();
            if (!line) return not_understood(console);
            last = std::max(last, count_of(*line, "number"));
            if (json)
                print_json(console.out, each);
            else
                console.out << text_of(*line, "time") << ' ' << count_of(*line, "session") << ' '
                            << text_of(*line, "side") << ' ' << text_of(*line, "text") << '\n';
        }
        console.out.flush();
    }
    const auto off = switch_to(0s);
    if (!off) return complain_of(console, plain(off.error().text), exit_failed);
    return exit_done;
}

int ControlCommands::Options::run_health(AdminClient& client, Console& console) const {
    for (const auto* const path : {"/healthz", "/readyz"}) {
        if (live && path == std::string_view("/readyz")) break;
        const auto answer = client.get(path);
        if (!answer) return complain_of(console, plain(answer.error().text), exit_failed);
        if (answer->good()) continue;
        for (std::string_view lines = answer->body; !lines.empty();) {
            const auto line = lines.substr(0, lines.find('\n'));
            console.err << "popgate: " << plain(line) << '\n';
            lines.remove_prefix(std::min(line.size() + 1, lines.size()));
        }
        return exit_failed;
    }
    console.out << (live ? "alive\n" : "ready\n");
    return exit_done;
}

ControlCommands::ControlCommands(CLI::App& app) : options_(std::make_unique<Options>()) {
    Options& options = *options_;
    const auto declare = [&](const char* name, const char* text) {
        CLI::App* const command = app.add_subcommand(name, text);
        auto* const file =
            command->add_option("--config", options.config, "The server's configuration file")->capture_default_str();
        command->add_option("--socket", options.socket, "The server's Unix socket, instead")->excludes(file);
        return command;
    };
    const auto declare_with_json = [&](const char* name, const char* text) {
        CLI::App* const command = declare(name, text);
        command->add_flag("--json", options.json, "For scripts: a JSON document a line");
        return command;
    };
    options.status = declare_with_json("status", "What the running server does, and what is wrong now.");
    options.sessions = declare_with_json("sessions", "The sessions that are open now.");
    options.top = declare("top", "The sessions that are open, live, with what they fetch.");
    options.kick = declare_with_json("kick", "End sessions of the running server.");
    auto* const user = options.kick->add_option("USER", options.user, "All sessions of a user, as in POP3");
    auto* const id = options.kick->add_option("--id", options.id, "One session, as popgate sessions numbers them");
    id->excludes(user);
    options.drain = declare("drain", "Have the server take no new sessions, and end when the open ones have ended.");
    options.reload = declare("reload", "Have the server read its configuration again.");
    options.trace = declare_with_json(
        "trace", "The conversations of a user on both sides, live and without secrets, until Ctrl-C.");
    options.trace->add_option("USER", options.user, "As in POP3")->required();
    options.health = declare("health", "Whether the server runs and takes sessions, as an exit code for probes.");
    options.health->add_flag("--live", options.live, "Only whether it runs");
}

ControlCommands::~ControlCommands() = default;

std::optional<int> ControlCommands::run() {
    const Options& options = *options_;
    Console console{std::cout, std::cerr, options.json, false};
    const auto run_it = [&]() -> std::optional<int> {
        using Run = std::function<int(AdminClient&, Console&)>;
        const auto bound = [&options](int (Options::*run)(AdminClient&, Console&) const) -> Run {
            return [&options, run](AdminClient& client, Console& to) { return (options.*run)(client, to); };
        };
        const Run run = *options.status     ? bound(&Options::run_status)
                        : *options.sessions ? bound(&Options::run_sessions)
                        : *options.top      ? Run(run_top)
                        : *options.kick     ? bound(&Options::run_kick)
                        : *options.drain    ? bound(&Options::run_drain)
                        : *options.reload   ? bound(&Options::run_reload)
                        : *options.trace    ? bound(&Options::run_trace)
                        : *options.health   ? bound(&Options::run_health)
                                            : Run();
        if (!run) return std::nullopt;
        std::signal(SIGPIPE, SIG_IGN);  // a server or a reader that has gone is an error of the write
        if (*options.kick && options.user.empty() && !options.id)
            return complain_of(console, "kick: a USER or --id is needed", exit_usage);
        const auto address = options.address(console);
        if (address.empty()) return exit_usage;
        const bool is_quick = *options.health || *options.top;
        AdminClient client(address, is_quick ? patience_of_probes : patience_of_people);
        return run(client, console);
    };
    const auto exit_code = run_it();
    std::cout.flush();
    if (exit_code == exit_done && !std::cout)
        return complain_of(console, "standard output cannot be written", exit_failed);
    return exit_code;
}

}  // namespace popgate::commands
