#include "gateway/accounts/password_file.hpp"
#include "gateway/accounts/secret.hpp"
#include "gateway/app.hpp"
#include "gateway/commands/account_options.hpp"
#include "gateway/commands/commands.hpp"
#include "gateway/commands/control_commands.hpp"
#include "gateway/commands/direct_config.hpp"
#include "gateway/commands/doctor.hpp"
#include "gateway/commands/manual.hpp"
#include "gateway/commands/password.hpp"
#include "gateway/config/config.hpp"
#include "gateway/config/environment.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/options.hpp"
#include "gateway/config/rest_apis.hpp"
#include "gateway/config/state_url.hpp"
#include "gateway/config/view.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/process/privileges.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <string>

namespace {

using namespace popgate;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

/// The options of `serve` without a file, as the one listener and the one route that they make.
struct CommandLine {
    std::string file;
    ListenConfig listener{"127.0.0.1:1110", TlsMode::none};
    TlsConfig tls;
    LogConfig log;
    ProcessConfig process{"root"};  // whoever starts it by hand means himself
    StateConfig state{personal_state_url(geteuid() == 0, std::getenv("XDG_STATE_HOME"), std::getenv("HOME"))};
    RouteConfig route;
    commands::DirectOauth oauth;

    Config config() const {
        Config config;
        config.listeners = {listener};
        config.tls = tls;
        config.log = log;
        config.process = process;
        config.state = state;
        config.routes = {route};
        link_rest_apis(config);
        if (!route.password_file.empty()) config.routes[0].auth = ClientAuth::password_file;
        oauth.apply(config);
        return config;
    }
};

/// check_config() speaks of keys, but whoever gave options knows only those.
std::string option_for(const std::string& key) {
    static const std::map<std::string, std::string> options = {
        {"listen[0].address", "--listen"},
        {"listen[0].tls", "--tls"},
        {"tls.certificate", "--tls-certificate"},
        {"tls.key", "--tls-key"},
        {"route[0].backend", "--backend"},
        {"route[0].auth", "--password-file"},
        {"route[0].password_file", "--password-file"},
        {"route[0].ca_file", "--ca-file"},
        {"route[0].starttls", "--starttls"},
        {"route[0].verify_certificate", "--no-verify-certificate"},
        {"oauth[0].provider", "--oauth"},
        {"oauth[0].issuer", "--oauth"},
        {"oauth[0].client_id", "--client-id"},
        {"oauth[0].client_secret_file", "--client-secret-file"},
        {"oauth[0].tenant", "--tenant"},
        {"route[0].oauth", "--oauth"},
        {"route[0].http_auth", "--http-auth"},
        {"route[0].http_proxy", "--http-proxy"},
        {"route[0].mailbox", "--mailbox"},
        {"route[0].on_delete", "--on-delete"},
        {"route[0].rest_api", "--rest-api"},
        {"route[0].token_file", "--token-file"},
        {"route[0].view", "--view"},
        {"route[0].unique_ids", "--unique-ids"},
        {"process.user", "--user"},
        {"state.url", "--state"},
    };
    const auto found = options.find(key);
    return found == options.end() ? key : found->second;
}

LoadedConfig load(const CommandLine& line) {
    if (line.route.backend.url.empty()) return load_config(line.file);
    LoadedConfig loaded{line.config(), {}};
    loaded.problems = check_config(loaded.config);
    for (ConfigProblem& problem : loaded.problems) problem.key = option_for(problem.key);
    return loaded;
}

/// What no thread may have been started before. The log file is opened by the user who opens it again later.
Status begin(const Config& config) {
    LogConfig to_stderr = config.log;
    to_stderr.file.clear();
    if (auto status = set_up_log(to_stderr); status.has_error()) return status;
    const auto asks_pam = [](const RouteConfig& route) { return route.auth == ClientAuth::pam; };
    const auto programs =
        std::ranges::any_of(config.routes, asks_pam) ? SetuidPrograms::allowed : SetuidPrograms::forbidden;
    if (auto status = drop_privileges(config.process.user, programs); status.has_error()) return status;
#ifndef POPGATE_SANITIZED  // a sanitizer's report is written by a program of its own
    if (programs == SetuidPrograms::forbidden && config.login.sign_in_command.empty())
        if (auto status = forbid_programs(); status.has_error()) return status;
#endif
    return set_up_log(config.log);
}

int serve(const CommandLine& line) {
    const LoadedConfig loaded = load(line);
    if (!loaded.usable()) {
        for (const ConfigProblem& problem : loaded.problems) std::cerr << "popgate: " << problem.to_string() << '\n';
        return exit_usage;
    }
    if (const auto status = begin(loaded.config); status.has_error()) {
        log(LogLevel::error, "start_failed", {{"error", status.error().text}});
        return exit_failure;
    }
    for (const ConfigProblem& problem : loaded.problems) {
        std::string where = problem.file.empty() ? "command line" : problem.file;
        if (problem.line != 0) where += ':' + std::to_string(problem.line);
        log(LogLevel::warning, "config", {{"where", where}, {"key", problem.key}, {"text", problem.text}});
    }
    return run_gateway(loaded.config, [&line] { return load(line); });
}

int check(const std::string& file) {
    const LoadedConfig loaded = load_config(file);
    for (const ConfigProblem& problem : loaded.problems) std::cout << problem.to_string() << '\n';
    if (!loaded.usable()) return exit_usage;
    std::cout << (file.empty() ? "environment" : file) << ": ok\n";
    return 0;
}

int print_hash() {
    std::string password;
    if (commands::can_ask()) {
        password = commands::ask_silently("Password: ");
        std::string again = commands::ask_silently("Again: ");
        const bool same = password == again;
        Secret::wipe(again);
        if (!same) {
            std::cerr << "popgate: the two passwords are not the same\n";
            return exit_usage;
        }
    } else {
        std::getline(std::cin, password);
    }
    if (password.empty()) {
        std::cerr << "popgate: the password is empty\n";
        return exit_usage;
    }
    const std::string hash = hash_password(password);
    Secret::wipe(password);
    std::cout << hash << '\n';
    return 0;
}

template <class E>
CLI::Option* add_choice(CLI::App* command, const std::string& name, E& value, const Names<E>& names,
                        const std::string& text) {
    std::vector<std::string> words;
    for (const auto& [word, meaning] : names) words.emplace_back(word);
    const auto choose = [&value, &names](const std::string& word) {
        value =
            std::find_if(names.begin(), names.end(), [&](const auto& known) { return known.first == word; })->second;
    };
    return command->add_option_function<std::string>(name, choose, text)->check(CLI::IsMember(words));
}

CLI::Option* add_view(CLI::App* command, View& view) {
    const auto choose = [&view](const std::string& text) {
        const Result<View> parsed = parse_view(text);
        if (!parsed) throw CLI::ValidationError("--view", parsed.error().text);
        view = *parsed;
    };
    return command->add_option_function<std::string>(
        "--view", choose, "Which messages are shown: " + std::string(view_forms) + "; the default is all");
}

CLI::App* add_serve(CLI::App& app, CommandLine& line) {
    CLI::App* const command = app.add_subcommand(
        "serve", "Run the server, from a file, from the options below, or from POPGATE_… variables alone.");
    CLI::Option* const file = command->add_option("--config", line.file, "The configuration file");
    BackendOptions& backend = line.route.backend;
    CLI::Option* const url = command->add_option(
        "--backend", backend.url,
        "Where the mail is: imaps://host, jmaps://host, gmail:, graph:, rest:https://host, maildir:/path/%u or "
        "mbox:/path/%u");
    const auto without_file = [&](CLI::Option* option) { option->needs(url)->excludes(file); };
    url->excludes(file);
    without_file(command->add_option("--listen", line.listener.address, "IP address and port")->capture_default_str());
    without_file(
        add_choice(command, "--tls", line.listener.tls, tls_mode_names, "TLS for clients; the default is none"));
    without_file(command->add_option("--tls-certificate", line.tls.certificate, "PEM file, the chain"));
    without_file(command->add_option("--tls-key", line.tls.key, "PEM file"));
    without_file(command->add_option("--ca-file", backend.ca_file, "PEM file: trust this CA for the upstream"));
    without_file(
        add_choice(command, "--starttls", backend.starttls, starttls_names, "imap:// only; the default is require"));
    without_file(command->add_flag_callback(
        "--no-verify-certificate", [&backend] { backend.verify_certificate = false; },
        "Believe any certificate of the upstream: dangerous"));
    without_file(command->add_option("--http-auth", backend.http_auth,
                                     "How the password goes to an HTTP upstream: basic, bearer, header NAME or none"));
    without_file(command->add_option("--token-file", backend.token_file,
                                     "Holds the credential for an HTTP upstream instead of the client's password"));
    line.oauth.declare(*command, url, file);
    without_file(
        command->add_option("--http-proxy", backend.http_proxy, "http://host:port of the proxy to go through"));
    without_file(command->add_option("--mailbox", backend.mailbox,
                                     "Whose mailbox is opened behind HTTP, if not the credential's owner's"));
    without_file(command->add_option("--rest-api", line.route.rest_api, "rest: only: maildev, mailpit or wildduck"));
    without_file(command->add_option("--folder", backend.folder, "The folder that is served")->capture_default_str());
    without_file(command->add_option("--password-file", line.route.password_file,
                                     "Lines of user:hash; needed where the mail is local"));
    without_file(command->add_option("--state", line.state.url, "What is remembered of the mailboxes: sqlite:/path")
                     ->default_str("sqlite:/var/lib/popgate/state.db as root, else below ~/.local/state"));
    MaildropPolicy& policy = line.route.policy;
    without_file(add_choice(command, "--sizes", line.route.sizes, sizes_names,
                            "Where the sizes in LIST come from; the default is learned"));
    without_file(add_choice(command, "--on-delete", policy.on_delete, on_delete_names,
                            "What becomes of deleted messages; the default is delete"));
    without_file(add_view(command, policy.view));
    without_file(add_choice(command, "--order", policy.order, message_order_names,
                            "Which message is number 1; the default is oldest-first"));
    without_file(
        command->add_option("--unique-ids", backend.unique_ids, "How unique-ids are written")->capture_default_str());
    without_file(command->add_option("--user", line.process.user, "As whom it goes on when root has started it")
                     ->capture_default_str());
    without_file(add_choice(command, "--log-format", line.log.format, log_format_names, "The default is text"));
    return command;
}

int run(int argc, char** argv) {
    CLI::App app("popgate: a POP3 server in front of IMAP, HTTP and local mailboxes", "popgate");
    app.set_version_flag("--version", "popgate " POPGATE_VERSION);
    app.require_subcommand(1);

    CommandLine line;
    std::string file;
    const CLI::App* const serve_command = add_serve(app, line);
    CLI::App* const check_command = app.add_subcommand("check", "Judge a configuration without running it.");
    check_command->add_option("--config", file, "The configuration file");
    const CLI::App* const hash_command =
        app.add_subcommand("hash-password", "Print the hash of a password, for a password file.");
    const CLI::App* const reference_command =
        app.add_subcommand("config-reference", "Print every key of the configuration file with its default.");
    std::string section;
    CLI::App* const manual_command =
        app.add_subcommand("manual", "Print a manual page in roff, for man -l: popgate(8) or popgate.conf(5).");
    manual_command->add_option("SECTION", section, "8 or 5")->required()->check(CLI::IsMember({"8", "5"}));
    commands::AdminCommands admin(app);
    commands::AccountCommands accounts(app);
    commands::ControlCommands control(app);
    commands::DoctorCommand doctor(app);

    try {
        app.parse(argc, argv);
        const bool by_environment = is_enough(process_environment());
        if (*serve_command && line.file.empty() && line.route.backend.url.empty() && !by_environment) {
            throw CLI::RequiredError("serve: --config, --backend or " + variable_name("route[0].backend"));
        }
        if (*check_command && file.empty() && !by_environment) throw CLI::RequiredError("--config");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : exit_usage;
    }
    if (*serve_command) return serve(line);
    if (*check_command) return check(file);
    if (*hash_command) return print_hash();
    if (*reference_command) std::cout << config_reference();
    if (*manual_command)
        std::cout << (section == "5" ? commands::configuration_manual() : commands::program_manual(app));
    if (const auto exit_code = doctor.run()) return *exit_code;
    if (const auto exit_code = accounts.run()) return *exit_code;
    if (const auto exit_code = control.run()) return *exit_code;
    return admin.run().value_or(0);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "popgate: " << error.what() << '\n';
        return exit_failure;
    }
}
