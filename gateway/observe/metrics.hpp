#pragma once

#include "backends/errors.hpp"
#include "gateway/observe/metric_labels.hpp"
#include "gateway/observe/series.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {

/// Everything in Prometheus' text format (version 0.0.4). Any thread; reads some files of /proc.
std::string metrics_text();

/// A table of all metrics in Markdown, as it is in docs/monitoring.md.
std::string metrics_reference();

}  // namespace popgate

/// What is counted and measured since the start of the process. The one table of it is in metrics.cpp. Every series is
/// there from the start. Any thread and any fiber may count: nothing is looked up, and only histograms lock, for a
/// moment.
namespace popgate::metrics {

/// The place of a series among those of its metric.
template <class... Labels>
constexpr std::size_t place_of(Labels... labels) {
    std::size_t place = 0;
    ((place = place * size_of<Labels> + static_cast<std::size_t>(labels)), ...);
    return place;
}

template <class Kind, class... Labels>
using Series = std::array<Kind*, (std::size_t{1} * ... * size_of<Labels>)>;

/// Only ever grows.
template <class... Labels>
class Counter {
public:
    Counter(std::string_view name, std::string_view help);
    /// One more, or `amount` more, which is not negative.
    void add(Labels... labels, double amount = 1) const { series_[place_of(labels...)]->add(amount); }
    double value(Labels... labels) const { return series_[place_of(labels...)]->get(); }
    /// Of all series.
    double total() const {
        double sum = 0;
        for (const auto* each : series_) sum += each->get();
        return sum;
    }

private:
    Series<Value, Labels...> series_;
};

/// Goes up and down.
template <class... Labels>
class Gauge {
public:
    Gauge(std::string_view name, std::string_view help);
    void add(Labels... labels, double amount) const { series_[place_of(labels...)]->add(amount); }
    void set(Labels... labels, double value) const { series_[place_of(labels...)]->set(value); }

private:
    Series<Value, Labels...> series_;
};

/// How long something took, in seconds.
template <class... Labels>
class Durations {
public:
    /// `limits`: of the buckets, in seconds, ascending.
    Durations(std::string_view name, std::string_view help, std::span<const double> limits);
    void observe(Labels... labels, std::chrono::duration<double> time) const {
        series_[place_of(labels...)]->observe(time.count());
    }

private:
    Series<Histogram, Labels...> series_;
};

// Service.
extern const Gauge<SessionState> sessions;
extern const Counter<> sessions_started;
extern const Counter<EndReason> sessions_ended;
extern const Gauge<> max_sessions;
extern const Counter<Refusal> connections_refused;
extern const Counter<Handshake, TlsProtocol> tls_handshakes;
extern const Counter<Command> commands;
extern const Counter<> client_received_bytes;
extern const Counter<> client_sent_bytes;
extern const Gauge<> draining;
extern const Gauge<> stress;
extern const Gauge<> traces;
extern const Counter<Reload> config_reloads;
extern const Gauge<> config_last_success;  ///< seconds since 1970

// Logins.
extern const Counter<Login> logins;
extern const Durations<> login_duration;
extern const Counter<> login_throttle_seconds;

// Mail.
extern const Counter<> leases_lost;
extern const Counter<> messages_retrieved;
extern const Counter<> messages_removed;
extern const Counter<> messages_expired;
extern const Counter<> messages_quarantined;
extern const Counter<> sizes_corrected;
extern const Counter<IndexHit> index_opens;

// Upstreams.
extern const Durations<BackendKind, Operation> upstream_call_duration;
extern const Durations<BackendKind> upstream_first_octet;
extern const Counter<BackendKind, Failure> upstream_failures;
extern const Counter<BackendKind> upstream_throttled;
extern const Counter<> upstream_reused;
extern const Counter<ReadAhead> read_ahead;

// Tokens.
extern const Counter<Refresh> token_refreshes;
extern const Counter<> sign_ins_needed;

// The state store.
extern const Counter<StoreUse> state_failures;
extern const Gauge<> state_writable;

// Certificates.
extern const Counter<> certificate_reload_failures;

/// How many certificates are told of at most: those that expire first.
inline constexpr std::size_t most_certificates = 100;

/// A certificate of popgate's own.
struct Certificate {
    std::string name;          ///< of its file, or what it is for: the label's value, cut to 128 octets
    std::int64_t expires = 0;  ///< seconds since 1970
};

/// Once.
void set_node(const std::string& name);

/// These, and no others, are told of from now on. Of two with one name the one that expires first.
void set_certificates(std::vector<Certificate> certificates);

/// What came of a login that failed so.
Login login_of(Errc error);

/// What an upstream's error counts as.
Failure failure_of(Errc error);

/// Counts a session as one that has begun, and as one of its state as long as it lives. For one thread at a time.
class CountedSession {
public:
    CountedSession() {
        sessions_started.add();
        sessions.add(state_, 1);
    }
    ~CountedSession() { sessions.add(state_, -1); }
    CountedSession(const CountedSession&) = delete;
    CountedSession& operator=(const CountedSession&) = delete;

    void enter(SessionState state) {
        if (state == state_) return;
        sessions.add(std::exchange(state_, state), -1);
        sessions.add(state, 1);
    }

private:
    SessionState state_ = SessionState::authorization;
};

}  // namespace popgate::metrics
