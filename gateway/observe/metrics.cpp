#include "gateway/observe/metrics.hpp"

#include "gateway/observe/process.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

namespace popgate::metrics {

namespace {

/// A metric as its readers see it.
struct Described {
    std::string name;
    std::string type;
    std::string labels;  // each with its values, in Markdown
    std::string help;
};

struct Everything {
    std::vector<std::unique_ptr<Family>> families;  // as they are declared below, like `described`
    std::vector<Described> described;
    std::mutex mutex;  // one scrape at a time, and the certificates
    std::map<std::string, Value*> certificates;

    Family& add(std::string_view name, Family::Type type, std::string labels, std::string_view help) {
        described.push_back({std::string(name), std::string(name_of(type)), std::move(labels), std::string(help)});
        return *families.emplace_back(std::make_unique<Family>(std::string(name), type, std::string(help)));
    }
};

// Never destroyed: a thread may count to the end.
Everything& everything() {
    static auto& instance = *new Everything;
    return instance;
}

/// Calls visit(labels) for each combination of values, in the order of place_of().
template <class Visit>
void for_each_place(const LabelValues& labels, Visit visit) {
    visit(labels);
}

template <class First, class... Others, class Visit>
void for_each_place(const LabelValues& labels, Visit visit) {
    for (const auto value : Label<First>::values) {
        auto with_value = labels;
        with_value.emplace_back(Label<First>::name, value);
        if constexpr (sizeof...(Others) == 0)
            visit(with_value);
        else
            for_each_place<Others...>(with_value, visit);
    }
}

template <class E>
std::string described() {
    auto text = '`' + std::string(Label<E>::name) + "`: ";
    for (const auto value : Label<E>::values)
        text.append(value == Label<E>::values.front() ? "`" : ", `").append(value).append("`");
    return text + "; ";
}

template <class Kind, class... Labels, class... Arguments>
Series<Kind, Labels...> make_series(Family::Type type, std::string_view name, std::string_view help,
                                    const Arguments&... arguments) {
    auto labels = (std::string() + ... + described<Labels>());
    if (!labels.empty()) labels.resize(labels.size() - 2);
    auto& family = everything().add(name, type, std::move(labels), help);
    Series<Kind, Labels...> series{};
    std::size_t place = 0;
    const auto add = [&](const LabelValues& with) { series[place++] = &family.add(with, arguments...); };
    for_each_place<Labels...>(LabelValues{}, add);
    return series;
}

}  // namespace

template <class... Labels>
Counter<Labels...>::Counter(std::string_view name, std::string_view help)
    : series_(make_series<Value, Labels...>(Family::Type::counter, name, help)) {}

template <class... Labels>
Gauge<Labels...>::Gauge(std::string_view name, std::string_view help)
    : series_(make_series<Value, Labels...>(Family::Type::gauge, name, help)) {}

template <class... Labels>
Durations<Labels...>::Durations(std::string_view name, std::string_view help, std::span<const double> limits)
    : series_(make_series<Histogram, Labels...>(Family::Type::histogram, name, help, limits)) {}

namespace {

// From a file that is there to an upstream that is given up.
constexpr double limits_of_calls[] = {0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30};
constexpr double limits_of_logins[] = {0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60};

}  // namespace

// The table: docs/monitoring.md has it in this order.

namespace {

Family& version =
    everything().add("popgate_info", Family::Type::gauge, "`version`", "1, and the version as its label.");
Family& node = everything().add("popgate_node_info", Family::Type::gauge, "`node`",
                                "1, and what this process is called among those that share its state.");

}  // namespace

const Gauge<SessionState> sessions{"popgate_sessions", "Sessions that are open, by their state (RFC 1939 §3)."};
const Counter<> sessions_started{"popgate_sessions_started_total", "Sessions that have begun."};
const Counter<EndReason> sessions_ended{"popgate_sessions_ended_total",
                                        "Sessions that have ended, by the log's reason."};
const Gauge<> max_sessions{"popgate_max_sessions", "How many sessions may be open: limits.max_sessions."};
const Counter<Refusal> connections_refused{"popgate_connections_refused_total",
                                           "Connections that were turned away before they had a session, by cause."};
const Counter<Handshake, TlsProtocol> tls_handshakes{
    "popgate_tls_handshakes_total", "TLS handshakes with clients; a version other than none was agreed on."};
const Counter<Command> commands{"popgate_commands_total",
                                "Commands of clients; other is whatever is no command of POP3."};
const Counter<> client_received_bytes{"popgate_client_received_bytes_total",
                                      "Octets that came from clients, within TLS."};
const Counter<> client_sent_bytes{"popgate_client_sent_bytes_total", "Octets that went to clients, within TLS."};
const Gauge<> draining{"popgate_draining", "1 while popgate takes no new sessions and ends, otherwise 0."};
const Gauge<> stress{"popgate_stress", "1 while so many sessions are open that deadlines are shorter, otherwise 0."};
const Gauge<> traces{"popgate_traces", "Accounts whose conversations are being traced."};
const Counter<Reload> config_reloads{"popgate_config_reloads_total",
                                     "Reloads of the configuration; a file with mistakes is refused."};
const Gauge<> config_last_success{"popgate_config_last_success_timestamp_seconds",
                                  "When the configuration that counts was read, in seconds since 1970."};

const Counter<Login> logins{"popgate_logins_total", "Logins by what came of them."};
const Durations<> login_duration{"popgate_login_duration_seconds",
                                 "From the proof of an admitted login to its reply: upstream, listing and index.",
                                 limits_of_logins};
const Counter<> login_throttle_seconds{"popgate_login_throttle_seconds_total",
                                       "How long logins were held up because of refused ones, all added up."};

const Counter<> leases_lost{"popgate_state_leases_lost_total",
                            "Locks of maildrops, and claims, that were not renewed in time at a shared state store."};
const Counter<> messages_retrieved{"popgate_messages_retrieved_total",
                                   "Messages that clients were given whole, with RETR or TOP."};
const Counter<> messages_removed{"popgate_messages_removed_total",
                                 "Messages that clients have deleted and that were removed, moved or hidden."};
const Counter<> messages_expired{"popgate_messages_expired_total", "Messages that went because of expire_after."};
const Counter<> messages_quarantined{"popgate_messages_quarantined_total",
                                     "Messages that were hidden because they could not be retrieved."};
const Counter<> sizes_corrected{"popgate_sizes_corrected_total",
                                "Messages whose size was another than the one that had been listed."};
const Counter<IndexHit> index_opens{
    "popgate_index_opens_total", "Mailboxes that were opened: never seen before, as they were last time, or changed."};

const Durations<BackendKind, Operation> upstream_call_duration{
    "popgate_upstream_call_duration_seconds",
    "How long the upstream took, failures included; waiting for the client does not count.", limits_of_calls};
const Durations<BackendKind> upstream_first_octet{"popgate_upstream_first_octet_seconds",
                                                  "How long a message's first octet took to come, fetch and top.",
                                                  limits_of_calls};
const Counter<BackendKind, Failure> upstream_failures{
    "popgate_upstream_failures_total",
    "Calls that failed; auth is a refused password, gone a message that is not there."};
const Counter<BackendKind> upstream_throttled{"popgate_upstream_throttled_total",
                                              "How often an upstream has asked for a pause."};
const Counter<> upstream_reused{"popgate_upstream_reused_total",
                                "Logins that an IMAP connection of an earlier session has served: reuse_upstream."};
const Counter<ReadAhead> read_ahead{
    "popgate_read_ahead_total",
    "Messages that were asked for before the client did: given to it, or got for nothing, failures included."};

const Counter<Refresh> token_refreshes{
    "popgate_token_refreshes_total",
    "Refreshes of OAuth2 tokens; put_off is an outage, refused needs a person, misconfigured an administrator."};
const Counter<> sign_ins_needed{"popgate_sign_ins_needed_total", "Accounts for which a person must sign in again."};

const Counter<StoreUse> state_failures{"popgate_state_failures_total",
                                       "Reads and writes of the state store that failed."};
const Gauge<> state_writable{"popgate_state_writable", "1 while the state store keeps what it is given, otherwise 0."};

namespace {

Family& certificate_expiry =
    everything().add("popgate_certificate_expiry_timestamp_seconds", Family::Type::gauge, "`certificate`: its name",
                     "When a certificate of popgate's own expires, in seconds since 1970; of 100 at most.");

}  // namespace

const Counter<> certificate_reload_failures{"popgate_certificate_reload_failures_total",
                                            "Certificates and keys that were changed and could not be taken."};

namespace {

// What Prometheus' own client libraries tell of a process, and under the names that they give it.
const Counter<> process_cpu{"process_cpu_seconds_total", "User and system time that the process has used."};
const Gauge<> process_memory{"process_resident_memory_bytes", "Memory of the process that is in RAM."};
const Gauge<> process_descriptors{"process_open_fds", "Descriptors that are open."};
const Gauge<> process_most_descriptors{"process_max_fds", "How many descriptors may be open."};
const Gauge<> process_start{"process_start_time_seconds", "When the process was started, in seconds since 1970."};

// What is known from the start.
[[maybe_unused]] const bool filled = [] {
    version.add({{"version", POPGATE_VERSION}}).set(1);
    process_start.set(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
    state_writable.set(1);
    return true;
}();

void look_at_process() {
    const auto used = used_by_process();
    process_cpu.add(std::max(used.cpu_seconds - process_cpu.total(), 0.0));
    process_memory.set(static_cast<double>(used.resident_bytes));
    process_descriptors.set(static_cast<double>(used.descriptors));
    process_most_descriptors.set(static_cast<double>(used.most_descriptors));
}

// Cut where a character begins.
std::string as_label(std::string name) {
    constexpr std::size_t longest = 128;
    if (name.size() <= longest) return name;
    auto end = longest;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
    name.resize(end);
    return name;
}

}  // namespace

void set_node(const std::string& name) { node.add({{"node", as_label(name)}}).set(1); }

void set_certificates(std::vector<Certificate> certificates) {
    std::ranges::stable_sort(certificates, {}, &Certificate::expires);
    std::map<std::string, std::int64_t> wanted;
    for (auto& each : certificates)
        if (wanted.size() < most_certificates) wanted.try_emplace(as_label(std::move(each.name)), each.expires);
    auto& all = everything();
    const std::lock_guard lock(all.mutex);
    std::erase_if(all.certificates, [&](const auto& known) {
        if (wanted.contains(known.first)) return false;
        certificate_expiry.remove(*known.second);
        return true;
    });
    for (const auto& [name, expires] : wanted) {
        auto& gauge = all.certificates[name];
        if (!gauge) gauge = &certificate_expiry.add({{"certificate", name}});
        gauge->set(static_cast<double>(expires));
    }
}

TlsProtocol tls_protocol_of(std::string_view description) {
    return value_of(description.substr(0, description.find(' ')), TlsProtocol::none);
}

BackendKind backend_kind_of(std::string_view url) {
    auto scheme = url.substr(0, url.find(':'));
    if (scheme == "imaps" || scheme == "jmaps") scheme.remove_suffix(1);
    return value_of(scheme, BackendKind::other);
}

Login login_of(Errc error) {
    switch (error) {
        case Errc::auth: return Login::refused;
        case Errc::sign_in: return Login::sign_in;
        case Errc::in_use: return Login::in_use;
        case Errc::login_delay: return Login::login_delay;
        case Errc::permanent: return Login::permanent;
        case Errc::temporary:
        case Errc::gone:
        case Errc::sink_closed: return Login::temporary;
    }
    return Login::temporary;
}

Failure failure_of(Errc error) {
    switch (error) {
        case Errc::auth: return Failure::auth;
        case Errc::sign_in: return Failure::sign_in;
        case Errc::permanent: return Failure::permanent;
        case Errc::in_use: return Failure::in_use;
        case Errc::gone: return Failure::gone;
        case Errc::temporary:
        case Errc::login_delay:
        case Errc::sink_closed: return Failure::temporary;
    }
    return Failure::temporary;
}

}  // namespace popgate::metrics

namespace popgate {

std::string metrics_text() {
    auto& all = metrics::everything();
    const std::lock_guard lock(all.mutex);
    metrics::look_at_process();
    std::vector<const metrics::Family*> families;
    for (const auto& each : all.families) families.push_back(each.get());
    std::ranges::sort(families, {}, &metrics::Family::name);
    std::string text;
    for (const auto* family : families) text += family->text();
    return text;
}

std::string metrics_reference() {
    std::string text = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n";
    for (const auto& each : metrics::everything().described)
        text += "| `" + each.name + "` | " + each.type + " | " + each.labels + " | " + each.help + " |\n";
    return text;
}

}  // namespace popgate
