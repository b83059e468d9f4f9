#include "backends/imap/imap_mailbox.hpp"

#include "backends/imap/uid_set.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace popgate::imap {

namespace {

// libetpan keeps the text of one whole response, so a listing comes in windows.
constexpr std::uint32_t listing_window = 2000;
constexpr int listing_attempts = 3;

// TOP asks for the message's beginning, and for a longer one, and for all of it, leaving out what it gave before. Never
// for a part from its middle: servers cut wrongly between a CR and its LF.
constexpr std::uint32_t beginnings[] = {16 * 1024, 256 * 1024};

constexpr std::chrono::milliseconds goodbye_timeout{1000};

std::uint32_t uid_of(const MessageInfo& message) {
    std::uint32_t uid = 0;
    std::from_chars(message.id.data(), message.id.data() + message.id.size(), uid);
    return uid;
}

std::vector<std::uint32_t> uids_of(const std::vector<MessageInfo>& messages) {
    std::vector<std::uint32_t> uids;
    uids.reserve(messages.size());
    for (const auto& message : messages) uids.push_back(uid_of(message));
    return uids;
}

Status store(EtpanSession& session, const std::vector<std::string>& sets, const std::string& change) {
    for (const auto& set : sets)
        if (auto status = session.command("UID STORE " + set + " " + change); status.has_error()) return status;
    return {};
}

// Remembers whether the client was given anything, because a body must not begin twice.
class CountingSink final : public BodySink {
public:
    explicit CountingSink(BodySink& sink) : sink_(sink) {}
    bool write(std::string_view octets) noexcept override {
        if (octets.empty()) return open_;
        began_ = true;
        open_ = open_ && sink_.write(octets);
        return open_;
    }
    bool began() const { return began_; }
    bool open() const { return open_; }

private:
    BodySink& sink_;
    bool began_ = false;
    bool open_ = true;
};

// Leaves out what was given before.
class SkippingSink final : public BodySink {
public:
    SkippingSink(BodySink& sink, std::uint64_t skip) : sink_(sink), skip_(skip) {}
    bool write(std::string_view octets) noexcept override {
        const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, octets.size()));
        skip_ -= skipped;
        octets.remove_prefix(skipped);
        return octets.empty() || sink_.write(octets);
    }

private:
    BodySink& sink_;
    std::uint64_t skip_;
};

}  // namespace

std::size_t ImapConnection::StreamTransport::read(char* data, std::size_t size) noexcept {
    return stream_->read_some(data, size, timeout_, failure_);
}

bool ImapConnection::StreamTransport::write(std::string_view octets) noexcept {
    failure_ = stream_->write(octets, timeout_);
    return !failure_;
}

Result<std::unique_ptr<ImapConnection>> ImapConnection::open(Fiber& fiber, const ImapSettings& settings,
                                                             const std::string& user, const Secret& password) {
    const Fiber::LimitScope limit(fiber, Clock::now() + settings.connect_timeout + settings.command_timeout);
    auto stream = Stream::connect(fiber, settings.host, settings.port, settings.connect_timeout);
    if (stream.has_error()) return stream.error();
    std::unique_ptr<ImapConnection> connection(new ImapConnection(std::move(*stream), settings.command_timeout));
    auto& session = connection->session_;
    auto& transport = connection->transport_;

    const auto start_tls = [&] {
        return transport.stream().start_tls(*settings.tls, settings.host, settings.connect_timeout);
    };
    if (settings.implicit_tls)
        if (auto status = start_tls(); status.has_error()) return status.error();
    auto status = session.read_greeting();
    if (!status.has_error() && settings.start_tls) {
        status = session.request_start_tls();
        if (!status.has_error())
            if (auto secured = start_tls(); secured.has_error()) return secured.error();
    }
    if (!status.has_error()) status = session.login(user, password);
    if (status.has_error()) {
        if (!session.broken()) connection->close();
        return status.error();
    }
    session.identify();
    if (auto selected = connection->select(settings.mailbox); selected.has_error()) {
        if (!session.broken()) connection->close();
        return selected.error();
    }
    return connection;
}

Status ImapConnection::select(const std::string& mailbox) {
    auto selected = session_.select(mailbox);
    if (selected.has_error()) return selected.error();
    selected_ = *selected;
    return {};
}

void ImapConnection::close() {
    session_.say_goodbye();
    transport_.stream().close(goodbye_timeout);
}

ImapMailbox::ImapMailbox(Fiber& fiber, std::shared_ptr<const ImapSettings> settings, std::string user,
                         const Secret& password, std::unique_ptr<ImapConnection> connection)
    : fiber_(fiber),
      settings_(std::move(settings)),
      user_(std::move(user)),
      password_(password.reveal()),
      connection_(std::move(connection)),
      uid_validity_(connection_->selected().uid_validity) {}

Status ImapMailbox::reconnect() {
    connection_.reset();
    auto opened = ImapConnection::open(fiber_, *settings_, user_, password_);
    if (opened.has_error()) {
        // The client did log in; that it cannot be done again now must not make it ask for a new password.
        auto error = opened.error();
        if (error.code == Errc::auth)
            error = {Errc::temporary, "the mail server no longer lets this session in", error.detail};
        return error;
    }
    if ((*opened)->selected().uid_validity != uid_validity_) {
        (*opened)->close();
        return Error{Errc::temporary, "the mailbox has been replaced by another one", "UIDVALIDITY changed"};
    }
    connection_ = std::move(*opened);
    return {};
}

Status ImapMailbox::on_connection(const Operation& operation, const std::function<bool()>& may_repeat) {
    const bool was_lost = !connection_ || connection_->session().broken();
    if (was_lost)
        if (auto status = reconnect(); status.has_error()) return status;
    auto status = operation(connection_->session());
    // A server that was silent for a whole timeout is not asked again: the client's patience is not longer.
    if (!status.has_error() || was_lost || !connection_->session().broken() || connection_->lost_to_silence() ||
        !may_repeat() || fiber_.interrupted())
        return status;
    if (auto again = reconnect(); again.has_error()) return again;
    return operation(connection_->session());
}

Status ImapMailbox::on_connection(const Operation& operation) {
    return on_connection(operation, [] { return true; });
}

Result<Listing> ImapMailbox::list(KnownMailbox) {
    Result<std::vector<MessageInfo>> messages = Error{};
    for (int attempt = 0; attempt < listing_attempts; ++attempt) {
        messages = list_once(connection_->session());
        if (!messages.has_error() || connection_->session().broken()) break;
        // Messages may have been expunged while the sizes were read: look again at what is there now.
        if (auto status = connection_->select(settings_->mailbox); status.has_error()) return status.error();
        if (connection_->selected().uid_validity != uid_validity_)
            return Error{Errc::temporary, "the mailbox has been replaced by another one", "UIDVALIDITY changed"};
    }
    if (messages.has_error()) return messages.error();
    return Listing{std::move(*messages), {}, std::to_string(uid_validity_)};
}

Result<std::vector<MessageInfo>> ImapMailbox::list_once(EtpanSession& session) {
    const auto exists = connection_->selected().exists;
    const auto incomplete = [](std::string detail) {
        return Error{Errc::temporary, "the mail server's list of messages is not complete", std::move(detail)};
    };
    std::vector<MessageInfo> messages;
    messages.reserve(std::min<std::uint32_t>(exists, 1'000'000));
    std::vector<ListedMessage> window;
    std::uint32_t last_uid = 0;
    for (std::uint32_t first = 1; first <= exists; first += listing_window) {
        const auto last = std::min(exists, first + listing_window - 1);
        window.clear();
        auto status = session.list(first, last, window);
        if (status.has_error()) return status.error();
        std::ranges::sort(window, {}, &ListedMessage::number);
        // Every message exactly once, in UID order; an answer that repeats itself word for word is forgiven.
        auto expected = first;
        for (std::size_t i = 0; i < window.size(); ++i) {
            const auto& each = window[i];
            if (each.number < first || each.number > last) continue;
            if (i > 0 && each.number == window[i - 1].number && each.uid == window[i - 1].uid) continue;
            if (each.number != expected || each.uid <= last_uid)
                return incomplete("message " + std::to_string(each.number) + " with UID " + std::to_string(each.uid) +
                                  " where number " + std::to_string(expected) + " was due");
            ++expected;
            last_uid = each.uid;
            messages.push_back({std::to_string(each.uid), each.octets, false, 0});
        }
        if (expected != last + 1) return incomplete("message " + std::to_string(expected) + " was not listed");
    }
    return messages;
}

// As Dovecot's own POP3 writes it by default, so that a site can put popgate before it and no client downloads again.
std::string ImapMailbox::unique_id(const MessageInfo& message) const {
    char text[17];
    std::snprintf(text, sizeof text, "%08x%08x", uid_of(message), uid_validity_);
    return text;
}

Status ImapMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    CountingSink counting(sink);
    std::uint64_t received = 0;
    return on_connection(
        [&](EtpanSession& session) { return session.fetch_body(uid_of(message), std::nullopt, counting, received); },
        [&] { return !counting.began(); });
}

Status ImapMailbox::fetch_top(const MessageInfo& message, BodySink& sink) {
    CountingSink counting(sink);
    std::uint64_t given = 0;
    const auto fetch_from_start = [&](std::optional<EtpanSession::Part> part) -> Status {
        std::uint64_t received = 0;
        SkippingSink rest(counting, given);
        auto status = on_connection(
            [&](EtpanSession& session) { return session.fetch_body(uid_of(message), part, rest, received); },
            [&] { return received == 0; });
        if (!status.has_error() && received < given)
            return Error{Errc::temporary, "the mail server does not answer as it should", "a message became shorter"};
        given = received;
        return status;
    };
    for (const auto length : beginnings) {
        auto status = fetch_from_start(EtpanSession::Part{0, length});
        if (status.has_error()) return status;
        if (!counting.open()) return Error{Errc::sink_closed, "no more is wanted", {}};
        // A short piece is the message's end only where its size says so, too; a long one is from a server that knows
        // no parts.
        if (given > length || (given < length && given >= message.octets)) return {};
        if (given < length) break;
    }
    return fetch_from_start(std::nullopt);
}

Status ImapMailbox::mark_seen(const std::vector<MessageInfo>& messages) {
    if (messages.empty()) return {};
    return on_connection([&](EtpanSession& session) {
        return store(session, make_uid_sets(uids_of(messages)), "+FLAGS.SILENT (\\Seen)");
    });
}

Mailbox::RemovalReport ImapMailbox::remove(const std::vector<MessageInfo>& messages) {
    RemovalReport report{std::vector<Removal>(messages.size(), Removal::unknown), Status{}};
    if (messages.empty()) return report;
    const auto uids = uids_of(messages);
    // Every step can be repeated, so a connection lost half-way costs nothing but a new one.
    std::vector<std::uint32_t> unmarked;
    report.status = on_connection([&](EtpanSession& session) { return remove_uids(session, uids, unmarked); });
    if (!connection_ || connection_->lost_to_silence()) return report;
    if (!unmarked.empty()) {
        const auto restored = on_connection([&](EtpanSession& session) {
            return store(session, make_uid_sets(unmarked), "+FLAGS.SILENT (\\Deleted)");
        });
        if (!report.status.has_error()) report.status = restored;
    }

    // What the server answered is one thing, what is there another: only the latter is told.
    std::vector<std::uint32_t> left;
    const auto checked = on_connection([&](EtpanSession& session) -> Status {
        auto found = still_there(session, make_uid_sets(uids));
        if (found.has_error()) return found.error();
        left = std::move(*found);
        return {};
    });
    if (checked.has_error()) {
        if (!report.status.has_error()) report.status = checked;
        return report;
    }
    std::ranges::sort(left);
    for (std::size_t i = 0; i < uids.size(); ++i)
        report.outcomes[i] = std::ranges::binary_search(left, uids[i]) ? Removal::failed : Removal::removed;
    if (left.empty())
        report.status = Status{};
    else if (!report.status.has_error())
        report.status = Error{Errc::temporary, "the mail server kept messages that were to be removed", {}};
    return report;
}

Status ImapMailbox::remove_uids(EtpanSession& session, const std::vector<std::uint32_t>& uids,
                                std::vector<std::uint32_t>& unmarked) {
    if (!session.has_capability("UIDPLUS")) return expunge_without_uidplus(session, uids, unmarked);
    for (const auto& set : make_uid_sets(uids)) {
        if (auto status = store(session, {set}, "+FLAGS.SILENT (\\Deleted)"); status.has_error()) return status;
        if (auto status = session.command("UID EXPUNGE " + set); status.has_error()) return status;
    }
    return {};
}

// A bare EXPUNGE takes every message that is marked \Deleted, other clients' too. So their marks are taken off while it
// runs; `unmarked` collects whose, for the caller to put them back. Should all end in between, their messages are kept.
Status ImapMailbox::expunge_without_uidplus(EtpanSession& session, const std::vector<std::uint32_t>& uids,
                                            std::vector<std::uint32_t>& unmarked) {
    auto ours = uids;
    std::ranges::sort(ours);
    const auto sets = make_uid_sets(uids);
    auto status = store(session, sets, "+FLAGS.SILENT (\\Deleted)");
    for (int attempt = 0; attempt < 3 && !status.has_error(); ++attempt) {
        auto marked = session.search("DELETED");
        if (marked.has_error()) return marked.error();
        std::vector<std::uint32_t> foreign;
        for (const auto uid : *marked)
            if (!std::ranges::binary_search(ours, uid)) foreign.push_back(uid);
        if (foreign.empty()) return session.command("EXPUNGE");
        unmarked.insert(unmarked.end(), foreign.begin(), foreign.end());
        status = store(session, make_uid_sets(foreign), "-FLAGS.SILENT (\\Deleted)");
    }
    if (status.has_error()) return status;
    status = store(session, sets, "-FLAGS.SILENT (\\Deleted)");
    if (status.has_error()) return status;
    return Error{Errc::temporary, "other clients keep marking messages in this mailbox", {}};
}

Result<std::vector<std::uint32_t>> ImapMailbox::still_there(EtpanSession& session,
                                                            const std::vector<std::string>& sets) {
    std::vector<std::uint32_t> left;
    for (const auto& set : sets) {
        auto found = session.search("UID " + set);
        if (found.has_error()) return found.error();
        left.insert(left.end(), found->begin(), found->end());
    }
    return left;
}

Result<std::vector<bool>> ImapMailbox::unread(const std::vector<MessageInfo>& messages) {
    return std::vector<bool>(messages.size(), true);
}

Mailbox::RemovalReport ImapMailbox::move(const std::vector<MessageInfo>& messages, SpecialFolder) {
    return {std::vector(messages.size(), Removal::failed), Error{Errc::permanent, "there is no such folder", {}}};
}

bool ImapMailbox::answers() {
    return !on_connection([](EtpanSession& session) { return session.command("NOOP"); }).has_error();
}

Status ImapMailbox::keep_alive() {
    if (!connection_ || connection_->session().broken()) return {};  // the next command opens it anew
    return connection_->session().command("NOOP");
}

void ImapMailbox::close() {
    if (connection_) connection_->close();
    connection_.reset();
}

}  // namespace popgate::imap
