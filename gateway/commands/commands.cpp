#include "gateway/commands/commands.hpp"

#include "gateway/commands/copy_state.hpp"
#include "gateway/commands/import_uids.hpp"
#include "gateway/commands/index_mailbox.hpp"
#include "gateway/commands/mailbox_commands.hpp"
#include "gateway/commands/on_fiber.hpp"
#include "gateway/commands/opened.hpp"
#include "gateway/commands/password.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace popgate::commands {

namespace {

/// What the options of import-uids say before any file is read.
struct ImportOptions {
    std::string from;
    StartTls starttls = StartTls::require;
    std::string ca_file;
    bool verify_certificate = true;
    std::string old_user;
    std::string old_password_file;
    std::string password_file;
    bool dry_run = false;
};

}  // namespace

struct AdminCommands::Options {
    CLI::App* show = nullptr;
    CLI::App* index = nullptr;
    CLI::App* forget = nullptr;
    CLI::App* quarantine_list = nullptr;
    CLI::App* quarantine_release = nullptr;
    CLI::App* copy = nullptr;
    std::string copy_from;
    std::string copy_to;
    CLI::App* import = nullptr;

    std::string config = standard_config;
    bool json = false;
    std::string user;
    bool messages = false;
    std::string password_file;
    bool yes = false;
    Release release;
    ImportOptions import_options;

    int run_show(Console& console) const;
    int run_index(Console& console) const;
    int run_forget(Console& console) const;
    int run_list(Console& console) const;
    int run_release(Console& console) const;
    int run_copy(Console& console) const;
    int run_import(Console& console) const;
};

namespace {

int complain(Console& console, const char* text) {
    console.err << "popgate: " << text << '\n';
    return exit_usage;
}

/// From `file`, else from who sits at the terminal, else from standard input.
Result<Secret> find_password(const std::string& file, const std::string& prompt) {
    if (!file.empty()) return read_password(file);
    if (!can_ask()) return read_password("-");
    std::string answer = ask_silently(prompt);
    Secret secret(answer);
    Secret::wipe(answer);
    return secret;
}

/// Where nothing that popgate has opens the mailbox.
bool wants_clients_password(const Route& route) {
    return route.config.upstream() == UpstreamAuth::client && route.backend->checks_password();
}

/// Reads or asks for both passwords; the new one is the old one unless something else is said.
Status find_passwords(const ImportOptions& options, const Route& route, const std::string& user, ImportRequest& request,
                      Secret& new_password) {
    auto old_password =
        find_password(options.old_password_file, "Password of " + plain(request.old_user) + " at the old server: ");
    if (old_password.has_error()) return old_password.error();
    request.old_password = std::move(*old_password);
    if (!wants_clients_password(route)) return {};
    if (!options.password_file.empty() || (can_ask() && options.old_password_file.empty())) {
        auto password = find_password(options.password_file,
                                      "Password of " + plain(user) + " for the new mailbox (empty: the same): ");
        if (password.has_error()) return password.error();
        new_password = std::move(*password);
    }
    if (new_password.reveal().empty()) new_password = Secret(request.old_password.reveal());
    return {};
}

}  // namespace

int AdminCommands::Options::run_show(Console& console) const {
    int exit_code = 0;
    const auto opened = Opened::open(config, Access::read, console, exit_code);
    if (!opened) return exit_code;
    if (user.empty())
        return on_fiber([&](Fiber& fiber) { return show_all_mailboxes(fiber, opened->store(), console); });
    return opened->on_mailbox(user, console,
                              [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted&) {
                                  return show_mailbox(fiber, store, mailbox, messages, console);
                              });
}

int AdminCommands::Options::run_index(Console& console) const {
    int exit_code = 0;
    const auto opened = Opened::open(config, Access::write, console, exit_code);
    if (!opened) return exit_code;
    const Route* const route = opened->find(user, console);
    if (!route) return exit_usage;
    Secret password;
    if (wants_clients_password(*route)) {
        auto found = find_password(password_file, "Password of " + plain(user) + ": ");
        if (found.has_error()) return fail(console, found.error()), exit_usage;
        password = std::move(*found);
    }
    return opened->on_mailbox(
        user, std::move(password), console,
        [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted& admitted) {
            IndexBuild build;
            build.rules = index_rules(route->config, opened->config(), mailbox.user);
            build.user = mailbox.user;
            build.key = mailbox.key;
            build.login = admitted.login.copy();
            return index_mailbox(fiber, store, *admitted.backend, build, console);
        });
}

int AdminCommands::Options::run_forget(Console& console) const {
    if (!yes && !can_ask()) return complain(console, "forget: there is nobody to ask; say --yes");
    int exit_code = 0;
    const auto opened = Opened::open(config, Access::write, console, exit_code);
    if (!opened) return exit_code;
    std::optional<std::string> question;
    if (!yes) {
        // Asked off the fiber: an answer may take for ever.
        const auto find_cost = [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted&) {
            auto cost = cost_of_forgetting(fiber, store, mailbox);
            if (cost.has_error()) return fail(console, cost.error());
            question = std::move(*cost);
            return exit_done;
        };
        if (const int code = opened->on_mailbox(user, console, find_cost); code != exit_done) return code;
    }
    if (question && !agrees(*question + "\nGo on?")) return complain(console, "nothing was forgotten"), exit_failed;
    return opened->on_mailbox(user, console,
                              [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted&) {
                                  return forget_mailbox(fiber, store, mailbox, console);
                              });
}

int AdminCommands::Options::run_list(Console& console) const {
    int exit_code = 0;
    const auto opened = Opened::open(config, Access::read, console, exit_code);
    if (!opened) return exit_code;
    if (user.empty())
        return on_fiber([&](Fiber& fiber) { return list_quarantine(fiber, opened->store(), std::nullopt, console); });
    return opened->on_mailbox(user, console,
                              [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted&) {
                                  return list_quarantine(fiber, store, mailbox, console);
                              });
}

int AdminCommands::Options::run_release(Console& console) const {
    if (release.all == (!release.ids.empty() || !release.numbers.empty()))
        return complain(console, "release: either unique-ids and numbers, or --all");
    int exit_code = 0;
    const auto opened = Opened::open(config, Access::write, console, exit_code);
    if (!opened) return exit_code;
    return opened->on_mailbox(user, console,
                              [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted&) {
                                  return release_quarantine(fiber, store, mailbox, release, console);
                              });
}

int AdminCommands::Options::run_import(Console& console) const {
    auto server = parse_pop3_server(import_options.from, import_options.starttls, import_options.ca_file,
                                    import_options.verify_certificate);
    if (server.has_error()) return fail(console, server.error()), exit_usage;
    int exit_code = 0;
    const auto opened = Opened::open(config, import_options.dry_run ? Access::read : Access::write, console, exit_code);
    if (!opened) return exit_code;
    const Route* const route = opened->find(user, console);
    if (!route) return exit_usage;
    ImportRequest request;
    request.from = import_options.from;
    request.old_server = std::move(*server);
    request.old_user = import_options.old_user.empty() ? user : import_options.old_user;
    request.dry_run = import_options.dry_run;
    Secret new_password;
    if (auto status = find_passwords(import_options, *route, user, request, new_password); status.has_error())
        return fail(console, status.error()), exit_usage;
    return opened->on_mailbox(
        user, std::move(new_password), console,
        [&](Fiber& fiber, StateStore& store, const NamedMailbox& mailbox, const Admitted& admitted) {
            request.mailbox = mailbox;
            request.new_login = admitted.login.copy();
            return import_unique_ids(fiber, store, *admitted.backend, request, console);
        });
}

int AdminCommands::Options::run_copy(Console& console) const {
    const auto loaded = load_servers_config(config);
    const auto open = [&](const std::string& url) -> std::unique_ptr<StateStore> {
        auto state = loaded.config.state;
        state.url = url;
        auto store = open_state_store(state);
        if (store.has_error()) return fail(console, store.error()), nullptr;
        if ((*store)->lasts()) return std::move(*store);
        return fail(console, Error{Errc::permanent, "nothing there lasts", (*store)->impairment()}), nullptr;
    };
    const auto from = open(copy_from);
    const auto to = from ? open(copy_to) : nullptr;
    if (!to) return exit_usage;
    return on_fiber([&](Fiber& fiber) {
        for (auto* const store : {from.get(), to.get()})
            if (auto status = store->check(fiber); status.has_error()) return fail(console, status.error());
        return copy_state(fiber, *from, *to, console);
    });
}

AdminCommands::AdminCommands(CLI::App& app) : options_(std::make_unique<Options>()) {
    Options& options = *options_;
    const auto declare = [&options](CLI::App* parent, const char* name, const char* text) {
        CLI::App* const command = parent->add_subcommand(name, text);
        command->add_option("--config", options.config, "The server's configuration file")->capture_default_str();
        command->add_flag("--json", options.json, "For scripts: a JSON document a line");
        return command;
    };
    const auto add_user = [&options](CLI::App* command, const char* text) {
        return command->add_option("USER", options.user, text);
    };

    CLI::App* const mailbox =
        app.add_subcommand("mailbox", "Look into what is remembered of mailboxes, and change it.");
    mailbox->require_subcommand(1);
    options.show = declare(mailbox, "show", "What is known of a mailbox, or of all of them.");
    add_user(options.show, "As in POP3; all mailboxes without it");
    options.show->add_flag("--messages", options.messages, "Each message too")->needs("USER");
    options.index = declare(mailbox, "index", "Read a large or slow mailbox's listing before its owner first logs in.");
    add_user(options.index, "As in POP3")->required();
    options.index->add_option("--password-file", options.password_file,
                              "Its first line; - for standard input, which is read where nobody can be asked");
    options.forget = declare(mailbox, "forget", "Forget what is known of a mailbox; imported unique-ids stay.");
    add_user(options.forget, "As in POP3")->required();
    options.forget->add_flag("--yes", options.yes, "Do not ask");

    CLI::App* const quarantine =
        mailbox->add_subcommand("quarantine", "Messages that could not be given to clients and are no longer shown.");
    quarantine->require_subcommand(1);
    options.quarantine_list = declare(quarantine, "list", "Of a mailbox, or of all of them.");
    add_user(options.quarantine_list, "As in POP3; all mailboxes without it");
    options.quarantine_release = declare(quarantine, "release", "Show messages to clients again.");
    add_user(options.quarantine_release, "As in POP3")->required();
    options.quarantine_release->add_option("UNIQUE-ID", options.release.ids, "Unique-ids or remote ids, as listed");
    options.quarantine_release->add_option("--number", options.release.numbers, "Numbers, as listed");
    options.quarantine_release->add_flag("--all", options.release.all, "All of the mailbox");

    CLI::App* const state = app.add_subcommand("state", "The store of what is remembered.");
    state->require_subcommand(1);
    options.copy = declare(state, "copy", "Copy all that one store remembers to another; can be run again.");
    options.copy->add_option("FROM", options.copy_from, "As state.url: sqlite:/path, redis://host:6379/0")->required();
    options.copy->add_option("TO", options.copy_to, "Likewise; what differs there is replaced")->required();

    ImportOptions& from = options.import_options;
    options.import = declare(&app, "import-uids", "Take over a mailbox's unique-ids from the POP3 server of before.");
    add_user(options.import, "As in POP3")->required();
    options.import->add_option("--from", from.from, "The old server: pop3s://host[:port] or pop3://host[:port]")
        ->required();
    options.import
        ->add_option_function<std::string>(
            "--starttls",
            [&from](const std::string& word) { from.starttls = word == "none" ? StartTls::none : StartTls::require; },
            "pop3:// only; the default is require")
        ->check(CLI::IsMember({"require", "none"}));
    options.import->add_option("--ca-file", from.ca_file, "PEM file: trust this CA for the old server");
    options.import->add_flag_callback(
        "--no-verify-certificate", [&from] { from.verify_certificate = false; },
        "Believe any certificate of the old server: dangerous");
    options.import->add_option("--old-user", from.old_user, "The name at the old server, where it is another one");
    options.import->add_option("--old-password-file", from.old_password_file,
                               "Its first line; - for standard input, which is read where nobody can be asked");
    options.import->add_option("--password-file", from.password_file,
                               "The password for the new mailbox, likewise; without it the old one");
    options.import->add_flag("--dry-run", from.dry_run, "Report, and write nothing");
}

AdminCommands::~AdminCommands() = default;

std::optional<int> AdminCommands::run() {
    const Options& options = *options_;
    Console console{std::cout, std::cerr, options.json, !options.json};
    const auto run_it = [&]() -> std::optional<int> {
        if (*options.show) return options.run_show(console);
        if (*options.index) return options.run_index(console);
        if (*options.forget) return options.run_forget(console);
        if (*options.quarantine_list) return options.run_list(console);
        if (*options.quarantine_release) return options.run_release(console);
        if (*options.copy) return options.run_copy(console);
        if (*options.import) return options.run_import(console);
        return std::nullopt;
    };
    const auto exit_code = run_it();
    std::cout.flush();
    // A report that did not arrive is no success.
    if (exit_code == exit_done && !std::cout)
        return complain(console, "standard output cannot be written"), exit_failed;
    return exit_code;
}

}  // namespace popgate::commands
