#pragma once

#include "backends/registry.hpp"
#include "backends/rest/description.hpp"
#include "gateway/net/certificate_pair.hpp"
#include "gateway/oauth/settings.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace popgate {

enum class TlsMode { none, starttls, implicit };
enum class TlsVersion { tls1_0, tls1_1, tls1_2, tls1_3 };
enum class LogFormat { text, json };
enum class LogLevel { debug, info, warning, error };
enum class ClientCertificates { off, optional, required };
/// How a client proves who it is.
enum class ClientAuth { passthrough, password_file, pam, app_passwords, http, certificate, oauth };
/// With what the upstream is opened.
enum class UpstreamAuth { client, stored, oauth, master };
enum class LockMode { exclusive, shared };
/// What a new session does while the shared state store is away: hears a temporary error, or goes on without.
enum class WithoutLock { refuse, read_only };
enum class WithoutIndex { refuse, serve };
enum class WithoutThrottles { refuse, local };
enum class Sizes { backend, learned, exact };
enum class OnDelete { destroy, purge, trash, archive, mark_read, keep };
enum class MessageOrder { oldest_first, newest_first };

/// Which messages of a mailbox POP3 clients see.
struct View {
    enum class Kind { all, unread, last_days, last_messages };
    Kind kind = Kind::all;
    std::uint32_t count = 0;  ///< of days or messages
    bool operator==(const View&) const = default;
};

/// One address to listen on.
struct ListenConfig {
    std::string address;  ///< "host:port" with a literal IP, port 0 takes a free one; or "systemd:NAME"
    TlsMode tls = TlsMode::starttls;
    bool require_tls = true;  ///< starttls only: no USER and no AUTH before STLS
    TlsVersion min_tls = TlsVersion::tls1_2;
    ClientCertificates client_certificates = ClientCertificates::off;
    std::string client_ca_file{};  ///< PEM: who may have signed them
    bool apop = false;
    bool cram_md5 = false;
    std::string rpop_from{};        ///< networks separated by spaces, as "192.0.2.0/24 2001:db8::/32"; empty: no RPOP
    bool proxy_protocol = false;    ///< sessions begin with a PROXY header, whose client is the true one
    std::string trusted_proxies{};  ///< networks, as rpop_from: who may send one; nobody else is served there

    bool operator==(const ListenConfig&) const = default;
};

/// The certificate for clients that name no server, and the first of all; others are in Config::certificates.
struct TlsConfig {
    std::string certificate;                        ///< PEM, the chain, leaf first
    std::string key;                                ///< PEM; or "credential:NAME", as in Config::certificates
    std::chrono::milliseconds check_every{10'000};  ///< how often the files are looked at, those of the others too
};

struct LimitsConfig {
    std::uint32_t max_sessions = 10'000;
    std::uint32_t max_sessions_per_address = 100;
    std::chrono::milliseconds login_timeout{
        60'000};  ///< total, from accept to login; the upstream's time does not count
    std::chrono::milliseconds idle_timeout{600'000};  ///< between two commands (RFC 1939: at least 10 minutes)
    std::chrono::milliseconds session_timeout{12 * 3'600'000};  ///< a whole session, whatever it does
    std::chrono::milliseconds write_timeout{300'000};           ///< a client that takes no octet for so long is gone
    std::chrono::milliseconds drain_timeout{30'000};            ///< after SIGTERM, before sessions are cut
    std::chrono::milliseconds proxy_timeout{5'000};             ///< for the PROXY header
    std::uint32_t bad_commands = 3;                             ///< before login, then the connection is closed
    std::uint32_t stress_at = 80;                               ///< per cent of max_sessions; 100: never
    std::chrono::milliseconds stress_login_timeout{10'000};     ///< login_timeout under stress
    std::uint32_t workers = 0;                                  ///< io threads; 0: one a core
    std::uint32_t blocking_threads = 8;
};

struct LogConfig {
    LogFormat format = LogFormat::text;
    LogLevel level = LogLevel::info;
    std::string file{};  ///< empty: standard error
};

struct ProcessConfig {
    std::string user;  ///< as whom it runs when root starts it; see drop_privileges()
};

/// Where and how state is kept.
struct StateConfig {
    std::string url = "sqlite:/var/lib/popgate/state.db";
    std::chrono::milliseconds reconcile_every{24 * 3'600'000};  ///< a whole look at a mailbox, whatever the store says
    // The others are for a Redis alone.
    std::string node{};           ///< what this process is called there, and in metrics; empty: the host's name
    std::string password_file{};  ///< instead of a password in the URL
    std::string ca_file{};
    std::chrono::milliseconds lock_expiry{20'000};
    std::uint32_t replicas = 0;  ///< that must have a lock, and what is written durably
    WithoutLock lock_unavailable = WithoutLock::refuse;
    WithoutIndex index_unavailable = WithoutIndex::refuse;
    WithoutThrottles throttle_unavailable = WithoutThrottles::local;
    std::uint32_t cache = 64 * 1024 * 1024;  ///< octets of mailboxes that were seen last

    bool operator==(const StateConfig&) const = default;
};

/// Name rules and what else concerns logins.
struct LoginConfig {
    bool lower_case = false;
    std::string default_domain;                       ///< for names without '@'
    std::chrono::milliseconds longest_delay{30'000};  ///< of the answer to a wrong password
    std::string sign_in_command;                      ///< run with user and reason when a person must sign in again

    /// Another name for some users.
    struct Alias {
        std::string from;  ///< a pattern as RouteConfig::match
        std::string to;    ///< %u, %n and %d are of the name that matched
    };
    std::vector<Alias> aliases;
};

/// Where the vault's keys are.
struct SecretsConfig {
    std::string key_file;  ///< empty: "secrets.key" beside the state store's file
};

/// Pages and documents for people and their programs.
struct EnrolmentConfig {
    std::string listen;     ///< "host:port"; empty: none
    bool tls = true;        ///< with the certificate of [tls]
    std::string url;        ///< as people reach it, "https://mail.example.com"
    std::string pop3_host;  ///< what they enter in their mail program; empty: the host of `url`
    std::string domains;    ///< for which autoconfig and autodiscover answer, separated by spaces; "*": any
    std::string service_name = "popgate";

    bool operator==(const EnrolmentConfig&) const = default;
};

struct AdminConfig {
    std::string listen;  ///< "unix:/path" and "host:port", any number, separated by spaces; empty: none
};

/// What a mailbox's owner wants of it.
struct MaildropPolicy {
    OnDelete on_delete = OnDelete::destroy;
    std::optional<std::chrono::milliseconds> expire_after;  ///< since it was retrieved; none: never
    bool delete_only_if_retrieved = false;
    View view;
    MessageOrder order = MessageOrder::oldest_first;
};

/// The same for single accounts, over what their route says. What is absent is as in the route.
struct AccountConfig {
    std::string user;  ///< a pattern as RouteConfig::match
    std::optional<OnDelete> on_delete;
    std::optional<std::chrono::milliseconds> expire_after;  ///< 0: never
    std::optional<bool> delete_only_if_retrieved;
    std::optional<View> view;
    std::optional<MessageOrder> order;
};

/// Which users go where. The first route that matches wins.
struct RouteConfig {
    std::string match = "*";  ///< user name pattern: * any run, ? one character; not case-sensitive
    BackendOptions backend;
    std::string rest_api;  ///< names a [[rest]] or a preset; see link_rest_apis()
    ClientAuth auth = ClientAuth::passthrough;
    std::string password_file;  ///< "user:crypt(3) hash" a line
    std::string pam_service = "popgate";
    std::string auth_url;                       ///< auth = "http": the web hook
    std::optional<UpstreamAuth> upstream_auth;  ///< none: oauth where `oauth` is said, else client
    std::string oauth;                          ///< names an [[oauth]]
    std::string upstream_user;                  ///< %u, %n, %d; empty: the user
    std::string master_user;
    std::string master_password_file;

    UpstreamAuth upstream() const {
        return upstream_auth.value_or(oauth.empty() ? UpstreamAuth::client : UpstreamAuth::oauth);
    }
    LockMode lock = LockMode::exclusive;
    bool mark_seen = true;  ///< what was retrieved is marked as read upstream
    Sizes sizes = Sizes::learned;
    MaildropPolicy policy;
    std::uint32_t quarantine_after = 3;  ///< sessions in a row that could not be given a message; 0: never
    std::optional<std::chrono::milliseconds>
        login_delay;                ///< between two logins of an account, on average (RFC 2449 §6.5)
    std::uint32_t login_burst = 3;  ///< logins that may follow one another at once all the same
    std::uint32_t sessions_per_account = 20;
    std::chrono::milliseconds keep_alive{120'000};  ///< how often the upstream is spoken to while the client is silent
};

struct Config {
    std::vector<ListenConfig> listeners;
    TlsConfig tls;
    std::vector<CertificateFiles> certificates;  ///< further ones; see certificate_files()
    LimitsConfig limits;
    LogConfig log;
    ProcessConfig process;
    StateConfig state;
    LoginConfig login;
    SecretsConfig secrets;
    EnrolmentConfig enrolment;
    AdminConfig admin;
    std::vector<oauth::Settings> oauth_providers;
    std::vector<RouteConfig> routes;
    std::vector<rest::Description> rest_apis;
    std::vector<AccountConfig> accounts;  ///< the first that matches a user counts
};

/// One thing wrong with a configuration.
struct ConfigProblem {
    std::string file;   ///< or the variable of the environment
    unsigned line = 0;  ///< 0 when it belongs to no line
    std::string key;    ///< "route[0].backend"
    std::string text;
    bool is_warning = false;
    /// "FILE:LINE: key: text", on one line.
    std::string to_string() const;
};

struct LoadedConfig {
    Config config;
    std::vector<ConfigProblem> problems;
    bool usable() const;  ///< no problem but warnings
};

/// The server's certificates, the default one first: that of [tls], or without one the first [[certificate]].
/// Keys that are systemd's credentials have their paths. Empty: there is no TLS.
std::vector<CertificateFiles> certificate_files(const Config& config);

/// What holds for this user: the route's policy with the account's own wishes.
MaildropPolicy policy_for(const RouteConfig& route, const std::vector<AccountConfig>& accounts, std::string_view user);

/// Reads and judges a TOML file, with the process's POPGATE_… variables over it (see environment.hpp); every problem is
/// reported, not only the first. Without a file (an empty name) the variables are all there is. Blocks: not for a
/// fiber. Relative names of files are of the file's folder. The first call must come before any thread is started.
LoadedConfig load_config(const std::filesystem::path& file);

/// Judges a configuration that was put together from the command line.
std::vector<ConfigProblem> check_config(const Config& config);

}  // namespace popgate
