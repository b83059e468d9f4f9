#include "gateway/observe/observed_backend.hpp"

#include "gateway/observe/metrics.hpp"

#include <chrono>
#include <string>
#include <type_traits>
#include <utility>

namespace popgate {

namespace {

using metrics::BackendKind;
using metrics::Operation;
using Steady = std::chrono::steady_clock;

/// Of one call of the upstream.
class Stopwatch {
public:
    Stopwatch(BackendKind kind, Operation operation) : kind_(kind), operation_(operation) {}

    Steady::duration elapsed() const { return Steady::now() - begun_; }

    /// `not_upstream`: what of the time was spent on others.
    template <class Value>
    void stop(const Result<Value>& outcome, Steady::duration not_upstream = {}) const {
        metrics::upstream_call_duration.observe(kind_, operation_, elapsed() - not_upstream);
        if (outcome.has_error() && outcome.error().code != Errc::sink_closed)
            metrics::upstream_failures.add(kind_, metrics::failure_of(outcome.error().code));
    }

private:
    BackendKind kind_;
    Operation operation_;
    Steady::time_point begun_ = Steady::now();
};

/// Knows when the first octet came, and how long the real sink took for all.
class TimedSink final : public BodySink {
public:
    TimedSink(BodySink& sink, const Stopwatch& watch, BackendKind kind) : sink_(sink), watch_(watch), kind_(kind) {}

    bool write(std::string_view octets) noexcept override {
        if (!std::exchange(has_begun_, true)) metrics::upstream_first_octet.observe(kind_, watch_.elapsed());
        const auto given = Steady::now();
        const bool wants_more = sink_.write(octets);
        spent_ += Steady::now() - given;
        return wants_more;
    }

    Steady::duration spent() const { return spent_; }

private:
    BodySink& sink_;
    const Stopwatch& watch_;
    BackendKind kind_;
    bool has_begun_ = false;
    Steady::duration spent_{};
};

class ObservedMailbox final : public Mailbox {
public:
    ObservedMailbox(std::unique_ptr<Mailbox> mailbox, BackendKind kind) : mailbox_(std::move(mailbox)), kind_(kind) {}

    Result<Listing> list(KnownMailbox known) override {
        return timed(Operation::list, [&] { return mailbox_->list(std::move(known)); });
    }
    std::string unique_id(const MessageInfo& message) const override { return mailbox_->unique_id(message); }
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        return timed(Operation::list, [&] { return mailbox_->unread(messages); });
    }
    Status fetch(const MessageInfo& message, BodySink& sink) override {
        const Stopwatch watch(kind_, Operation::fetch);
        TimedSink timed_sink(sink, watch, kind_);
        auto status = mailbox_->fetch(message, timed_sink);
        watch.stop(status, timed_sink.spent());
        return status;
    }
    void expect(const std::vector<const MessageInfo*>& next) override { mailbox_->expect(next); }
    Status fetch_top(const MessageInfo& message, BodySink& sink) override {
        const Stopwatch watch(kind_, Operation::top);
        TimedSink timed_sink(sink, watch, kind_);
        auto status = mailbox_->fetch_top(message, timed_sink);
        watch.stop(status, timed_sink.spent());
        return status;
    }
    RemovalReport remove(const std::vector<MessageInfo>& messages) override {
        return timed_removal([&] { return mailbox_->remove(messages); });
    }
    RemovalReport purge(const std::vector<MessageInfo>& messages) override {
        return timed_removal([&] { return mailbox_->purge(messages); });
    }
    std::size_t removal_batch() const override { return mailbox_->removal_batch(); }
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        return timed_removal([&] { return mailbox_->move(messages, target); });
    }
    Status mark_seen(const std::vector<MessageInfo>& messages) override {
        return timed(Operation::mark_seen, [&] { return mailbox_->mark_seen(messages); });
    }
    Status keep_alive() override {
        return timed(Operation::keep_alive, [&] { return mailbox_->keep_alive(); });
    }
    void close() override { mailbox_->close(); }

private:
    template <class Call>
    std::invoke_result_t<Call&> timed(Operation operation, Call call) {
        const Stopwatch watch(kind_, operation);
        auto outcome = call();
        watch.stop(outcome);
        return outcome;
    }

    template <class Call>
    RemovalReport timed_removal(Call call) {
        const Stopwatch watch(kind_, Operation::remove);
        auto report = call();
        watch.stop(report.status);
        return report;
    }

    std::unique_ptr<Mailbox> mailbox_;
    BackendKind kind_;
};

class ObservedBackend final : public Backend {
public:
    ObservedBackend(std::shared_ptr<const Backend> backend, BackendKind kind)
        : backend_(std::move(backend)), kind_(kind) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        const Stopwatch watch(kind_, Operation::open);
        auto mailbox = backend_->open(fiber, login);
        watch.stop(mailbox);
        if (mailbox.has_error()) return mailbox.error();
        return std::make_unique<ObservedMailbox>(std::move(*mailbox), kind_);
    }
    std::string mailbox_key(const std::string& user) const override { return backend_->mailbox_key(user); }
    bool key_blocks() const override { return backend_->key_blocks(); }
    bool checks_password() const override { return backend_->checks_password(); }

private:
    std::shared_ptr<const Backend> backend_;
    BackendKind kind_;
};

}  // namespace

std::shared_ptr<const Backend> observed(std::shared_ptr<const Backend> backend, metrics::BackendKind kind) {
    return std::make_shared<ObservedBackend>(std::move(backend), kind);
}

}  // namespace popgate
