#include "gateway/commands/account_options.hpp"

#include "gateway/commands/account_commands.hpp"
#include "gateway/commands/account_login.hpp"
#include "gateway/commands/account_test.hpp"
#include "gateway/commands/commands.hpp"
#include "gateway/commands/direct_config.hpp"
#include "gateway/commands/import_email_proxy.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/on_fiber.hpp"
#include "gateway/commands/opened.hpp"
#include "gateway/commands/password.hpp"
#include "gateway/config/state_url.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace popgate::commands {

namespace {

std::int64_t now() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

int complain(Console& console, const std::string& text) {
    console.err << "popgate: " << text << '\n';
    return exit_usage;
}

/// From `file`, else from who sits at the terminal, else from standard input.
Result<Secret> find_secret(const std::string& file, const std::string& prompt) {
    if (!file.empty()) return read_password(file);
    if (!can_ask()) return read_password("-");
    std::string answer = ask_silently(prompt);
    if (answer.empty()) return Error{Errc::permanent, "no password was typed", {}};
    Secret secret(answer);
    Secret::wipe(answer);
    return secret;
}

}  // namespace

struct AccountCommands::Options {
    CLI::App* add = nullptr;
    CLI::App* list = nullptr;
    CLI::App* show = nullptr;
    CLI::App* remove = nullptr;
    CLI::App* revoke = nullptr;
    CLI::App* login = nullptr;
    CLI::App* test = nullptr;
    CLI::App* import = nullptr;
    CLI::App* create = nullptr;
    CLI::App* rotate = nullptr;
    CLI::App* check = nullptr;

    std::string config = standard_config;
    BackendOptions backend;
    std::string state = personal_state_url(geteuid() == 0, std::getenv("XDG_STATE_HOME"), std::getenv("HOME"));
    DirectOauth oauth;
    bool json = false;
    bool yes = false;
    std::string user;
    std::string id;
    std::string file;
    std::optional<std::string> upstream_user;
    bool asks_upstream_password = false;
    std::string upstream_password_file;
    bool asks_shared_secret = false;
    std::string shared_secret_file;
    std::optional<std::string> app_password;
    bool device = false;
    bool browser = false;
    std::string password_file;

    std::optional<Opened> open(Console& console, int& exit_code) const;
    int on_account(Console& console, const std::function<int(Fiber&, Accounts&, const std::string&)>& body) const;
    int run_add(Console& console) const;
    int run_remove(Console& console) const;
    int run_login(Console& console) const;
    int run_test(Console& console) const;
    int run_import(Console& console) const;
    int run_create(Console& console) const;
    int run_rotate(Console& console) const;
    int run_check(Console& console) const;
};

std::optional<Opened> AccountCommands::Options::open(Console& console, int& exit_code) const {
    if (backend.url.empty()) return Opened::open(config, Access::write, console, exit_code);
    LoadedConfig loaded;
    loaded.config.listeners = {ListenConfig{"127.0.0.1:1110", TlsMode::none}};
    loaded.config.state.url = state;
    loaded.config.routes.emplace_back().backend = backend;
    oauth.apply(loaded.config);
    loaded.problems = check_config(loaded.config);
    return Opened::open(std::move(loaded), Access::write, console, exit_code);
}

int AccountCommands::Options::on_account(Console& console,
                                         const std::function<int(Fiber&, Accounts&, const std::string&)>& body) const {
    int exit_code = 0;
    const auto opened = open(console, exit_code);
    if (!opened) return exit_code;
    const auto name = opened->accounts().authenticator.canonical(user);
    if (!name) return complain(console, plain(user) + " is no name of a user");
    return on_fiber([&](Fiber& fiber) {
        const int outcome = body(fiber, opened->accounts(), *name);
        opened->accounts().tokens.hurry();
        return outcome;
    });
}

int AccountCommands::Options::run_add(Console& console) const {
    AccountChange change;
    change.upstream_user = upstream_user;
    change.app_password = app_password;
    if (asks_upstream_password || !upstream_password_file.empty()) {
        auto secret = find_secret(upstream_password_file, "Password of " + plain(user) + " at the upstream: ");
        if (!secret) return fail(console, secret.error()), exit_usage;
        change.upstream_password = std::move(*secret);
    }
    if (asks_shared_secret || !shared_secret_file.empty()) {
        auto secret = find_secret(shared_secret_file, "Secret that " + plain(user) + " shares with popgate: ");
        if (!secret) return fail(console, secret.error()), exit_usage;
        change.shared_secret = std::move(*secret);
    }
    return on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string& name) {
        // Not refused: the route may be about to come.
        const auto* const route = accounts.router.find(name);
        if (!route)
            console.err << "popgate: no route is for " << plain(name) << " yet\n";
        else if (change.app_password && route->config.auth != ClientAuth::app_passwords)
            console.err << "popgate: the route of " << plain(name) << " does not let clients in by app passwords yet\n";
        return add_account(fiber, accounts, name, change, now(), console);
    });
}

int AccountCommands::Options::run_remove(Console& console) const {
    if (!yes && !can_ask()) return complain(console, "remove: there is nobody to ask; say --yes");
    if (!yes && !agrees("The tokens and all passwords of " + plain(user) +
                        " will be gone: its programs can no longer log in. Go on?"))
        return complain(console, "nothing was removed"), exit_failed;
    return on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string& name) {
        return remove_account(fiber, accounts, name, console);
    });
}

int AccountCommands::Options::run_login(Console& console) const {
    return on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string& name) {
        LoginRequest request;
        request.user = name;
        request.flow = device ? LoginFlow::device : browser ? LoginFlow::browser : LoginFlow::automatic;
        request.yes = yes;
        request.can_ask = can_ask();
        return log_in_account(fiber, accounts, request, now(), console);
    });
}

int AccountCommands::Options::run_test(Console& console) const {
    int exit_code = 0;
    const auto opened = open(console, exit_code);
    if (!opened) return exit_code;
    const auto* const route = opened->find(user, console);
    if (!route) return exit_usage;
    Secret password;
    if (route->config.upstream() == UpstreamAuth::client && route->backend->checks_password()) {
        auto found = find_secret(password_file, "Password of " + plain(user) + ": ");
        if (!found) return fail(console, found.error()), exit_usage;
        password = std::move(*found);
    }
    const auto name = *opened->accounts().authenticator.canonical(user);
    return on_fiber([&](Fiber& fiber) {
        const int outcome = test_account(fiber, opened->accounts(), name, std::move(password), now(), console);
        opened->accounts().tokens.hurry();
        return outcome;
    });
}

int AccountCommands::Options::run_import(Console& console) const {
    const auto unreadable = [&](int error) {
        return complain(console, plain(file) + ": cannot be read: " + std::generic_category().message(error));
    };
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) return unreadable(EISDIR);
    errno = 0;
    std::ifstream source(file, std::ios::binary);
    if (!source) return unreadable(errno);
    const std::string text{std::istreambuf_iterator<char>(source), std::istreambuf_iterator<char>()};
    const auto imported = import_email_proxy(text);
    if (!imported) {
        console.err << "popgate: " << plain(file) << ": " << plain(imported.error().text) << '\n';
        return exit_failed;
    }
    console.out << imported->configuration;
    for (const auto& note : imported->notes) console.err << "popgate: " << note << '\n';
    return exit_done;
}

int AccountCommands::Options::run_create(Console& console) const {
    int exit_code = 0;
    const auto opened = open(console, exit_code);
    if (!opened) return exit_code;
    auto& vault = opened->accounts().vault;
    if (vault.exists()) {
        console.err << "popgate: " << plain(vault.key_file())
                    << " is there already; popgate secrets rotate makes a new key\n";
        return exit_failed;
    }
    if (auto status = vault.create(); !status) return fail(console, status.error());
    console.out << "Made " << vault.key_file()
                << ". Without it nothing that is kept of accounts can be read: keep a copy "
                   "in a safe place, and not with the copies of the state.\n";
    return exit_done;
}

int AccountCommands::Options::run_rotate(Console& console) const {
    int exit_code = 0;
    const auto opened = open(console, exit_code);
    if (!opened) return exit_code;
    auto& accounts = opened->accounts();
    return on_fiber([&](Fiber& fiber) {
        // Files of the administrator's own: short, and nobody else is kept waiting.
        if (auto status = accounts.vault.add_key(); !status) return fail(console, status.error());
        const auto sealed = accounts.store.seal_anew(fiber);
        if (!sealed) return fail(console, sealed.error());
        if (auto status = accounts.vault.drop_old_keys(); !status) return fail(console, status.error());
        console.out << "Sealed " << *sealed
                    << " records with a new key. The one before is kept until the next time, for a "
                       "server that is running.\n";
        return exit_done;
    });
}

int AccountCommands::Options::run_check(Console& console) const {
    int exit_code = 0;
    const auto opened = open(console, exit_code);
    if (!opened) return exit_code;
    auto& store = opened->accounts().store;
    return on_fiber([&](Fiber& fiber) {
        const auto users = store.users(fiber);
        if (!users) return fail(console, users.error());
        int outcome = exit_done;
        for (const auto& each : *users) {
            const auto account = store.account(fiber, each);
            const auto tokens = store.tokens(fiber, each);
            if (!account) outcome = fail(console, account.error());
            if (!tokens) outcome = fail(console, tokens.error());
        }
        if (outcome == exit_done) console.out << "All of " << users->size() << " accounts can be read.\n";
        return outcome;
    });
}

AccountCommands::AccountCommands(CLI::App& app) : options_(std::make_unique<Options>()) {
    Options& options = *options_;
    const auto declare = [&options](CLI::App* parent, const char* name, const char* text) {
        CLI::App* const command = parent->add_subcommand(name, text);
        auto* const file =
            command->add_option("--config", options.config, "The server's configuration file")->capture_default_str();
        auto* const url = command->add_option("--backend", options.backend.url, "As of popgate serve, without a file")
                              ->excludes(file);
        command->add_option("--ca-file", options.backend.ca_file, "PEM file: trust this CA for the upstream")
            ->needs(url)
            ->excludes(file);
        command->add_option("--state", options.state, "What is remembered: sqlite:/path")->needs(url)->excludes(file);
        options.oauth.declare(*command, url, file);
        command->add_flag("--json", options.json, "For scripts: a JSON document a line");
        return command;
    };
    const auto add_user = [&options](CLI::App* command) {
        command->add_option("USER", options.user, "As in POP3")->required();
    };

    CLI::App* const account = app.add_subcommand("account", "Accounts: their tokens, passwords and devices.");
    account->require_subcommand(1);
    options.add = declare(account, "add", "Make an account, or change what is kept of it.");
    add_user(options.add);
    options.add->add_option("--upstream-user", options.upstream_user, "Its name at the upstream, if it is another one");
    options.add->add_flag("--upstream-password", options.asks_upstream_password,
                          "Ask for the password that opens the upstream (upstream_auth = \"stored\")");
    options.add->add_option("--upstream-password-file", options.upstream_password_file,
                            "Its first line; - for standard input");
    options.add->add_flag("--shared-secret", options.asks_shared_secret, "Ask for the secret of APOP and CRAM-MD5");
    options.add->add_option("--shared-secret-file", options.shared_secret_file, "Its first line; - for standard input");
    options.add->add_option("--app-password", options.app_password,
                            "Make an app password with this label, as \"office scanner\", and show it once");
    options.list = declare(account, "list", "All accounts, and how their tokens are.");
    options.show = declare(account, "show", "What is kept of one; no secret.");
    add_user(options.show);
    options.remove = declare(account, "remove", "Forget its tokens and passwords.");
    add_user(options.remove);
    options.remove->add_flag("--yes", options.yes, "Do not ask");
    options.revoke = declare(account, "revoke", "End one app password.");
    add_user(options.revoke);
    options.revoke->add_option("ID", options.id, "As account show has it")->required();
    options.login = declare(account, "login", "Have a person sign in with the provider, and keep the tokens.");
    add_user(options.login);
    auto* const device = options.login->add_flag("--device", options.device, "With a code on another device");
    options.login->add_flag("--browser", options.browser, "With a browser")->excludes(device);
    options.login->add_flag("--yes", options.yes, "Whoever signs in is the right one");
    options.test = declare(account, "test", "Try each step from here to a message, and say what to do.");
    add_user(options.test);
    options.test->add_option("--password-file", options.password_file,
                             "The client's password, where the upstream wants it");
    options.import = account->add_subcommand("import", "Make a configuration from one of email-oauth2-proxy.");
    options.import->add_option("FILE", options.file, "Its emailproxy.config")->required();

    CLI::App* const secrets = app.add_subcommand("secrets", "The keys that seal what is kept of accounts.");
    secrets->require_subcommand(1);
    options.create = declare(secrets, "create", "Make the key file.");
    options.rotate = declare(secrets, "rotate", "Make a new key, and seal everything with it.");
    options.check = declare(secrets, "check", "Try to read everything.");
}

AccountCommands::~AccountCommands() = default;

std::optional<int> AccountCommands::run() {
    const Options& options = *options_;
    Console console{std::cout, std::cerr, options.json, !options.json && ::isatty(STDERR_FILENO) == 1};
    const auto run_it = [&]() -> std::optional<int> {
        if (*options.add) return options.run_add(console);
        if (*options.list)
            return options.on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string&) {
                return list_accounts(fiber, accounts, now(), console);
            });
        if (*options.show)
            return options.on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string& name) {
                return show_account(fiber, accounts, name, now(), console);
            });
        if (*options.remove) return options.run_remove(console);
        if (*options.revoke)
            return options.on_account(console, [&](Fiber& fiber, Accounts& accounts, const std::string& name) {
                return revoke_app_password(fiber, accounts, name, options.id, console);
            });
        if (*options.login) return options.run_login(console);
        if (*options.test) return options.run_test(console);
        if (*options.import) return options.run_import(console);
        if (*options.create) return options.run_create(console);
        if (*options.rotate) return options.run_rotate(console);
        if (*options.check) return options.run_check(console);
        return std::nullopt;
    };
    const auto exit_code = run_it();
    std::cout.flush();
    if (exit_code == exit_done && !std::cout)
        return complain(console, "standard output cannot be written"), exit_failed;
    return exit_code;
}

}  // namespace popgate::commands
