#include "gateway/config/environment.hpp"

#include "gateway/config/options.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace popgate {
namespace {

using namespace std::chrono_literals;

class ConfigByEnvironment : public testing::Test {
protected:
    ConfigByEnvironment() {
        std::string pattern = (std::filesystem::temp_directory_path() / "popgate-environment-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~ConfigByEnvironment() override { std::filesystem::remove_all(folder_); }

    LoadedConfig load(std::string_view text, const Environment& environment) const {
        const auto file = folder_ / "popgate.toml";
        std::ofstream(file) << text;
        return load_config(file, environment);
    }

    /// A line each; the file's name is without its folder.
    std::string told(const LoadedConfig& loaded) const {
        std::string out;
        for (ConfigProblem problem : loaded.problems) {
            if (problem.file.starts_with(folder_.string())) problem.file = "FILE";
            out += problem.to_string() + '\n';
        }
        return out;
    }

    std::filesystem::path folder_;
};

constexpr std::string_view smallest_file = R"(
[[listen]]
address = "127.0.0.1:110"
tls = "none"
[[route]]
match = "*@a.example"
backend = "imap://127.0.0.1"
starttls = "none"
)";

TEST_F(ConfigByEnvironment, GoesOverTheFile) {
    const LoadedConfig loaded = load(smallest_file, {{"POPGATE_ROUTE_0_BACKEND", "imap://127.0.0.2"},
                                                     {"POPGATE_LIMITS_MAX_SESSIONS", "7"},
                                                     {"POPGATE_LIMITS_LOGIN_TIMEOUT", "500ms"},
                                                     {"POPGATE_LIMITS_IDLE_TIMEOUT", "700"},
                                                     {"POPGATE_LOG_FORMAT", "json"},
                                                     {"POPGATE_LOGIN_LOWER_CASE", "true"},
                                                     {"POPGATE_ROUTE_0_VIEW", "last 30 days"},
                                                     {"POPGATE_ROUTE_0_EXPIRE_AFTER", "30d"},
                                                     {"POPGATE_ROUTE_0_ON_DELETE", "archive"},
                                                     {"POPGATE_ROUTE_0_ARCHIVE_FOLDER", "Old"}});
    EXPECT_EQ(told(loaded), "");
    ASSERT_EQ(loaded.config.routes.size(), 1U);
    const RouteConfig& route = loaded.config.routes[0];
    EXPECT_EQ(route.match, "*@a.example");
    EXPECT_EQ(route.backend.url, "imap://127.0.0.2");
    EXPECT_EQ(route.backend.archive_folder, "Old");
    EXPECT_EQ(route.policy.view, (View{View::Kind::last_days, 30}));
    EXPECT_EQ(route.policy.expire_after, 24h * 30);
    EXPECT_EQ(loaded.config.limits.max_sessions, 7U);
    EXPECT_EQ(loaded.config.limits.login_timeout, 500ms);
    EXPECT_EQ(loaded.config.limits.idle_timeout, 700s);
    EXPECT_EQ(loaded.config.log.format, LogFormat::json);
    EXPECT_TRUE(loaded.config.login.lower_case);
}

TEST_F(ConfigByEnvironment, ListsGoOnWhereTheFileEnds) {
    Environment environment;
    for (int i = 0; i <= 11; ++i) {
        const std::string start = "POPGATE_ALIAS_" + std::to_string(i);
        environment[start + "_FROM"] = "user" + std::to_string(i);
        environment[start + "_TO"] = "somebody";
    }
    const LoadedConfig loaded = load(std::string(smallest_file) + "[[alias]]\nfrom = \"x\"\n", environment);
    EXPECT_EQ(told(loaded), "");
    ASSERT_EQ(loaded.config.login.aliases.size(), 12U);
    EXPECT_EQ(loaded.config.login.aliases[0].from, "user0");
    EXPECT_EQ(loaded.config.login.aliases[11].from, "user11");
}

TEST_F(ConfigByEnvironment, NamesTheVariableInsteadOfTheLine) {
    EXPECT_EQ(
        told(load(smallest_file, {{"POPGATE_LIMITS_MAX_SESSIONS", "many"},
                                  {"POPGATE_LIMITS_BAD_COMMANDS", "0"},
                                  {"POPGATE_LIMITS_IDLE_TIMEOUT", "10 minutes"},
                                  {"POPGATE_LOGIN_LOWER_CASE", "yes"},
                                  {"POPGATE_LOG_FORMAT", "xml"},
                                  {"POPGATE_PROCESS_USER", "a\nb"},
                                  {"POPGATE_ROUTE_0_BACKEND", "ftp://x"}})),
        "POPGATE_LIMITS_MAX_SESSIONS: limits.max_sessions: must be an integer, not \"many\"\n"
        "POPGATE_LOGIN_LOWER_CASE: login.lower_case: must be true or false, not \"yes\"\n"
        "POPGATE_LIMITS_BAD_COMMANDS: limits.bad_commands: must be from 1 to 1000, not 0\n"
        "POPGATE_LIMITS_IDLE_TIMEOUT: limits.idle_timeout: \"10 minutes\" is no duration; write one as \"500ms\", "
        "\"60s\", \"10m\", \"12h\" or \"30d\"\n"
        "POPGATE_LOG_FORMAT: log.format: \"xml\" is not one of \"text\", \"json\"\n"
        "POPGATE_PROCESS_USER: process.user: must not hold control characters\n"
        "POPGATE_ROUTE_0_BACKEND: route[0].backend: \"ftp://x\" begins with no known kind of backend (gmail:, "
        "graph:, imap:, imaps:, jmap:, jmaps:, maildir:, mbox:, rest:)\n");
}

TEST_F(ConfigByEnvironment, WhatAnElementOfItsOwnLacksIsAVariable) {
    EXPECT_EQ(told(load(smallest_file, {{"POPGATE_ROUTE_1_MATCH", "*"}})),
              "POPGATE_ROUTE_1_BACKEND: route[1].backend: is missing, as \"imaps://imap.example.com\"\n");
}

TEST_F(ConfigByEnvironment, TheFilesOwnFaultsKeepTheirLines) {
    const std::string text = std::string(smallest_file) + "auth = \"nothing\"\n";
    const std::string said = told(load(text, {{"POPGATE_LOG_LEVEL", "debug"}}));
    EXPECT_TRUE(said.starts_with("FILE:9: route[0].auth: \"nothing\" is not one of ")) << said;
}

TEST_F(ConfigByEnvironment, TellsWhatWasMeant) {
    EXPECT_EQ(told(load(smallest_file, {{"POPGATE_ROUTE_0_BACKENDS", "x"},
                                        {"POPGATE_ROUTE_BACKEND", "x"},
                                        {"POPGATE_ROUTE_0", "x"},
                                        {"POPGATE_ROUTE_00_MATCH", "x"},
                                        {"POPGATE_ROUTE_99999999999999999999_MATCH", "x"},
                                        {"POPGATE_LISTEN_ADDRESS", "x"},
                                        {"POPGATE_LIMITS_MAX_SESSION", "7"},
                                        {"POPGATE_LOG_", "x"}})),
              "POPGATE_LIMITS_MAX_SESSION: names no key of [limits]; did you mean POPGATE_LIMITS_MAX_SESSIONS?\n"
              "POPGATE_LISTEN_ADDRESS: there may be several of [[listen]]: their number, from 0, is part of the name; "
              "did you mean POPGATE_LISTEN_0_ADDRESS?\n"
              "POPGATE_LOG_: names no key of [log]; did you mean POPGATE_LOG_FILE?\n"
              "POPGATE_ROUTE_0: names no key of [route]; did you mean POPGATE_ROUTE_0_AUTH?\n"
              "POPGATE_ROUTE_00_MATCH: there may be several of [[route]]: their number, from 0, is part of the name; "
              "did you mean POPGATE_ROUTE_0_MATCH?\n"
              "POPGATE_ROUTE_0_BACKENDS: names no key of [route]; did you mean POPGATE_ROUTE_0_BACKEND?\n"
              "POPGATE_ROUTE_99999999999999999999_MATCH: there may be several of [[route]]: their number, from 0, is "
              "part of the name; did you mean POPGATE_ROUTE_0_MATCH?\n"
              "POPGATE_ROUTE_BACKEND: there may be several of [[route]]: their number, from 0, is part of the name; "
              "did you mean POPGATE_ROUTE_0_BACKEND?\n");
}

TEST_F(ConfigByEnvironment, ListsHaveNoGaps) {
    EXPECT_EQ(told(load(smallest_file, {{"POPGATE_ROUTE_2_MATCH", "*"}})),
              "POPGATE_ROUTE_2_MATCH: route[2]: the one before it is missing: route[1]\n");
}

TEST_F(ConfigByEnvironment, OtherVariablesAreNotOurs) {
    EXPECT_EQ(told(load(smallest_file, {{"POPGATE_BINARY", "x"},
                                        {"POPGATE_SANITIZED", "1"},
                                        {"POPGATE_LISTEN", "x"},
                                        {"POPGATE_", "x"},
                                        {"POPGATE", "x"},
                                        {"popgate_route_0_backend", "x"},
                                        {"PATH", "x"}})),
              "");
}

TEST_F(ConfigByEnvironment, AFileThatIsBrokenIsToldForItself) {
    const Environment environment{{"POPGATE_ROUTE_0_BACKEND", "imaps://b.example"}, {"POPGATE_TLS_KEY", "x"}};
    const std::string said = told(load("route = 7\ntls = 8\n", environment));
    EXPECT_NE(said.find("FILE:1: route: must be written as [[route]]"), std::string::npos) << said;
    EXPECT_NE(said.find("FILE:2: tls: must be written as [tls]"), std::string::npos) << said;
    EXPECT_FALSE(load_config(folder_ / "none.toml", environment).usable());
}

TEST_F(ConfigByEnvironment, EveryKeyHasItsVariable) {
    std::set<std::string> names;
    Config scratch;
    for (const Section& section : sections()) {
        for (const Option& option : section.open(scratch)) {
            const std::string path = std::string(section.name) + (section.is_list ? "[0]." : ".");
            const std::string name = variable_name(path + std::string(option.key));
            EXPECT_TRUE(names.insert(name).second) << name << " would mean two keys";
            for (const ConfigProblem& problem : load_config({}, {{name, "7"}}).problems) {
                EXPECT_EQ(problem.text.find("names no key"), std::string::npos) << name;
                EXPECT_EQ(problem.text.find("part of the name"), std::string::npos) << name;
            }
        }
    }
}

TEST(EnvironmentAlone, IsAConfiguration) {
    const Environment environment{{"POPGATE_ROUTE_0_BACKEND", "imaps://imap.example.com"}};
    EXPECT_TRUE(is_enough(environment));
    EXPECT_FALSE(is_enough({{"POPGATE_ROUTE_0_MATCH", "*"}}));
    const LoadedConfig loaded = load_config({}, environment);
    ASSERT_TRUE(loaded.usable());
    ASSERT_EQ(loaded.problems.size(), 1U);
    EXPECT_TRUE(loaded.problems[0].to_string().starts_with("POPGATE_LISTEN_0_TLS: listen[0].tls: warning: without TLS"))
        << loaded.problems[0].to_string();
    ASSERT_EQ(loaded.config.listeners.size(), 1U);
    EXPECT_EQ(loaded.config.listeners[0].address, "0.0.0.0:1110");
    EXPECT_EQ(loaded.config.listeners[0].tls, TlsMode::none);
}

TEST(EnvironmentAlone, ListensWithTlsWhereThereIsACertificate) {
    const LoadedConfig loaded = load_config({}, {{"POPGATE_ROUTE_0_BACKEND", "imaps://imap.example.com"},
                                                 {"POPGATE_TLS_CERTIFICATE", "none.pem"},
                                                 {"POPGATE_TLS_KEY", "none.key"}});
    ASSERT_EQ(loaded.config.listeners.size(), 2U);
    EXPECT_EQ(loaded.config.listeners[0].tls, TlsMode::starttls);
    EXPECT_EQ(loaded.config.listeners[1].address, "0.0.0.0:1995");
    EXPECT_EQ(loaded.config.listeners[1].tls, TlsMode::implicit);
    ASSERT_FALSE(loaded.problems.empty());
    EXPECT_EQ(loaded.problems[0].to_string(),
              "POPGATE_TLS_CERTIFICATE: tls.certificate: none.pem cannot be read: No such file or directory");
}

TEST(EnvironmentAlone, ListensAsItSays) {
    const LoadedConfig loaded = load_config({}, {{"POPGATE_ROUTE_0_BACKEND", "imaps://imap.example.com"},
                                                 {"POPGATE_LISTEN_0_ADDRESS", "127.0.0.1:110"},
                                                 {"POPGATE_LISTEN_0_TLS", "none"}});
    EXPECT_TRUE(loaded.problems.empty());
    ASSERT_EQ(loaded.config.listeners.size(), 1U);
    EXPECT_EQ(loaded.config.listeners[0].address, "127.0.0.1:110");
}

TEST(EnvironmentAlone, WithoutARouteIsToldSo) {
    const LoadedConfig loaded = load_config({}, {{"POPGATE_LISTEN_0_ADDRESS", "127.0.0.1:110"}});
    EXPECT_FALSE(loaded.usable());
    EXPECT_EQ(loaded.problems.back().to_string(), "environment: route: at least one [[route]] is needed");
}

/// The process takes its variables once, so this needs one of its own.
TEST(ProcessEnvironment, KeepsSecretsFromChildrenAndFromProc) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("POPGATE_OAUTH_0_CLIENT_SECRET", "hush", 1);
        ::setenv("POPGATE_OAUTH_0_CLIENT_ID", "id", 1);
        ::execl("/proc/self/exe", "unit_tests", "--gtest_filter=ProcessEnvironment.DISABLED_Child",
                "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
        ::_exit(99);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

TEST(ProcessEnvironment, DISABLED_Child) {
    const auto proc = [] {
        std::ifstream in("/proc/self/environ", std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    ASSERT_NE(proc().find("=hush"), std::string::npos);
    EXPECT_EQ(process_environment().at("POPGATE_OAUTH_0_CLIENT_SECRET"), "hush");
    EXPECT_EQ(process_environment().at("POPGATE_OAUTH_0_CLIENT_ID"), "id");
    EXPECT_EQ(std::getenv("POPGATE_OAUTH_0_CLIENT_SECRET"), nullptr);
    EXPECT_STREQ(std::getenv("POPGATE_OAUTH_0_CLIENT_ID"), "id");
    EXPECT_EQ(proc().find("hush"), std::string::npos);
}

}  // namespace
}  // namespace popgate
