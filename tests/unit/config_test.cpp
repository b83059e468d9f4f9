#include "gateway/config/config.hpp"

#include "gateway/config/options.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

/// A folder with a configuration file in it.
class ConfigFile : public testing::Test {
protected:
    ConfigFile() {
        std::string pattern = (std::filesystem::temp_directory_path() / "popgate-config-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~ConfigFile() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, std::string_view text) const {
        const std::filesystem::path path = folder_ / name;
        std::ofstream(path, std::ios::binary) << text;
        std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        return path.string();
    }

    LoadedConfig load(std::string_view text) const { return load_config(write("popgate.toml", text)); }

    /// The problems as "LINE: key: text", a line each.
    std::string problems(std::string_view text) const {
        std::string out;
        for (ConfigProblem problem : load(text).problems) {
            problem.file.clear();
            const std::string line = problem.to_string();
            out += (line.starts_with(':') ? line.substr(1) : line) + '\n';
        }
        return out;
    }

    std::filesystem::path folder_;
};

constexpr std::string_view smallest = R"(
[[listen]]
address = "127.0.0.1:110"
tls = "none"
[[route]]
backend = "imaps://imap.example.com"
)";

TEST_F(ConfigFile, TheSmallestTakesEveryDefault) {
    const LoadedConfig loaded = load(smallest);
    EXPECT_TRUE(loaded.problems.empty()) << loaded.problems[0].to_string();
    EXPECT_TRUE(loaded.usable());
    const Config& config = loaded.config;
    ASSERT_EQ(config.listeners.size(), 1U);
    EXPECT_EQ(config.listeners[0].address, "127.0.0.1:110");
    EXPECT_EQ(config.listeners[0].tls, TlsMode::none);
    EXPECT_EQ(config.listeners[0].min_tls, TlsVersion::tls1_2);
    EXPECT_EQ(config.limits.login_timeout, 60s);
    EXPECT_EQ(config.limits.bad_commands, 3U);
    ASSERT_EQ(config.routes.size(), 1U);
    EXPECT_EQ(config.routes[0].match, "*");
    EXPECT_EQ(config.routes[0].backend.folder, "INBOX");
    EXPECT_TRUE(config.routes[0].backend.verify_certificate);
    EXPECT_EQ(config.routes[0].lock, LockMode::exclusive);
    EXPECT_EQ(config.routes[0].sizes, Sizes::learned);
    EXPECT_EQ(config.routes[0].policy.on_delete, OnDelete::destroy);
    EXPECT_FALSE(config.routes[0].policy.expire_after);
    EXPECT_EQ(config.routes[0].policy.view, View{});
    EXPECT_EQ(config.routes[0].quarantine_after, 3U);
    EXPECT_EQ(config.state.url, "sqlite:/var/lib/popgate/state.db");
    EXPECT_EQ(config.state.reconcile_every, 24h);
    EXPECT_TRUE(config.accounts.empty());
}

TEST_F(ConfigFile, EveryKeyReachesItsField) {
    write("users", "demo:x\n");
    const LoadedConfig loaded = load(R"(
        [[listen]]
        address = "[::1]:110"
        tls = "none"
        min_tls = "1.3"
        proxy_protocol = false
        [[listen]]
        address = "127.0.0.1:0"
        tls = "none"
        [limits]
        max_sessions = 7
        max_sessions_per_address = 6
        login_timeout = "5s"
        idle_timeout = "4m"
        session_timeout = "3h"
        write_timeout = "2500ms"
        drain_timeout = 9
        bad_commands = 8
        workers = 2
        blocking_threads = 3
        [log]
        format = "json"
        level = "debug"
        [state]
        url = "sqlite:/srv/state.db"
        reconcile_every = "6h"
        [[route]]
        match = "*@corp.example"
        backend = "imap://imap.example.com"
        auth = "passthrough"
        starttls = "require"
        verify_certificate = true
        folder = "Entwürfe"
        sizes = "exact"
        on_delete = "archive"
        trash_folder = "Müll"
        archive_folder = "Archiv"
        expire_after = "30d"
        delete_only_if_retrieved = true
        view = "last 100 messages"
        order = "newest-first"
        unique_ids = "dovecot"
        state_name = "corp"
        quarantine_after = 5
        lock = "shared"
        mark_seen = false
        connect_timeout = "11s"
        command_timeout = "12s"
        keep_alive = "13s"
        reuse_upstream = "14s"
        [[route]]
        backend = "maildir:/var/mail/%u"
        auth = "password-file"
        password_file = "users"
        [[account]]
        user = "bob@*"
        on_delete = "trash"
        expire_after = "never"
        delete_only_if_retrieved = false
        view = "unread"
        order = "oldest-first"
        [[account]]
        user = "*"
        expire_after = "12h"
    )");
    ASSERT_TRUE(loaded.problems.empty()) << loaded.problems[0].to_string();
    const Config& config = loaded.config;
    ASSERT_EQ(config.listeners.size(), 2U);
    EXPECT_EQ(config.listeners[0].min_tls, TlsVersion::tls1_3);
    EXPECT_EQ(config.limits.max_sessions, 7U);
    EXPECT_EQ(config.limits.max_sessions_per_address, 6U);
    EXPECT_EQ(config.limits.login_timeout, 5s);
    EXPECT_EQ(config.limits.idle_timeout, 4min);
    EXPECT_EQ(config.limits.session_timeout, 3h);
    EXPECT_EQ(config.limits.write_timeout, 2500ms);
    EXPECT_EQ(config.limits.drain_timeout, 9s);
    EXPECT_EQ(config.limits.bad_commands, 8U);
    EXPECT_EQ(config.limits.workers, 2U);
    EXPECT_EQ(config.limits.blocking_threads, 3U);
    EXPECT_EQ(config.log.format, LogFormat::json);
    EXPECT_EQ(config.log.level, LogLevel::debug);
    ASSERT_EQ(config.routes.size(), 2U);
    const RouteConfig& corp = config.routes[0];
    EXPECT_EQ(corp.match, "*@corp.example");
    EXPECT_EQ(corp.backend.url, "imap://imap.example.com");
    EXPECT_EQ(corp.backend.folder, "Entwürfe");
    EXPECT_EQ(corp.lock, LockMode::shared);
    EXPECT_FALSE(corp.mark_seen);
    EXPECT_EQ(corp.backend.connect_timeout, 11s);
    EXPECT_EQ(corp.backend.command_timeout, 12s);
    EXPECT_EQ(corp.keep_alive, 13s);
    EXPECT_EQ(corp.backend.reuse_upstream, 14s);
    EXPECT_EQ(config.routes[1].backend.reuse_upstream, 0s) << "off, unless it is asked for";
    EXPECT_EQ(config.state.url, "sqlite:/srv/state.db");
    EXPECT_EQ(config.state.reconcile_every, 6h);
    EXPECT_EQ(corp.sizes, Sizes::exact);
    EXPECT_EQ(corp.backend.trash_folder, "Müll");
    EXPECT_EQ(corp.backend.archive_folder, "Archiv");
    EXPECT_EQ(corp.backend.unique_ids, "dovecot");
    EXPECT_EQ(corp.backend.state_name, "corp");
    EXPECT_EQ(corp.quarantine_after, 5U);
    EXPECT_EQ(corp.policy.on_delete, OnDelete::archive);
    EXPECT_EQ(corp.policy.expire_after, 720h);
    EXPECT_TRUE(corp.policy.delete_only_if_retrieved);
    EXPECT_EQ(corp.policy.view, (View{View::Kind::last_messages, 100}));
    EXPECT_EQ(corp.policy.order, MessageOrder::newest_first);
    EXPECT_EQ(config.routes[1].auth, ClientAuth::password_file);
    EXPECT_EQ(config.routes[1].password_file, (folder_ / "users").string());
    ASSERT_EQ(config.accounts.size(), 2U);
    const AccountConfig& bob = config.accounts[0];
    EXPECT_EQ(bob.user, "bob@*");
    EXPECT_EQ(bob.on_delete, OnDelete::trash);
    EXPECT_EQ(bob.expire_after, 0s);
    EXPECT_EQ(bob.delete_only_if_retrieved, false);
    EXPECT_EQ(bob.view, (View{View::Kind::unread, 0}));
    EXPECT_EQ(bob.order, MessageOrder::oldest_first);
    const AccountConfig& others = config.accounts[1];
    EXPECT_EQ(others.expire_after, 12h);
    EXPECT_FALSE(others.on_delete || others.delete_only_if_retrieved || others.view || others.order);
}

TEST_F(ConfigFile, NeverIsNoTimeAfterWhichARoutesMessagesGo) {
    const LoadedConfig loaded = load(std::string(smallest) + "expire_after = \"never\"\n");
    ASSERT_TRUE(loaded.problems.empty()) << loaded.problems[0].to_string();
    EXPECT_FALSE(loaded.config.routes[0].policy.expire_after);
    for (const std::string bad : {"0", "\"0s\"", "\"Never\"", "false"}) {
        EXPECT_FALSE(load(std::string(smallest) + "expire_after = " + bad + "\n").usable()) << bad;
    }
}

TEST_F(ConfigFile, EveryProblemIsReportedInOneRunInTheOrderOfTheLines) {
    EXPECT_EQ(problems(R"([[listen]]
adress = "127.0.0.1:110"
tls = "tls"
[limits]
idle_timeout = "soon"
workers = "many"
)"),
              "route: at least one [[route]] is needed\n"
              "1: listen[0].address: is missing; write it as \"127.0.0.1:110\" or \"[::1]:110\"\n"
              "2: listen[0].adress: unknown key \"adress\"; did you mean \"address\"?\n"
              "3: listen[0].tls: \"tls\" is not one of \"none\", \"starttls\", \"implicit\"\n"
              "5: limits.idle_timeout: \"soon\" is no duration; write one as \"500ms\", \"60s\", \"10m\", \"12h\" "
              "or \"30d\"\n"
              "6: limits.workers: must be an integer, not a string\n");
}

TEST_F(ConfigFile, ANearKeyIsSuggested) {
    const auto suggestion = [&](const std::string& key) {
        const std::string all = problems(std::string(smallest) + key + " = 1\n");
        EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1) << all;
        const std::size_t start = all.find("did you mean ");
        return start == std::string::npos ? all : all.substr(start);
    };
    EXPECT_EQ(suggestion("mtach"), "did you mean \"match\"?\n");
    EXPECT_EQ(suggestion("ca-file"), "did you mean \"ca_file\"?\n");
    EXPECT_EQ(suggestion("passwordfile"), "did you mean \"password_file\"?\n");
    EXPECT_EQ(suggestion("on_delet"), "did you mean \"on_delete\"?\n");
    EXPECT_EQ(suggestion(std::string(10'000, 'x')).find("did you mean"), 0U);
    EXPECT_NE(suggestion("workers").find("it belongs in [limits]"), std::string::npos);
}

TEST_F(ConfigFile, ASyntaxErrorHasItsLine) {
    const LoadedConfig loaded = load("[[listen]]\naddress = \"127.0.0.1:110\n");
    ASSERT_EQ(loaded.problems.size(), 1U);
    EXPECT_EQ(loaded.problems[0].line, 2U);
    EXPECT_FALSE(loaded.usable());
}

TEST_F(ConfigFile, AFileThatIsNotThereSaysSo) {
    const LoadedConfig loaded = load_config(folder_ / "none.toml");
    ASSERT_EQ(loaded.problems.size(), 1U);
    EXPECT_EQ(loaded.problems[0].to_string(),
              (folder_ / "none.toml").string() + ": cannot be read: No such file or directory");
    EXPECT_FALSE(load_config(folder_).usable());
    EXPECT_EQ(load("").problems.size(), 2U);  // no listener, no route, but it can be read
}

TEST_F(ConfigFile, AMessageStaysOneLine) {
    const std::string all = problems(std::string(smallest) + "\"a\\nb\\u001b\" = 1\n");
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1) << all;
    EXPECT_EQ(all.find('\x1B'), std::string::npos);
    EXPECT_EQ((ConfigProblem{"f.toml", 3, "tls.key", "is bad", false}).to_string(), "f.toml:3: tls.key: is bad");
    EXPECT_EQ((ConfigProblem{"f.toml", 3, "tls.key", "is odd", true}).to_string(),
              "f.toml:3: tls.key: warning: is odd");
    EXPECT_EQ((ConfigProblem{"", 0, "--tls", "is bad", false}).to_string(), "--tls: is bad");
}

TEST_F(ConfigFile, AWarningDoesNotKeepItFromUse) {
    const LoadedConfig loaded = load(std::string(smallest) + "verify_certificate = false\n");
    EXPECT_EQ(loaded.problems.size(), 1U);
    EXPECT_TRUE(loaded.usable());
}

TEST_F(ConfigFile, TheReferenceHoldsEveryKeyAndIsUnderstood) {
    std::string reference = config_reference();
    for (const std::string_view key :
         {"proxy_protocol = false", "idle_timeout = \"10m\"", "max_sessions = 10000",
          "# backend = ", "url = \"sqlite:/var/lib/popgate/state.db\"", "expire_after = \"never\"", "view = \"all\"",
          "# view = \"last 30 days\"", "(\"all\" | \"unread\" | ", "# delete_only_if_retrieved = true",
          "on_delete = \"delete\"", "format = \"text\""}) {
        EXPECT_NE(reference.find(key), std::string::npos) << key;
    }
    for (const ConfigProblem& problem : load(reference).problems) {
        EXPECT_TRUE(problem.key == "listen[0].address" || problem.key == "listen[0].tls" ||
                    problem.key == "route[0].backend" || problem.key == "account[0].user" ||
                    problem.key.starts_with("rest[0].") || problem.key.starts_with("certificate[0].") ||
                    problem.key.starts_with("oauth[0].") || problem.key.starts_with("alias[0]."))
            << problem.to_string();
    }
}

Config usable_config() {
    Config config;
    config.listeners.push_back({"127.0.0.1:1110", TlsMode::none});
    config.routes.emplace_back();
    config.routes[0].backend.url = "imaps://imap.example.com";
    return config;
}

std::string first_problem(const Config& config) {
    const std::vector<ConfigProblem> problems = check_config(config);
    return problems.empty() ? "" : problems[0].to_string();
}

TEST(CheckConfig, AGoodOneHasNoProblem) { EXPECT_EQ(first_problem(usable_config()), ""); }

TEST(CheckConfig, AnAddressIsALiteralWithAPort) {
    Config config = usable_config();
    for (const std::string good : {"0.0.0.0:1", "127.0.0.1:65535", "[::]:110", "[fe80::1]:0"}) {
        config.listeners[0].address = good;
        const std::string problem = first_problem(config);
        EXPECT_TRUE(problem.empty() || problem.find("in clear") != std::string::npos) << problem;
    }
    for (const std::string bad :
         {"localhost:110", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x", "::1:110",
          "[127.0.0.1]:110", "[]:110", ":110", "127.0.0.1:110 ", "110"}) {
        config.listeners[0].address = bad;
        EXPECT_NE(first_problem(config).find("is no IP address with a port"), std::string::npos) << bad;
    }
}

TEST(CheckConfig, OneAddressIsListenedOnOnceUnlessThePortIsFree) {
    Config config = usable_config();
    config.listeners.push_back({"[::1]:1110", TlsMode::none});
    EXPECT_EQ(first_problem(config), "");
    config.listeners.push_back({"[0:0::1]:1110", TlsMode::none});
    EXPECT_NE(first_problem(config).find("listen[2].address"), std::string::npos);
    config.listeners[1].address = config.listeners[2].address = "127.0.0.1:0";
    EXPECT_EQ(first_problem(config), "");
}

TEST(CheckConfig, ARouteThatNobodyReachesIsTold) {
    Config config = usable_config();
    config.routes[0].match = "*@a.example";
    config.routes.push_back(config.routes[0]);
    config.routes[1].match = "*@A.example";
    EXPECT_EQ(first_problem(config), "route[1].match: warning: this route is never used: route[0] takes all its users");
    config.routes[1].match = "**";
    EXPECT_EQ(first_problem(config), "");
    config.routes.push_back(config.routes[0]);
    config.routes[2].match = "?";
    EXPECT_NE(first_problem(config).find("route[1] takes"), std::string::npos);
}

TEST(CheckConfig, WhoChecksThePasswordFitsTheBackend) {
    Config config = usable_config();
    config.routes[0].auth = ClientAuth::password_file;
    config.routes[0].password_file = "/dev/null";
    EXPECT_NE(first_problem(config).find("which \"password-file\" does not give it"), std::string::npos);
    config.routes[0].backend.url = "maildir:/tmp/%u";
    for (const ConfigProblem& problem : check_config(config)) EXPECT_TRUE(problem.is_warning) << problem.to_string();
    config.routes[0].password_file.clear();
    EXPECT_NE(first_problem(config).find("password_file: is missing"), std::string::npos);
    config.routes[0].auth = ClientAuth::passthrough;
    EXPECT_NE(first_problem(config).find("checks no password itself"), std::string::npos);
}

}  // namespace
}  // namespace popgate
