#include "backends/imap/imap_mailbox.hpp"

#include "backends/imap/expunge.hpp"
#include "backends/imap/listing.hpp"
#include "gateway/observe/metrics.hpp"

#include <algorithm>
#include <climits>
#include <utility>

namespace popgate::imap {

namespace {

// A search by UIDs is answered with no more numbers than there were messages, so this bounds the answer.
constexpr std::size_t unread_window = 40'000;

// A server that has refused many messages at once may have lost one of them; whose connection ended at that may not
// know how to give many.
constexpr unsigned rest_after_refusal = 8;
constexpr unsigned for_ever = UINT_MAX;

// Of a message that was got ahead: what a sink is given at a time.
constexpr std::size_t piece_size = 64 * 1024;

// TOP asks for the message's beginning, and for a longer one, and for all of it, leaving out what it gave before. Never
// for a part from its middle: servers cut wrongly between a CR and its LF.
constexpr std::uint32_t beginnings[] = {16 * 1024, 256 * 1024};

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

// What Courier gives for a message that another client has removed. It must not be taken for the message.
constexpr std::string_view courier_stand_in =
    "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n"
    "This message is no longer available on the server.\r\n";

// Holds back what may turn out to be the stand-in, unless the message is one that has its size.
class StandInFilter final : public BodySink {
public:
    StandInFilter(const MessageInfo& message, BodySink& sink)
        : sink_(sink), may_be_(message.octets != courier_stand_in.size()) {}

    bool write(std::string_view octets) noexcept override {
        if (may_be_ && courier_stand_in.substr(held_).starts_with(octets)) {
            held_ += octets.size();
            return true;
        }
        return let_go() && sink_.write(octets);
    }

    /// Of a fetch that ended with `status`.
    Status judge(Status status) {
        if (may_be_ && held_ == courier_stand_in.size())
            return Error{Errc::gone, "the message is gone", "Courier's stand-in for it"};
        if (!status.has_error() && !let_go()) return Error{Errc::sink_closed, "no more is wanted", {}};
        return status;
    }

private:
    bool let_go() noexcept {
        may_be_ = false;
        const auto held = courier_stand_in.substr(0, std::exchange(held_, 0));
        return held.empty() || sink_.write(held);
    }

    BodySink& sink_;
    bool may_be_;
    std::size_t held_ = 0;
};

}  // namespace

ImapMailbox::ImapMailbox(Fiber& fiber, std::shared_ptr<const ImapSettings> settings, UpstreamLogin login,
                         std::unique_ptr<ImapConnection> connection)
    : fiber_(fiber), settings_(std::move(settings)), login_(std::move(login)), connection_(std::move(connection)) {}

Status ImapMailbox::log_in_again() {
    connection_.reset();
    auto opened = ImapConnection::open(fiber_, *settings_, login_);
    if (opened.has_error()) {
        // The client did log in; that it cannot be done again now must not make it ask for a new password.
        auto error = opened.error();
        if (error.code == Errc::auth)
            error = {Errc::temporary, "the mail server no longer lets this session in", error.detail};
        return error;
    }
    connection_ = std::move(*opened);
    return {};
}

Status ImapMailbox::reconnect() {
    if (auto status = log_in_again(); status.has_error()) return status;
    const auto selected = connection_->session().select(settings_->mailbox);
    if (!selected.has_error() && selected->uid_validity == uid_validity_) return {};
    if (!connection_->session().broken()) connection_->close();
    connection_.reset();
    if (selected.has_error()) return selected.error();
    return Error{Errc::temporary, "the mailbox has been replaced by another one", "UIDVALIDITY changed"};
}

Status ImapMailbox::on_connection(const Operation& operation, const std::function<bool()>& may_repeat) {
    const bool was_lost = !connection_ || connection_->session().broken();
    if (was_lost)
        if (auto status = reconnect(); status.has_error()) return status;
    if (auto pause = connection_->wait_out(); pause.has_error()) return pause;
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

Result<Listing> ImapMailbox::list(KnownMailbox known) {
    const auto& format = settings_->unique_ids;
    const auto first_generation = known.first_generation;
    std::optional<Look> look;
    const auto look_at = [&](KnownMailbox what) {
        look.emplace(connection_->session(), settings_->mailbox, format.needs_gmail_id() ? &format : nullptr,
                     std::move(what));
        return look->list();
    };
    auto listing = look_at(std::move(known));
    // A connection that another session has left may have died since, or no longer be welcome.
    if (listing.has_error() && connection_->is_reused() && look->uid_validity() == 0 && !fiber_.interrupted()) {
        if (!connection_->session().broken()) connection_->close();
        if (auto status = log_in_again(); status.has_error()) return status.error();
        listing = look_at(look->take_known());
    }
    if (listing.has_error()) return listing.error();
    uid_validity_ = look->uid_validity();
    // The same UID would give the same id to another message.
    const bool tells_generations = format.is_native() || format.needs_uid_validity() || format.needs_gmail_id();
    if (!tells_generations && !first_generation.empty() && first_generation != listing->generation)
        id_suffix_ = "-" + listing->generation;
    return listing;
}

// As Dovecot's own POP3 writes it by default, so that a site can put popgate before it and no client downloads again.
// By hand, since each login asks for the id of each message.
std::string ImapMailbox::unique_id(const MessageInfo& message) const {
    if (!settings_->unique_ids.is_native()) {
        UniqueIdParts parts;
        parts.uid = uid_of(message);
        parts.uid_validity = uid_validity_;
        return settings_->unique_ids.make(parts) + id_suffix_;
    }
    const auto both = std::uint64_t{uid_of(message)} << 32 | uid_validity_;
    std::string text(16, '0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = "0123456789abcdef"[both >> (60 - 4 * i) & 0xF];
    return text;
}

Status ImapMailbox::fetch(const MessageInfo& message, BodySink& sink) {
    StandInFilter filter(message, sink);
    return filter.judge(fetch_whole(message, filter));
}

Status ImapMailbox::fetch_top(const MessageInfo& message, BodySink& sink) {
    StandInFilter filter(message, sink);
    return filter.judge(fetch_beginnings(message, filter));
}

void ImapMailbox::expect(const std::vector<const MessageInfo*>& next) {
    next_.clear();
    for (const auto* message : next) next_.push_back({uid_of(*message), message->octets});
}

Status ImapMailbox::fetch_whole(const MessageInfo& message, BodySink& sink) {
    const auto ready = take_ready(uid_of(message));
    if (ready.has_error()) return ready.error();
    if (*ready) {
        ask_ahead();
        for (std::string_view left = **ready; !left.empty();) {
            const auto piece = left.substr(0, piece_size);
            if (!sink.write(piece)) return Error{Errc::sink_closed, "no more is wanted", {}};
            left.remove_prefix(piece.size());
        }
        return {};
    }
    if (rest_ > 0 && rest_ != for_ever) --rest_;
    CountingSink counting(sink);
    std::uint64_t received = 0;
    auto status = on_connection(
        [&](EtpanSession& session) { return session.fetch_body(uid_of(message), std::nullopt, counting, received); },
        [&] { return !counting.began(); });
    if (!status.has_error()) ask_ahead();
    return status;
}

Result<std::optional<std::string>> ImapMailbox::take_ready(std::uint32_t uid) {
    const auto find = [&] { return std::ranges::find(ready_, uid, &EtpanSession::Body::uid); };
    if (find() == ready_.end() && connection_ && std::ranges::count(connection_->session().ahead(), uid) > 0) {
        auto bodies = connection_->session().finish_ahead();
        ready_ = bodies.has_value() ? std::move(*bodies) : std::vector<EtpanSession::Body>();
        if (bodies.has_error()) {
            rest_ = connection_->session().broken() ? for_ever : rest_after_refusal;
            if (connection_->lost_to_silence()) {
                connection_.reset();
                return bodies.error();
            }
            // Whatever else went wrong, the message is asked for alone now, and there it is judged.
        }
    }
    const auto found = find();
    if (found == ready_.end()) {
        ready_.clear();
        return std::optional<std::string>();
    }
    --unused_;
    metrics::read_ahead.add(metrics::ReadAhead::used);
    std::optional<std::string> octets = std::move(found->octets);
    ready_.erase(found);
    return octets;
}

// Only while nothing is under way, and only if much is to be asked for: each time costs a round trip.
void ImapMailbox::ask_ahead() {
    if (rest_ > 0 || next_.empty() || !connection_ || connection_->session().broken() ||
        !connection_->session().ahead().empty() || connection_->is_paused())
        return;
    std::vector<std::uint32_t> wanted;
    std::uint64_t octets = 0, wanted_octets = 0;
    for (const auto& [uid, size] : next_) {
        octets += size;
        if (octets > settings_->read_ahead) break;
        if (std::ranges::find(ready_, uid, &EtpanSession::Body::uid) != ready_.end()) continue;
        wanted.push_back(uid);
        wanted_octets += size;
    }
    if (wanted.size() <= 3 * ready_.size()) return;
    unused_ += wanted.size();
    // Sizes are the server's word, and some count line ends as one octet.
    (void)connection_->session().begin_ahead(std::move(wanted), 2 * wanted_octets + settings_->read_ahead);
}

Status ImapMailbox::fetch_beginnings(const MessageInfo& message, BodySink& sink) {
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
    return on_connection(
        [&](EtpanSession& session) { return store_flags(session, uids_of(messages), "+FLAGS.SILENT (\\Seen)"); });
}

Result<std::vector<bool>> ImapMailbox::unread(const std::vector<MessageInfo>& messages) {
    auto uids = uids_of(messages);
    std::ranges::sort(uids);
    UidSet unseen;
    for (std::size_t first = 0; first < uids.size(); first += unread_window) {
        const auto last = std::min(uids.size(), first + unread_window) - 1;
        const auto criteria = "UID " + std::to_string(uids[first]) + ":" + std::to_string(uids[last]) + " UNSEEN";
        const auto status = on_connection([&](EtpanSession& session) -> Status {
            const auto found = session.search(criteria);
            if (found.has_error()) return found.error();
            for (const auto& range : found->ranges()) unseen.add(range.first, range.last);
            return {};
        });
        if (status.has_error()) return status.error();
    }
    unseen.settle();
    std::vector<bool> unread;
    unread.reserve(messages.size());
    for (const auto& message : messages) unread.push_back(unseen.contains(uid_of(message)));
    return unread;
}

Status ImapMailbox::keep_alive() {
    ready_ = {};
    if (!connection_ || connection_->session().broken()) return {};  // the next command opens it anew
    return connection_->session().command("NOOP");
}

void ImapMailbox::close() {
    metrics::read_ahead.add(metrics::ReadAhead::dropped, static_cast<double>(std::exchange(unused_, 0)));
    if (connection_) ImapConnection::leave(fiber_, std::move(connection_), settings_);
}

}  // namespace popgate::imap
