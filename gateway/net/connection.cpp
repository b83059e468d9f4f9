#include "gateway/net/connection.hpp"

#include "backends/files/measure.hpp"
#include "gateway/net/blocking_call.hpp"
#include "gateway/net/listener.hpp"
#include "gateway/oauth/jwt.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/pop3/body_encoder.hpp"

#include <boost/asio/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace popgate {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

// RFC 2449 asks for 255 octets, RFC 5034 for base64 responses of 16 KiB.
constexpr std::size_t longest_line = 16 * 1024 + 64;
constexpr std::size_t read_size = 4096;
// Pipelined replies and bodies are gathered up to here before they are written.
constexpr std::size_t gather_size = 16 * 1024;
// Kept back of a body, so that its terminator never travels alone: some clients look for it at a segment's end.
constexpr std::size_t kept_for_terminator = 64;

// Who asks for so many lines means all: fetchmail gets its messages with TOP n 99999999.
constexpr std::uint64_t lines_of_any_message = 1'000'000;

constexpr auto listing_patience = 20s;  // of a client that waits for the reply to its password
constexpr auto opening_limit = 5min;    // login upstream and listing, all in all
constexpr auto removal_limit = 5min;    // at QUIT, all in all
constexpr auto farewell_limit = 15s;    // what is still done for a session that has ended
constexpr auto linger = 1s;
constexpr auto idle_before_trim = 1s;  // a session that is silent for so long gives memory back
constexpr auto last_words_timeout = 5s;
constexpr auto local_call_timeout = 30s;
constexpr auto look_for_stress_every = 1s;

std::atomic<std::uint64_t> sessions_so_far{0};

/// Two sessions with the same hash were given the same list: that a unique-id has changed shows in the log.
class UniqueIdsHash {
public:
    void add(std::string_view unique_id) {
        piece_.append(unique_id).append("\n");
        if (piece_.size() >= hashed_at_once) add_piece();
    }
    std::string finish() {
        add_piece();
        constexpr std::size_t digest_octets = 8;
        return local::to_hex(hash_.finish().data(), digest_octets);
    }

private:
    static constexpr std::size_t hashed_at_once = 4096;
    void add_piece() {
        hash_.add(piece_);
        piece_.clear();
    }

    local::Sha256 hash_;
    std::string piece_;
};

// As a Message-ID (RFC 1939 §7): new for each connection, and not to be foreseen.
std::string make_challenge() {
    char host[256] = {};
    const bool is_named = ::gethostname(host, sizeof host - 1) == 0 && host[0] != '\0';
    return "<" + oauth::random_token(18) + "@" + (is_named ? host : "localhost") + ">";
}

pop3::Policy session_policy(const ListenerInfo& listener, const LimitsConfig& limits, const Client& client) {
    pop3::Policy policy = listener.logins;
    policy.tls_offered = listener.config.tls == TlsMode::starttls;
    policy.tls_required = policy.tls_offered && listener.config.require_tls;
    policy.bad_commands = limits.bad_commands;
    policy.expiry = listener.expiry;
    policy.rpop = client.is_known && listener.rpop_from.contains(client.endpoint.address().to_string());
    if (policy.apop || policy.cram_md5) policy.challenge = make_challenge();
    return policy;
}

// Rounded up, so that a wait never ends just before its time.
std::chrono::milliseconds milliseconds_until(Deadline deadline) {
    return std::chrono::ceil<std::chrono::milliseconds>(std::max(deadline - Clock::now(), Clock::duration::zero()));
}

/// Who guesses passwords is told from who comes while the upstream is down.
std::string_view cause_of(Errc code) {
    switch (code) {
        case Errc::auth: return "auth";
        case Errc::sign_in: return "sign_in";
        case Errc::in_use: return "in_use";
        case Errc::permanent: return "permanent";
        default: return "temporary";
    }
}

std::string describe(const Error& error) {
    return error.detail.empty() ? error.text : error.text + " (" + error.detail + ")";
}

}  // namespace

// Encodes a message as it comes from the backend and hands it to the client. The +OK goes out with the first octets, so
// that whatever fails before them can still be answered -ERR.
class Connection::BodyReply final : public BodySink {
public:
    BodyReply(Connection& connection, std::string first_line, std::optional<std::uint64_t> top_lines)
        : connection_(connection), first_line_(std::move(first_line)), encoder_(top_lines) {}

    bool write(std::string_view octets) noexcept override try {
        begin();
        while (!octets.empty() && !encoder_.satisfied() && !connection_.ended()) {
            const auto piece = octets.substr(0, gather_size);
            octets.remove_prefix(piece.size());
            encoder_.encode(piece, connection_.out_);
            if (connection_.out_.size() < gather_size) continue;
            const auto tail = connection_.out_.substr(connection_.out_.size() - kept_for_terminator);
            connection_.out_.resize(connection_.out_.size() - kept_for_terminator);
            connection_.flush();
            connection_.out_.insert(0, tail);
        }
        return !connection_.ended() && !encoder_.satisfied();
    } catch (const std::exception&) {
        connection_.end("out of memory");
        return false;
    }

    /// Only for a message that is whole, or the top that was asked for.
    void finish() {
        begin();
        encoder_.finish(connection_.out_);
    }

    bool began() const { return began_; }
    bool satisfied() const { return encoder_.satisfied(); }
    std::uint64_t octets() const { return encoder_.octets(); }

private:
    void begin() {
        if (!std::exchange(began_, true)) connection_.out_ += first_line_;
    }

    Connection& connection_;
    std::string first_line_;
    pop3::BodyEncoder encoder_;
    bool began_ = false;
};

Connection::Connection(const Services& services, const ListenerInfo& listener, Fiber& fiber,
                       asio::ip::tcp::socket socket, Client client)
    : services_(services),
      listener_(listener),
      fiber_(fiber),
      stream_(fiber, std::move(socket)),
      id_(++sessions_so_far),
      client_(std::move(client)),
      peer_(to_string(client_.endpoint)),
      address_(client_.endpoint.address().to_string()),
      session_(session_policy(listener, services.config.limits, client_),
               client_.tls || listener.config.tls == TlsMode::implicit),
      lines_(longest_line) {}

void Connection::run() {
    fiber_.set_limit(login_deadline());
    if (listener_.config.tls == TlsMode::implicit) {
        begin_tls();
    } else if (client_.tls) {
        tls_started();
    }
    try {
        if (!ended()) {
            out_ = session_.greeting();
            converse();
        }
    } catch (const std::exception& error) {
        error_ = error.what();
        stream_.abort();
        end("internal error");
    }
    say_goodbye();
    metrics::sessions_ended.add(metrics::value_of(reason_, metrics::EndReason::other));
    write_log_line();
}

void Connection::converse() {
    while (!ended()) {
        std::string_view line;
        const auto input = next_line(line);
        if (input == Input::ended || has_lost_maildrop()) return;
        // Whether a message may be deleted can depend on whether the client has taken it.
        if (maildrop_policy_.delete_only_if_retrieved && !unflushed_.empty() && !flush()) return;
        be_strict_under_stress();
        if (services_.traces.any() || is_traced_) trace_command(line);
        last_heard_ = Clock::now();
        if (!session_.in_exchange()) {
            last_command_ = pop3::command_name(line);
            metrics::commands.add(metrics::value_of(last_command_, metrics::Command::other));
        }
        auto action = input == Input::line ? session_.on_line(line) : session_.on_overlong_line();
        std::visit([this](auto& each) { perform(std::move(each)); }, action);
    }
}

void Connection::end(std::string reason) {
    if (reason_.empty()) reason_ = std::move(reason);
}

// Between two replies, so that the client can take it for the answer to its next command.
void Connection::end_for_shutdown() {
    const auto why = kicked_ ? pop3::Text::ended_by_administrator : pop3::Text::shutting_down;
    last_words_ = out_ + pop3::err("SYS/TEMP", why, session_.language());
    end(kicked_ ? "kicked" : "shutdown");
}

void Connection::kick() {
    kicked_ = true;
    fiber_.interrupt();
}

Deadline Connection::login_deadline() const {
    const auto& limits = services_.config.limits;
    return started_ + (services_.admission.under_stress() ? std::min(limits.stress_login_timeout, limits.login_timeout)
                                                          : limits.login_timeout);
}

// Whoever has logged in is not troubled.
void Connection::be_strict_under_stress() {
    if (!session_.logged_in() && services_.admission.under_stress()) session_.be_strict();
}

Connection::Input Connection::next_line(std::string_view& line) {
    for (;;) {
        switch (lines_.next(line)) {
            case pop3::LineReader::Event::line: return Input::line;
            case pop3::LineReader::Event::too_long: return Input::too_long;
            case pop3::LineReader::Event::none: break;
        }
        // All that was asked is answered: one write for a burst of commands.
        if (!flush() || !read_more()) return Input::ended;
    }
}

bool Connection::read_more() {
    if (!session_.logged_in()) fiber_.set_limit(login_deadline());
    const auto silent_since = Clock::now();
    const auto idle_timeout = services_.config.limits.idle_timeout;
    auto next_keep_alive = mailbox_ ? silent_since + route_->config.keep_alive : Deadline::max();
    bool trimmed = false;
    for (;;) {
        auto wait = milliseconds_until(silent_since + idle_timeout);
        if (mailbox_) wait = std::min(wait, milliseconds_until(next_keep_alive));
        if (!trimmed) wait = std::min<std::chrono::milliseconds>(wait, idle_before_trim);
        // Stress may begin at any time.
        if (!session_.logged_in()) {
            fiber_.set_limit(login_deadline());
            wait = std::min<std::chrono::milliseconds>(wait, look_for_stress_every);
        }
        auto error = read_available();
        if (!error) return true;
        if (error == asio::error::timed_out) error = stream_.wait_for_input(wait);
        if (!error) continue;
        if (fiber_.interrupted()) return end_for_shutdown(), false;
        if (error != asio::error::timed_out) return end("disconnect"), false;
        if (Clock::now() >= std::min(silent_since + idle_timeout, fiber_.limit()))
            return end(session_.logged_in() ? "idle timeout" : "login timeout"), false;
        if (mailbox_ && Clock::now() >= next_keep_alive) {
            expect_nothing();
            (void)mailbox_->keep_alive();
            next_keep_alive = Clock::now() + route_->config.keep_alive;
        }
        // Not after each look for stress: nothing has been touched since.
        if (trimmed && !mailbox_) continue;
        fiber_.trim_stack();
        out_ = std::string();
        trimmed = true;
    }
}

// Without waiting, and apart from read_more(), whose frame lies in memory as long as a session is idle.
[[gnu::noinline]] error_code Connection::read_available() {
    char buffer[read_size];
    error_code error;
    const auto count = stream_.read_some(buffer, sizeof buffer, 0ms, error);
    metrics::client_received_bytes.add(static_cast<double>(count));
    lines_.feed({buffer, count});
    return error;
}

bool Connection::flush() {
    if (ended()) return false;
    if (out_.empty()) return true;
    const auto error = stream_.write(out_, services_.config.limits.write_timeout);
    octets_sent_ += out_.size();
    metrics::client_sent_bytes.add(static_cast<double>(out_.size()));
    out_.clear();
    if (error) {
        if (fiber_.interrupted())
            end(kicked_ ? "kicked" : "shutdown");
        else
            end(error == asio::error::timed_out ? "write timeout" : "disconnect");
        return false;
    }
    for (const auto& [number, octets, by_retr] : unflushed_) {
        session_.maildrop().set_given_whole(number, by_retr);
        index_->delivered(session_.maildrop().message(number), octets);
    }
    unflushed_.clear();
    return true;
}

bool Connection::send(std::string_view text) {
    out_ += text;
    return out_.size() < 2 * gather_size ? !ended() : flush();
}

void Connection::perform(const pop3::SendReply& action) {
    trace_reply(action.text);
    send(action.text);
    if (!action.close) return;
    flush();
    end(action.text.starts_with("+OK") ? "quit" : "refused");
}

void Connection::perform(pop3::StartTls) {
    // Whatever came behind STLS in clear may be somebody else's (RFC 2595 §4): it is not obeyed, not even looked at.
    if (!lines_.empty() || stream_.has_input()) {
        send(pop3::err("", pop3::Text::input_after_stls, session_.language()));
        flush();
        return end("input after STLS");
    }
    send(pop3::ok(pop3::Text::begin_tls, session_.language()));
    if (!flush()) return;
    lines_ = pop3::LineReader(longest_line);
    begin_tls();
}

void Connection::begin_tls() {
    const auto status = stream_.start_tls(*listener_.tls, services_.config.limits.login_timeout);
    if (status.has_error()) {
        metrics::tls_handshakes.add(metrics::Handshake::failed, metrics::TlsProtocol::none);
        error_ = status.error().text;
        return end("tls");
    }
    metrics::tls_handshakes.add(metrics::Handshake::done, metrics::tls_protocol_of(stream_.tls_description()));
    // Where the proxy has ended the client's TLS, this one is the proxy's own, and so is the certificate.
    if (!client_.tls) client_.certificate_names = stream_.peer_certificate_names();
    tls_started();
}

void Connection::tls_started() {
    if (client_.tls && client_.certificate_names.empty() &&
        listener_.config.client_certificates == ClientCertificates::required) {
        error_ = "the proxy has verified no client certificate";
        return end("tls");
    }
    session_.tls_started(!client_.certificate_names.empty());
}

void Connection::perform(pop3::Authenticate action) {
    // Pipelined commands wait; what was answered before must not wait with them.
    if (!flush()) return;
    user_ = action.proof.user;
    watch_for_traces();
    fiber_.set_limit(Clock::now() + opening_limit);
    const auto asked = Clock::now();
    auto maildrop = log_in(action.proof);
    metrics::logins.add(maildrop.has_error() ? metrics::login_of(maildrop.error().code) : metrics::Login::admitted);
    if (!maildrop.has_error()) metrics::login_duration.observe(Clock::now() - asked);
    if (maildrop.has_error()) {
        index_.reset();
        mailbox_.reset();
        release_maildrop();
        account_permit_.reset();
    }
    if (fiber_.interrupted()) return end_for_shutdown();
    if (!maildrop.has_error()) {
        error_.clear();
        counted_.enter(metrics::SessionState::transaction);
        fiber_.set_limit(started_ + services_.config.limits.session_timeout);
        return perform(session_.login_succeeded(std::move(*maildrop), pop3::expiry_of(maildrop_policy_.expire_after),
                                                pop3::login_delay_of(route_->config.login_delay)));
    }
    const auto& error = maildrop.error();
    error_ = describe(error);
    fiber_.set_limit(std::max(login_deadline(), Clock::now() + linger));
    log(LogLevel::warning, "login_failed",
        {{"user", user_}, {"from", peer_}, {"error", error_}, {"cause", cause_of(error.code)}});
    perform(session_.login_failed(error));
    // What follows may be somebody else's.
    is_traced_ = false;
    fiber_.set_trace(nullptr);
}

Result<pop3::Maildrop> Connection::log_in(const Proof& proof) {
    auto entered = services_.authenticator.log_in(fiber_, proof, {address_, client_.certificate_names, ++attempts_});
    if (entered.has_error()) return entered.error();
    mailbox_ = std::move(entered->mailbox);
    backend_ = entered->admitted.backend;
    route_ = entered->admitted.route;
    user_ = entered->admitted.user;
    const auto& config = route_->config;
    const auto& login = entered->admitted.login;
    const auto name_mailbox = [backend = backend_, user = login.user] { return backend->mailbox_key(user); };
    const auto key = backend_->key_blocks() ? blocking_call(fiber_, Clock::now() + local_call_timeout, name_mailbox)
                                            : std::make_optional(name_mailbox());
    if (!key) return Error{Errc::temporary, "the server is too busy", {}};
    if (const auto progress = services_.builds.progress(*key)) {
        services_.authenticator.give_back(fiber_, entered->admitted);
        mailbox_->close();
        return progress->error();
    }
    if (config.lock == LockMode::exclusive) {
        // Only who has the password learns that the mailbox is in use.
        if (auto status = hold_maildrop(*key); status.has_error()) {
            if (status.error().code != Errc::in_use) services_.authenticator.give_back(fiber_, entered->admitted);
            mailbox_->close();
            return status.error();
        }
    }
    account_permit_ = services_.account_sessions.admit(user_, config.sessions_per_account);
    if (!account_permit_) {
        mailbox_->close();
        return Error{Errc::in_use, "the account has too many sessions", {}};
    }
    auto rules = index_rules(config, services_.config, user_);
    maildrop_policy_ = rules.policy;
    rules.patience = listing_patience;
    IndexProgress progress;
    auto index = IndexedMailbox::open(fiber_, services_.store, *mailbox_, *key, rules, progress);
    if (progress.still_to_come > 0)
        services_.builds.start(fiber_.context(), backend_,
                               {.user = user_, .key = *key, .login = login.copy(), .rules = rules}, progress);
    if (index.has_error()) {
        services_.authenticator.give_back(fiber_, entered->admitted);
        return index.error();
    }
    index_ = std::move(*index);
    pop3::Maildrop maildrop(
        index_->take_messages(), [opened = index_.get()](const MessageInfo& each) { return opened->unique_id(each); },
        maildrop_policy_.delete_only_if_retrieved, index_->take_retrieved());
    if (is_read_only_) maildrop.make_read_only();
    return maildrop;
}

Status Connection::hold_maildrop(const std::string& key) {
    is_read_only_ = false;
    auto answer = services_.store.hold_maildrop(fiber_, key);
    if (!answer) {
        is_read_only_ = services_.config.state.lock_unavailable == WithoutLock::read_only;
        if (!is_read_only_) return answer.error();
        log(LogLevel::warning, "maildrop_not_locked", {{"user", user_}, {"error", describe(answer.error())}});
        return {};
    }
    hold_ = std::move(answer->hold);
    if (hold_) return {};
    if (answer->free_in.count() == 0) return Error{Errc::in_use, {}, {}};
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(answer->free_in).count();
    return Error{Errc::in_use,
                 "The mailbox is in use by another session; if its server has died, it is free in " +
                     std::to_string(seconds) + " s",
                 {}};
}

Status Connection::may_remove() {
    if (is_read_only_) return Error{Errc::temporary, "nothing can be deleted in this session", "no lock was had"};
    return hold_ ? hold_->confirm(fiber_) : Status();
}

// Somebody else may be in it by now: what this session would go on with is his.
bool Connection::has_lost_maildrop() {
    if (!hold_ || !hold_->is_lost()) return false;
    last_words_ = out_ + pop3::err({Errc::temporary, "the lock of the mailbox was lost", {}}, session_.language());
    error_ = "the lock of the mailbox was lost";
    end("lock_lost");
    return true;
}

void Connection::release_maildrop() {
    if (hold_) hold_->release(fiber_);
    hold_.reset();
}

void Connection::perform(pop3::SendScanList action) {
    const auto& maildrop = session_.maildrop();
    if (action.unique_ids)
        send(pop3::ok(pop3::Text::unique_ids, session_.language()));
    else
        send(pop3::ok(pop3::Text::scan_list, session_.language(), {maildrop.count_left(), maildrop.octets_left()}));
    std::optional<UniqueIdsHash> hash;
    if (action.unique_ids) hash.emplace();
    for (std::uint64_t number = 1; number <= maildrop.count() && !ended(); ++number) {
        if (!hash) {
            if (maildrop.is_marked(number)) continue;
            send(std::to_string(number) + " " + std::to_string(maildrop.message(number).octets) + "\r\n");
            continue;
        }
        const auto unique_id = maildrop.unique_id(number);
        hash->add(unique_id);
        if (!maildrop.is_marked(number)) send(std::to_string(number) + " " + unique_id + "\r\n");
    }
    if (hash && !ended()) unique_ids_hash_ = hash->finish();
    trace_reply("+OK (a list of " + std::to_string(maildrop.count_left()) + ")");
    send(".\r\n");
}

void Connection::perform(pop3::SendBody action) {
    auto& maildrop = session_.maildrop();
    const auto& message = maildrop.message(action.number);
    BodyReply reply(*this,
                    action.top_lines ? pop3::ok(pop3::Text::top, session_.language())
                                     : pop3::ok(pop3::Text::message, session_.language(), {message.octets}),
                    action.top_lines);
    const bool is_top = action.top_lines && *action.top_lines < lines_of_any_message;
    if (is_top)
        expect_nothing();
    else
        mailbox_->expect(reading_order_.on_retrieval(maildrop, action.number));
    auto status = is_top ? mailbox_->fetch_top(message, reply) : mailbox_->fetch(message, reply);
    if (ended()) return stream_.abort();
    if (reply.satisfied()) status = Status{};  // whatever came behind the lines that were asked for
    if (!status.has_error()) {
        reply.finish();
        trace_reply("+OK (a message of " + std::to_string(reply.octets()) + " octets)");
        if (action.top_lines) {
            ++tops_;
        } else {
            ++retrieved_;
            retrieved_octets_ += reply.octets();
        }
        // A message can have even more lines than that.
        if (!is_top && !reply.satisfied()) unflushed_.push_back({action.number, reply.octets(), !action.top_lines});
        index_->save_now_and_then();
        return;
    }
    error_ = describe(status.error());
    if (!reply.began()) {
        if (fiber_.interrupted()) return end_for_shutdown();
        log(LogLevel::warning, "message_failed", {{"user", user_}, {"message", message.id}, {"error", error_}});
        const auto refusal = pop3::err(status.error(), session_.language());
        trace_reply(refusal);
        send(refusal);
        if (flush()) index_->failed(message, error_);
        return;
    }
    // Part of the message is out: no words can take it back, and only a broken connection tells the client so.
    trace_reply("(broken off: " + error_ + ")");
    end("broken off");
    stream_.abort();
    if (!fiber_.interrupted()) index_->failed(message, error_);
}

void Connection::expect_nothing() {
    reading_order_.forget();
    mailbox_->expect({});
}

void Connection::perform(pop3::CommitAndQuit) {
    // Nothing is removed unless the client still takes what it was promised before.
    if (!flush()) return;
    is_committing_ = true;
    expect_nothing();
    counted_.enter(metrics::SessionState::update);
    const auto marked = session_.maildrop().marked();
    const Fiber::Shield shield(fiber_, farewell_limit);  // a drain waits for what has begun
    const auto outcome = [&] {
        const Fiber::LimitScope limit(fiber_, Clock::now() + removal_limit);
        return index_->remove(marked, {.confirm = [this] { return may_remove(); },
                                       .until = [this] { return hold_ ? hold_->held_until() : Deadline::max(); }});
    }();
    removed_ = outcome.removed;
    // After a fault the client has waited long enough: the marks can follow the reply.
    if (outcome.status.has_error())
        error_ = describe(outcome.status.error());
    else
        keep_seen_marks();
    // Before the reply: a client that reads it may log in again at once.
    release_maildrop();
    account_permit_.reset();
    const auto reply = session_.committed(marked.size(), outcome.failed, outcome.unknown, outcome.status);
    trace_reply(reply);
    send(reply);
    flush();
    end("quit");
}

void Connection::keep_seen_marks() {
    const auto retrieved = session_.maildrop().retrieved();
    if (!route_->config.mark_seen || retrieved.empty() || std::exchange(seen_marks_kept_, true)) return;
    if (auto status = mailbox_->mark_seen(retrieved); status.has_error())
        log(LogLevel::warning, "mark_seen_failed", {{"user", user_}, {"error", status.error().text}});
}

void Connection::say_goodbye() {
    fiber_.resume_waits();
    fiber_.set_limit(Clock::now() + farewell_limit);
    if (!last_words_.empty()) (void)stream_.write(last_words_, last_words_timeout);
    // From here on nothing is removed, and what was learned is saved, so the next session may begin.
    if (index_) index_->save_delivered();
    release_maildrop();
    account_permit_.reset();
    stream_.close(reason_ == "disconnect" ? 0s : linger);
    if (mailbox_ && session_.logged_in()) keep_seen_marks();
    if (mailbox_) mailbox_->close();
}

}  // namespace popgate
