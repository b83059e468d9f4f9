#include "gateway/config/options.hpp"

#include "gateway/config/duration.hpp"
#include "gateway/config/names.hpp"
#include "gateway/config/view.hpp"

#include <algorithm>
#include <string>

namespace popgate {

namespace {

/// `Value` is an enumeration, or an optional one that has no default.
template <class E, class Value>
ChoiceTarget choice(Value& value, const Names<E>& names) {
    ChoiceTarget target{{}, names.size(), [&value, &names](std::size_t i) { value = names[i].second; }};
    for (const auto& [name, meaning] : names) {
        if (value == meaning) target.standard = target.names.size();
        target.names.push_back(name);
    }
    return target;
}

// A password that was changed upstream opens the mailbox no longer than this.
constexpr std::chrono::minutes longest_reuse{5};

std::vector<Option> listen_options(ListenConfig& listen) {
    return {
        {"address", &listen.address,
         "IP address and port, as \"0.0.0.0:110\" or \"[::]:995\"; port 0 takes a free one. \"systemd:NAME\" is what a "
         "socket unit with that FileDescriptorName has opened.",
         "0.0.0.0:110"},
        {"tls", choice(listen.tls, tls_mode_names),
         "Clear text, clear text that STLS may upgrade, or TLS from the start."},
        {"require_tls", &listen.require_tls, "With tls = \"starttls\" only: no login before STLS."},
        {"min_tls", choice(listen.min_tls, tls_version_names),
         "Oldest TLS version taken; below 1.2 is for devices that know nothing better."},
        {"client_certificates", choice(listen.client_certificates, client_certificates_names),
         "Whether clients are asked for a TLS certificate, and whether they must have one; behind a proxy that ends "
         "TLS, "
         "whether one that it has verified counts."},
        {"client_ca_file", FileTarget{&listen.client_ca_file}, "PEM file: the authorities that may have signed it.",
         "/etc/popgate/tls/clients.pem"},
        {"apop", &listen.apop,
         "APOP for accounts with a shared secret: MD5, which has been broken; for programs that know nothing better."},
        {"cram_md5", &listen.cram_md5, "AUTH CRAM-MD5 for the same accounts; weak in the same way."},
        {"rpop_from", &listen.rpop_from,
         "Networks whose hosts may log anybody in by RPOP, without a password: whoever can send from there reads "
         "all mail.",
         "192.0.2.7/32"},
        {"proxy_protocol", &listen.proxy_protocol,
         "Sessions begin with HAProxy's PROXY header, version 1 or 2: the client that it names is the true one."},
        {"trusted_proxies", &listen.trusted_proxies,
         "Networks, separated by spaces, whose hosts may send such a header; nobody else is served there.",
         "10.0.0.2 2001:db8::7"},
    };
}

std::vector<Option> tls_options(TlsConfig& tls) {
    return {
        {"certificate", FileTarget{&tls.certificate}, "PEM file: the chain, the server's own certificate first.",
         "/etc/popgate/tls/fullchain.pem"},
        {"key", KeyFileTarget{&tls.key},
         "PEM file: the private key, without a passphrase; \"credential:NAME\" is one of systemd's.",
         "/etc/popgate/tls/privkey.pem"},
        {"check_every", &tls.check_every,
         "How often the files are looked at, those of [[certificate]] too: new ones are taken without a restart."},
    };
}

std::vector<Option> certificate_options(CertificateFiles& files) {
    return {
        {"certificate", FileTarget{&files.certificate}, "PEM file, as in [tls].",
         "/etc/popgate/tls/example.org/fullchain.pem"},
        {"key", KeyFileTarget{&files.key}, "PEM file, as in [tls].", "/etc/popgate/tls/example.org/privkey.pem"},
        {"names", &files.names,
         "Names of this server, separated by spaces, for which it is shown; \"*.\" stands for one label. Without it "
         "those in the certificate.",
         "mail.example.org *.example.net"},
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
        {"proxy_timeout", &limits.proxy_timeout, "For the PROXY header, where a listener has proxy_protocol."},
        {"stress_at", NumberTarget{&limits.stress_at, 1, 100},
         "Per cent of max_sessions from which on clients that have not logged in are given less time, and one bad "
         "command; "
         "100 means never."},
        {"stress_login_timeout", &limits.stress_login_timeout, "login_timeout from there on."},
        {"bad_commands", NumberTarget{&limits.bad_commands, 1, 1000},
         "Bad commands before login after which the connection is closed."},
        {"workers", NumberTarget{&limits.workers, 0, 1024}, "Threads that carry sessions; 0 means one a core."},
        {"blocking_threads", NumberTarget{&limits.blocking_threads, 1, 1024},
         "Threads for what blocks: password hashes, local files."},
    };
}

std::vector<Option> log_options(LogConfig& log) {
    return {
        {"format", choice(log.format, log_format_names), "One line of words or one JSON object an event."},
        {"level", choice(log.level, log_level_names), "The least level that is written."},
        {"file", FileTarget{&log.file},
         "Where it goes instead of standard error. Its folder must be there; the popgate user writes, and after "
         "SIGUSR1 "
         "a file of that name is opened anew.",
         "/var/log/popgate/popgate.log"},
    };
}

std::vector<Option> process_options(ProcessConfig& process) {
    return {
        {"user", &process.user,
         "As whom it runs when root starts it; \"root\" stays root. Without it as popgate, where there is such a user. "
         "This file, keys and certificates must be readable by that user.",
         "popgate"},
    };
}

std::vector<Option> state_options(StateConfig& state) {
    return {
        {"url", &state.url,
         "What is remembered of the mailboxes: an SQLite file of this host, or a Redis that any number of nodes share "
         "(\"redis://HOST:6379/0\", \"rediss://\" with TLS, \"redis+unix:/PATH\", "
         "\"redis+sentinel://HOST,HOST/MASTER\", "
         "\"redis+cluster://HOST,HOST\": see scaling.md); \"sqlite::memory:\" lasts no longer than the process."},
        {"reconcile_every", &state.reconcile_every,
         "How often a mailbox is looked at as a whole, whatever its server says has changed."},
        {"node", &state.node, "What this process is called in metrics, and at a Redis. Not set: the host's name.",
         "pop-1"},
        {"password_file", FileTarget{&state.password_file},
         "The password of a Redis, instead of one in the URL; \"credential:NAME\" is one of systemd's.",
         "/etc/popgate/redis.password"},
        {"ca_file", FileTarget{&state.ca_file}, "PEM file: trusted for a Redis instead of the system's authorities.",
         "/etc/popgate/redis-ca.pem"},
        {"lock_expiry", &state.lock_expiry,
         "At a Redis: when the maildrops are free that a node held which has died; a node that cannot renew its locks "
         "for so long removes nothing more in those sessions. 2s to 10m."},
        {"replicas", NumberTarget{&state.replicas, 0, 16},
         "At a Redis: so many of its replicas must have a lock, and whatever must not be lost, before it counts."},
        {"lock_unavailable", choice(state.lock_unavailable, without_lock_names),
         "New sessions while a Redis is away: a temporary error, or sessions that may remove nothing and may not be "
         "alone in their mailbox."},
        {"index_unavailable", choice(state.index_unavailable, without_index_names),
         "Likewise, for what is remembered of a mailbox: a temporary error, or what this node saw last, and nothing "
         "where it saw nothing. Unique-ids that were imported, and messages that were deleted but kept, are "
         "then not known."},
        {"throttle_unavailable", choice(state.throttle_unavailable, without_throttles_names),
         "Likewise, for wrong passwords and LOGIN-DELAY: a temporary error, or what this node has counted by itself."},
        {"cache", NumberTarget{&state.cache, 0, 2'000'000'000},
         "At a Redis: octets of memory for the mailboxes that were seen last, whose lists need not be read again."},
    };
}

std::vector<Option> login_options(LoginConfig& login) {
    return {
        {"lower_case", &login.lower_case, "Whether user names are made lower case before anything looks at them."},
        {"default_domain", &login.default_domain, "What a user name without @ gets.", "example.com"},
        {"longest_delay", &login.longest_delay,
         "A wrong password is answered after a second; with each further failure from the same address that doubles, "
         "up to here."},
        {"sign_in_command", FileTarget{&login.sign_in_command},
         "A program that is run with the user's name and a reason when a person must sign in again.",
         "/etc/popgate/sign-in-needed"},
    };
}

std::vector<Option> alias_options(LoginConfig::Alias& alias) {
    return {
        {"from", &alias.from, "The user names meant, as in a route's match.", "*@old.example"},
        {"to", &alias.to, "The name that they stand for; %u, %n and %d are of the one that was given.",
         "%n@new.example"},
    };
}

std::vector<Option> secrets_options(SecretsConfig& secrets) {
    return {
        {"key_file", KeyFileTarget{&secrets.key_file},
         "The keys that tokens and passwords in the state store are encrypted with; \"credential:NAME\" is one of "
         "systemd's. Without it \"secrets.key\" beside the state store's file, which backups of that should leave out.",
         "credential:secrets.key"},
    };
}

std::vector<Option> enrolment_options(EnrolmentConfig& enrolment) {
    return {
        {"listen", &enrolment.listen,
         "Where people sign in with their provider and get app passwords, and mail programs ask for their settings.",
         "0.0.0.0:8443"},
        {"tls", &enrolment.tls, "With the certificate of [tls]; without TLS on loopback only, behind a web server."},
        {"url", &enrolment.url, "The address of these pages as people reach it; providers must know URL/callback.",
         "https://mail.example.com:8443"},
        {"pop3_host", &enrolment.pop3_host, "The POP3 server's name for mail programs, if not the host of the url.",
         "pop.example.com"},
        {"domains", &enrolment.domains,
         "Mail domains, separated by spaces, for whose addresses mail programs are told their settings; \"*\" is any.",
         "example.com example.org"},
        {"service_name", &enrolment.service_name, "What the pages and mail programs call it."},
    };
}

std::vector<Option> admin_options(AdminConfig& admin) {
    return {{"listen", &admin.listen,
             "Addresses, separated by spaces. A Unix socket is for popgate's own commands; TCP on loopback has the "
             "status page, metrics and health; any other address metrics and health alone. All in clear.",
             "unix:/run/popgate/admin.sock 127.0.0.1:9110"}};
}

std::vector<Option> oauth_options(oauth::Settings& oauth) {
    return {
        {"name", &oauth.name, "What a route's oauth says.", "microsoft"},
        {"provider", &oauth.provider, "\"google\" or \"microsoft\": their addresses and scopes are known.",
         "microsoft"},
        {"issuer", &oauth.issuer, "Another OpenID Connect provider: its URL, whose discovery document says the rest.",
         "https://login.example.com"},
        {"authorization_url", &oauth.authorization_url, "Without a discovery document: where people sign in.",
         "https://login.example.com/authorize"},
        {"token_url", &oauth.token_url, "Likewise: the token endpoint.", "https://login.example.com/token"},
        {"device_url", &oauth.device_url, "Likewise: the device authorization endpoint, if there is one.",
         "https://login.example.com/device"},
        {"tenant", &oauth.tenant, "microsoft only: the directory's id or domain; \"common\" without it.",
         "example.com"},
        {"grant", choice(oauth.grant, grant_names),
         "Whose tokens: each account's own, for which its owner signs in once; or the application's, for any account."},
        {"client_id", &oauth.client_id, "The application's id, as it was registered with the provider.",
         "11111111-2222-3333-4444-555555555555"},
        {"client_secret", &oauth.client_secret, "Its secret, if it has one. Better in a file.", "secret", true},
        {"client_secret_file", KeyFileTarget{&oauth.client_secret_file},
         "Instead of it; \"credential:NAME\", here and below, is one of systemd's.", "/etc/popgate/client-secret"},
        {"client_certificate", KeyFileTarget{&oauth.client_certificate},
         "PEM: the application proves itself with a certificate instead.", "/etc/popgate/client.pem"},
        {"client_key", KeyFileTarget{&oauth.client_key}, "PEM: its key.", "/etc/popgate/client.key"},
        {"service_account_file", KeyFileTarget{&oauth.service_account_file},
         "grant = \"service-account\" only: the JSON file from Google.", "/etc/popgate/service-account.json"},
        {"scopes", &oauth.scopes,
         "What is asked for, separated by spaces. Without it: what google and microsoft want for the route's backend.",
         "openid email offline_access"},
        {"ca_file", FileTarget{&oauth.ca_file},
         "PEM file: trust these authorities for the provider instead of the system's."},
        {"http_proxy", &oauth.http_proxy, "The proxy through which the provider is reached.",
         "http://proxy.example.com:3128", true},
        {"timeout", &oauth.timeout, "The longest silence of the provider."},
    };
}

std::vector<Option> route_options(RouteConfig& route) {
    BackendOptions& backend = route.backend;
    MaildropPolicy& policy = route.policy;
    return {
        {"match", &route.match, "The POP3 user names meant: * is any run of characters, ? one; case does not matter."},
        {"backend", &backend.url,
         "Where the mail is: imaps://host[:port], imap://host[:port], jmaps://host[:port], gmail:, graph:, "
         "rest:https://host, maildir:/path/%u or mbox:/path/%u (%u user name, %n the part before the last @, %d the "
         "part "
         "after it).",
         "imaps://imap.example.com"},
        {"auth", choice(route.auth, client_auth_names),
         "How clients prove who they are: what they give goes upstream; a password file; PAM; passwords that popgate "
         "made for them; a web hook; a TLS certificate; an OAuth2 token that goes upstream."},
        {"password_file", FileTarget{&route.password_file},
         "Lines of \"user:hash\", as popgate hash-password makes them."},
        {"pam_service", &route.pam_service, "auth = \"pam\": the name of the PAM service."},
        {"auth_url", &route.auth_url,
         "auth = \"http\": a URL that is asked as nginx's mail proxy asks, and may name the upstream and the user "
         "there.",
         "http://127.0.0.1:9000/auth"},
        {"upstream_auth", choice(route.upstream_auth, upstream_auth_names),
         "With what the upstream is opened: what the client gave; a password stored for the account; an OAuth2 token; "
         "a master user's password. Without it: oauth where that key is said, else client.",
         "stored"},
        {"oauth", &route.oauth, "The [[oauth]] whose tokens open the upstream.", "microsoft"},
        {"upstream_user", &route.upstream_user, "The user's name at the upstream; %u, %n and %d as in backend.", "%n"},
        {"master_user", &route.master_user,
         "upstream_auth = \"master\": who may open any mailbox (SASL PLAIN, imap only).", "popgate"},
        {"master_password_file", KeyFileTarget{&route.master_password_file},
         "His password; \"credential:NAME\" is one of systemd's.", "/etc/popgate/master-password"},
        {"starttls", choice(backend.starttls, starttls_names),
         "imap:// only: whether the upstream must offer STARTTLS."},
        {"ca_file", FileTarget{&backend.ca_file},
         "PEM file: trust these authorities for the upstream instead of the system's."},
        {"verify_certificate", &backend.verify_certificate,
         "false believes any certificate, so that anybody in between can read passwords and mail."},
        {"folder", &backend.folder, "The upstream's folder that is served."},
        {"sizes", choice(route.sizes, sizes_names),
         "Where the sizes in LIST come from: the upstream; the upstream until a message has passed through once; or "
         "every message is measured before its size is told."},
        {"on_delete", choice(policy.on_delete, on_delete_names),
         "What becomes of deleted messages at QUIT: removed, removed so that nobody gets them back (which differs from "
         "delete with gmail: and graph: only), moved to a folder, or left in the mailbox (marked as read or as they "
         "are) "
         "and hidden from POP3."},
        {"trash_folder", &backend.trash_folder,
         "The folder for on_delete = \"trash\", if not the one that the upstream knows as such; with mbox a path as in "
         "its URL.",
         "Trash"},
        {"archive_folder", &backend.archive_folder, "The same for on_delete = \"archive\".", "Archive"},
        {"expire_after", ExpiryTarget{&policy.expire_after, std::nullopt},
         "So long after a client retrieved it a message goes as if it had been deleted, such as \"30d\"."},
        {"delete_only_if_retrieved", &policy.delete_only_if_retrieved,
         "Whether a message stays until a client has retrieved it whole, even if it is deleted."},
        {"view", &policy.view, "Which messages POP3 shows; the others stay where they are."},
        {"order", choice(policy.order, message_order_names), "Which message is number 1."},
        {"unique_ids", &backend.unique_ids,
         "How unique-ids are written: \"native\", as another POP3 server wrote them (\"dovecot\", \"cyrus\", "
         "\"courier\", \"uw\", \"gmail\" and others: see operating.md), or a template with %."},
        {"state_name", &backend.state_name,
         "A name for the upstream in what is remembered, instead of its address, which may then change.", "corp-imap"},
        {"quarantine_after", NumberTarget{&route.quarantine_after, 0, 1000},
         "Sessions in a row that cannot be given a message, after which it is hidden; 0 means never."},
        {"lock", choice(route.lock, lock_mode_names), "One session at a time for a mailbox, or any number."},
        {"login_delay", ExpiryTarget{&route.login_delay, std::nullopt},
         "The time between two logins of one account, on average; who comes sooner hears [LOGIN-DELAY]."},
        {"login_burst", NumberTarget{&route.login_burst, 1, 1000},
         "So many logins may follow one another at once all the same."},
        {"sessions_per_account", NumberTarget{&route.sessions_per_account, 1, 10'000},
         "Sessions of one account at one time, where lock = \"shared\" allows more than one."},
        {"upstream_connections", NumberTarget{&backend.upstream_connections, 0, 10'000},
         "IMAP only: connections at one time with one account of the upstream; 0 means any number."},
        {"reuse_upstream", SwitchedDurationTarget{&backend.reuse_upstream, longest_reuse},
         "IMAP with passwords only: how long after its login a connection may serve further sessions of the same "
         "account with the same password, which is not shown to the upstream again; 0 means that it serves one."},
        {"read_ahead", NumberTarget{&backend.read_ahead, 0, 16 * 1024 * 1024},
         "Octets of mail that are got from IMAP and HTTP upstreams before a client that reads in order asks for them; "
         "0 "
         "means none."},
        {"mark_seen", &route.mark_seen, "Whether a message that was retrieved is marked as read upstream."},
        {"connect_timeout", &backend.connect_timeout, "To reach the upstream, and again for TLS."},
        {"command_timeout", &backend.command_timeout, "The longest silence of the upstream within one command."},
        {"keep_alive", &route.keep_alive, "How often the upstream is spoken to while the client is silent."},
        {"http_auth", &backend.http_auth,
         "How the password goes to an HTTP upstream: \"basic\", \"bearer\" (it is an access token), \"header NAME\" or "
         "\"none\". Without it: basic for jmaps:, bearer for gmail: and graph:, what the description says for rest:.",
         "bearer"},
        {"rest_api", &route.rest_api,
         "rest: only: how its mail is reached: \"maildev\", \"mailpit\", \"wildduck\", or the name of a [[rest]].",
         "wildduck"},
        {"token_file", &backend.token_file,
         "HTTP upstreams: a file that holds the credential instead of the client's password, and is read anew when the "
         "upstream refuses it; %u, %n and %d as in backend.",
         "/run/popgate/tokens/%u"},
        {"http_proxy", &backend.http_proxy, "HTTP upstreams: the proxy through which they are reached.",
         "http://proxy.example.com:3128", true},
        {"mailbox", &backend.mailbox,
         "HTTP upstreams: whose mailbox is opened, where that is not the credential's owner; %u, %n and %d as in "
         "backend.",
         "%u"},
        {"trusted_origins", &backend.trusted_origins,
         "jmaps: only: other origins that the server may name for calls and downloads, separated by spaces; the "
         "credential goes there too.",
         "https://www.fastmailusercontent.com"},
        {"concurrent_requests", NumberTarget{&backend.concurrent_requests, 0, 1000},
         "HTTP upstreams: requests of one account at one time; 0 means what the kind is known to bear."},
        {"units_per_minute", NumberTarget{&backend.units_per_minute, 0, 100'000'000},
         "gmail: only: quota units that one account may use; 0 means 15000, Google's own figure."},
    };
}

std::vector<Option> rest_options(rest::Description& api) {
    return {
        {"name", &api.name, "What a route's rest_api says.", "my-api"},
        {"auth", &api.auth, "As a route's http_auth, which goes before it."},
        {"folder_list", &api.folder_list,
         "Where the folder's id must be asked for: what to get. Here and below: a path after the backend's URL, in "
         "which "
         "%u, %n and %d are the user's name as in a route's backend, percent-encoded.",
         "/users/%u/mailboxes"},
        {"folders", &api.folders,
         "Where the answer has the array of folders. Here and below: a JSON pointer (RFC 6901).", "/results"},
        {"folder_id", &api.folder_id, "In each of them: its id, which is {folder} in what follows."},
        {"folder_name", &api.folder_name, "The name that a route's folder means."},
        {"folder_use", &api.folder_use, "What it is for, as \"\\Trash\" and \"\\Archive\"."},
        {"list", &api.list,
         "What to get for the messages. {folder} is the folder's id, or its name without folder_list; {limit}, "
         "{offset} "
         "and {page} say which part of the list.",
         "/mailboxes/{folder}/messages?limit={limit}"},
        {"list_next", &api.list_next, "With cursors: the same for all parts but the first, with {cursor}.",
         "/mailboxes/{folder}/messages?limit={limit}&next={cursor}"},
        {"paging", choice(api.paging, paging_names), "How the list goes on: not at all, or by which of these."},
        {"page_size", NumberTarget{&api.page_size, 1, 10'000}, "{limit}: messages of one part."},
        {"first", NumberTarget{&api.first, 0, 1}, "The first {offset} or {page}."},
        {"messages", &api.messages, "Where the answer has the array of messages; empty where it is the whole answer.",
         "/results"},
        {"id", &api.id, "In each of them: its id, a text or a number."},
        {"size", &api.size, "Its size in octets; empty where it is not told."},
        {"date", &api.date, "When it arrived.", "/date"},
        {"dates", choice(api.dates, date_form_names), "How that is written."},
        {"seen", &api.seen, "Whether it has been read.", "/seen"},
        {"next", &api.next, "In the answer: the next cursor; none, null, false or empty in the last part.",
         "/nextCursor"},
        {"total", &api.total, "In the answer: how many messages there are in all parts.", "/total"},
        {"sizes_are_exact", &api.sizes_are_exact, "Whether the size is that of what `raw` gives, to the octet."},
        {"is_one_mailbox", &api.is_one_mailbox, "Whether everybody who logs in sees the same messages."},
        {"ids_are_of_folder", &api.ids_are_of_folder, "Whether a message of another folder may have the same id."},
        {"ids_may_return", &api.ids_may_return, "Whether the id of a message that is gone may become another one's."},
        {"raw", &api.raw, "What to get for a message as it is; {id} is its id.",
         "/mailboxes/{folder}/messages/{id}/raw"},
        {"raw_marks_seen", &api.raw_marks_seen,
         "Whether that marks the message as read. Nothing is got before a client asks for it then."},
        {"delete", &api.remove.url,
         "What removes a message. Where the body has {ids}, a JSON array, it removes many at once.",
         "/mailboxes/{folder}/messages/{id}"},
        {"delete_method", &api.remove.method, "DELETE, POST, PUT or PATCH."},
        {"delete_body", &api.remove.body, "JSON; {id} is put in as a text.", "{}"},
        {"move", &api.move.url, "What moves a message to {target}, a folder's id, here or in the body.",
         "/mailboxes/{folder}/messages/{id}"},
        {"move_method", &api.move.method, "As for delete."},
        {"move_body", &api.move.body, "As for delete; {target} is put in as a text.", "{}"},
        {"mark_seen", &api.mark_seen.url, "What marks a message as read.", "/mailboxes/{folder}/messages/{id}"},
        {"mark_seen_method", &api.mark_seen.method, "As for delete."},
        {"mark_seen_body", &api.mark_seen.body, "As for delete.", "{}"},
        {"gone", &api.gone, "The status that means that there is no such message, or one and a text in the body."},
        {"gone_too", &api.gone_too, "Another one.", "500 Email not found"},
        {"refused", NumberTarget{&api.refused, 400, 403}, "The status for a wrong password, besides 401."},
    };
}

std::vector<Option> account_options(AccountConfig& account) {
    return {
        {"user", &account.user, "The user names meant, as in a route's match.", "*@corp.example"},
        {"on_delete", choice(account.on_delete, on_delete_names), "As in a route.", "keep"},
        {"expire_after", ExpiryTarget{&account.expire_after, std::chrono::milliseconds::zero()}, "As in a route.",
         "30d"},
        {"delete_only_if_retrieved", &account.delete_only_if_retrieved, "As in a route.", "true"},
        {"view", &account.view, "As in a route.", "last 30 days"},
        {"order", choice(account.order, message_order_names), "As in a route.", "newest-first"},
    };
}

/// A target's default in TOML; empty where there is none.
struct DefaultText {
    std::string operator()(const std::string* text) const { return text->empty() ? "" : in_quotes(*text); }
    std::string operator()(const FileTarget& file) const { return (*this)(file.path); }
    std::string operator()(const KeyFileTarget& file) const { return (*this)(file.path); }
    std::string operator()(const bool* flag) const { return *flag ? "true" : "false"; }
    std::string operator()(const NumberTarget& number) const { return std::to_string(*number.value); }
    std::string operator()(const std::chrono::milliseconds* time) const { return in_quotes(duration_text(*time)); }
    std::string operator()(const SwitchedDurationTarget& time) const {
        return time.value->count() == 0 ? in_quotes("0s") : in_quotes(duration_text(*time.value));
    }
    std::string operator()(const ExpiryTarget& expiry) const {
        if (*expiry.value == expiry.never) return in_quotes("never");
        return *expiry.value ? in_quotes(duration_text(**expiry.value)) : "";
    }
    std::string operator()(const View* view) const { return in_quotes(view_text(*view)); }
    std::string operator()(const ChoiceTarget& choice) const {
        return choice.standard == choice.names.size() ? "" : in_quotes(choice.names[choice.standard]);
    }
    std::string operator()(const std::optional<bool>*) const { return {}; }
    std::string operator()(const std::optional<View>*) const { return {}; }
};

std::string view_values() { return R"("all" | "unread" | "last 30 days" | "last 100 messages")"; }

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
    std::string operator()(const SwitchedDurationTarget& time) const {
        return in_quotes("0s") + " to " + in_quotes(duration_text(time.most));
    }
    std::string operator()(const ExpiryTarget&) const { return "\"never\" | a duration"; }
    std::string operator()(View*) const { return view_values(); }
    std::string operator()(std::optional<View>*) const { return view_values(); }
};

}  // namespace

const std::vector<Section>& sections() {
    static const std::vector<Section> all = {
        {"listen", true, "One of any number of addresses to listen on.",
         [](Config& config) { return listen_options(config.listeners.emplace_back()); }},
        {"tls", false, "The server's certificate, for every listener that offers TLS.",
         [](Config& config) { return tls_options(config.tls); }},
        {"certificate", true,
         "One of any number of further certificates, for clients that name the server. Two for one name differ in the "
         "type of their keys. Without one in [tls] the first is the default.",
         [](Config& config) { return certificate_options(config.certificates.emplace_back()); }},
        {"limits", false, "Durations are \"500ms\", \"60s\", \"10m\", \"12h\", \"30d\", or a number of seconds.",
         [](Config& config) { return limits_options(config.limits); }},
        {"log", false, "", [](Config& config) { return log_options(config.log); }},
        {"process", false, "", [](Config& config) { return process_options(config.process); }},
        {"state", false, "", [](Config& config) { return state_options(config.state); }},
        {"login", false, "What is done with user names, and with wrong passwords.",
         [](Config& config) { return login_options(config.login); }},
        {"alias", true, "Other names of users; the first that matches counts.",
         [](Config& config) { return alias_options(config.login.aliases.emplace_back()); }},
        {"secrets", false, "", [](Config& config) { return secrets_options(config.secrets); }},
        {"enrolment", false, "", [](Config& config) { return enrolment_options(config.enrolment); }},
        {"admin", false, "", [](Config& config) { return admin_options(config.admin); }},
        {"oauth", true, "One of any number of OAuth2 providers that a route may name.",
         [](Config& config) { return oauth_options(config.oauth_providers.emplace_back()); }},
        {"route", true, "Which users go where; the first route that matches wins.",
         [](Config& config) { return route_options(config.routes.emplace_back()); }},
        {"rest", true, "One of any number of APIs that a route's rest_api may name.",
         [](Config& config) { return rest_options(config.rest_apis.emplace_back()); }},
        {"account", true, "What single users want, over what their route says; the first account that matches counts.",
         [](Config& config) { return account_options(config.accounts.emplace_back()); }},
    };
    return all;
}

OptionTexts texts_of(const Option& option) {
    const bool is_flag = std::holds_alternative<std::optional<bool>*>(option.target);
    return {std::visit(ValuesText{}, option.target), std::visit(DefaultText{}, option.target),
            is_flag || option.example.empty() ? std::string(option.example) : in_quotes(option.example)};
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
            const OptionTexts texts = texts_of(option);
            out += "# " + std::string(option.text) + (texts.values.empty() ? "" : " (" + texts.values + ")") + '\n';
            // A key without default is shown, but as a comment: the reference is a file that says nothing.
            out += texts.standard.empty() ? "# " + std::string(option.key) + " = " +
                                                (texts.example.empty() ? "\"\"" : texts.example) + '\n'
                                          : std::string(option.key) + " = " + texts.standard + '\n';
        }
    }
    return out;
}

}  // namespace popgate
