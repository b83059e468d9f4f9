#include "backends/memory/faulty_mailbox.hpp"

#include <algorithm>
#include <utility>

namespace popgate {

namespace {

bool next_call_fails(Faults& faults) {
    ++faults.calls;
    if (!faults.call) return false;
    if (*faults.call > 0) {
        --*faults.call;
        return false;
    }
    faults.call.reset();
    return true;
}

/// Lets the first octets through and is closed from then on.
class CuttingSink final : public BodySink {
public:
    CuttingSink(BodySink& inner, std::uint64_t octets) : inner_(inner), left_(octets) {}

    bool write(std::string_view octets) noexcept override {
        const auto part = octets.substr(0, std::min<std::uint64_t>(left_, octets.size()));
        left_ -= part.size();
        if (!part.empty() && !inner_.write(part)) return false;
        has_cut_ = part.size() < octets.size();
        return !has_cut_;
    }

    bool has_cut() const { return has_cut_; }

private:
    BodySink& inner_;
    std::uint64_t left_;
    bool has_cut_ = false;
};

class FaultyMailbox final : public Mailbox {
public:
    FaultyMailbox(std::unique_ptr<Mailbox> inner, std::shared_ptr<Faults> faults)
        : inner_(std::move(inner)), faults_(std::move(faults)) {}

    Result<Listing> list(KnownMailbox known) override {
        if (next_call_fails(*faults_)) return faults_->error;
        return inner_->list(std::move(known));
    }

    std::string unique_id(const MessageInfo& message) const override { return inner_->unique_id(message); }

    Status fetch(const MessageInfo& message, BodySink& sink) override {
        return stream(sink, [&](BodySink& cut) { return inner_->fetch(message, cut); });
    }

    void expect(const std::vector<const MessageInfo*>& next) override { inner_->expect(next); }

    Status fetch_top(const MessageInfo& message, BodySink& sink) override {
        return stream(sink, [&](BodySink& cut) { return inner_->fetch_top(message, cut); });
    }

    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override {
        if (next_call_fails(*faults_)) return faults_->error;
        return inner_->unread(messages);
    }

    std::size_t removal_batch() const override { return inner_->removal_batch(); }

    RemovalReport remove(const std::vector<MessageInfo>& messages) override {
        return take_away(messages, [&](const std::vector<MessageInfo>& some) { return inner_->remove(some); });
    }

    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override {
        return take_away(messages, [&](const std::vector<MessageInfo>& some) { return inner_->move(some, target); });
    }

    Status mark_seen(const std::vector<MessageInfo>& messages) override {
        if (next_call_fails(*faults_)) return faults_->error;
        return inner_->mark_seen(messages);
    }

    Status keep_alive() override {
        if (next_call_fails(*faults_)) return faults_->error;
        return inner_->keep_alive();
    }

    void close() override { inner_->close(); }

private:
    template <class Take>
    RemovalReport take_away(const std::vector<MessageInfo>& messages, Take take) {
        const std::size_t limit = next_call_fails(*faults_) ? 0 : faults_->removals.value_or(messages.size());
        if (limit >= messages.size()) return take(messages);
        auto report = take({messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(limit)});
        report.outcomes.resize(messages.size(), Removal::failed);
        report.status = faults_->error;
        return report;
    }

    template <class Fetch>
    Status stream(BodySink& sink, Fetch fetch) {
        if (next_call_fails(*faults_)) return faults_->error;
        if (!faults_->octets) return fetch(sink);
        CuttingSink cut(sink, *faults_->octets);
        auto status = fetch(cut);
        if (cut.has_cut()) return faults_->error;
        return status;
    }

    std::unique_ptr<Mailbox> inner_;
    std::shared_ptr<Faults> faults_;
};

class FaultyBackend final : public Backend {
public:
    FaultyBackend(std::shared_ptr<const Backend> inner, std::shared_ptr<Faults> faults)
        : inner_(std::move(inner)), faults_(std::move(faults)) {}

    Result<std::unique_ptr<Mailbox>> open(Fiber& fiber, const UpstreamLogin& login) const override {
        if (next_call_fails(*faults_)) return faults_->error;
        auto mailbox = inner_->open(fiber, login);
        if (!mailbox) return mailbox;
        return make_faulty_mailbox(std::move(*mailbox), faults_);
    }

    std::string mailbox_key(const std::string& user) const override { return inner_->mailbox_key(user); }
    bool key_blocks() const override { return inner_->key_blocks(); }
    bool checks_password() const override { return inner_->checks_password(); }

private:
    std::shared_ptr<const Backend> inner_;
    std::shared_ptr<Faults> faults_;
};

}  // namespace

std::unique_ptr<Mailbox> make_faulty_mailbox(std::unique_ptr<Mailbox> inner, std::shared_ptr<Faults> faults) {
    return std::make_unique<FaultyMailbox>(std::move(inner), std::move(faults));
}

std::unique_ptr<Backend> make_faulty_backend(std::shared_ptr<const Backend> inner, std::shared_ptr<Faults> faults) {
    return std::make_unique<FaultyBackend>(std::move(inner), std::move(faults));
}

}  // namespace popgate
