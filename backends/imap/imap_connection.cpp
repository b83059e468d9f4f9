#include "backends/imap/imap_connection.hpp"

#include "backends/ascii.hpp"
#include "backends/imap/kept_connections.hpp"
#include "gateway/accounts/keyed_hash.hpp"
#include "gateway/observe/metrics.hpp"

#include <utility>

namespace popgate::imap {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds goodbye_timeout{1000};
constexpr bool logout_is_answered = true;
// For another session of the account to end, or for the server's own pause: a client that logs in waits no longer.
constexpr std::chrono::milliseconds slot_patience{10'000};
// With a connection that may be dead, as some firewalls forget one without a word: there is time for another login
// then.
constexpr std::chrono::milliseconds patience_with_reused{10'000};

/// By which the limiter knows a credential.
std::string credential_key(const std::string& account, const std::string& hash) {
    return account + std::string(1, '\0') + hash;
}

ImapConnection::Owner owner_of(const UpstreamLogin& login, Clock::time_point proved_at) {
    auto account = in_lower_case(login.user);
    auto credential = keyed_hash(account, login.password);
    return {std::move(account), login.user, login.authentication_user, std::move(credential), proved_at};
}

}  // namespace

std::size_t ImapConnection::StreamTransport::read(char* data, std::size_t size) noexcept {
    return stream_->read_some(data, size, std::exchange(patience_, timeout_), failure_);
}

bool ImapConnection::StreamTransport::write(std::string_view octets) noexcept {
    failure_ = stream_->write(octets, timeout_);
    return !failure_;
}

void ImapConnection::StreamTransport::throttled(std::chrono::milliseconds pause) {
    metrics::upstream_throttled.add(metrics::BackendKind::imap);
    limiter_->back_off(account_, Clock::now() + pause);
}

void ImapConnection::StreamTransport::trace(std::string text) {
    if (auto* const trace = fiber_->trace()) trace->hear("upstream", std::move(text));
}

void ImapConnection::StreamTransport::hand_to(Fiber& fiber) {
    fiber_ = &fiber;
    stream_->hand_to(fiber);
}

Result<std::unique_ptr<ImapConnection>> ImapConnection::open(Fiber& fiber, const ImapSettings& settings,
                                                             const UpstreamLogin& login) {
    if (!login.tokens) {
        Clock::time_point asked;
        auto connection = connect(fiber, settings, login.user, login.password, [&](EtpanSession& session) {
            asked = Clock::now();
            return login.authentication_user.empty()
                       ? session.login(login.user, login.password)
                       : session.login_as(login.user, login.authentication_user, login.password);
        });
        if (!connection.has_error() && settings.reuse_upstream > 0ms) (*connection)->owner_ = owner_of(login, asked);
        return connection;
    }
    for (bool renewed = false;; renewed = true) {
        const auto token = login.tokens->token(fiber);
        if (token.has_error()) return token.error();
        auto connection = connect(fiber, settings, login.user, *token, [&](EtpanSession& session) {
            return session.login_with_token(login.user, *token, settings.host, settings.port);
        });
        if (!connection.has_error() || connection.error().code != Errc::auth || renewed) return connection;
        const auto another = login.tokens->renew(fiber, *token);
        if (another.has_error()) return another.error();
        if (!*another) return connection;
    }
}

Result<std::unique_ptr<ImapConnection>> ImapConnection::connect(
    Fiber& fiber, const ImapSettings& settings, const std::string& user, const Secret& credential,
    const std::function<Status(EtpanSession&)>& authenticate) {
    const auto account = in_lower_case(user);
    // Until a credential is proved, what comes of it is its own affair: whoever guesses takes neither a slot of the
    // account, nor can he bring a pause upon it.
    const auto by_credential = credential_key(account, keyed_hash(account, credential));
    auto& limiter = *settings.limiter;
    const bool is_proved = limiter.is_proved(by_credential);
    auto slot =
        limiter.acquire(fiber, is_proved ? account : by_credential, 0, Clock::now() + slot_patience, !is_proved);
    if (slot.has_error()) return slot.error();
    const Fiber::LimitScope limit(fiber, Clock::now() + settings.connect_timeout + settings.command_timeout);
    auto stream = Stream::connect(fiber, settings.host, settings.port, settings.connect_timeout);
    if (stream.has_error()) return stream.error();
    std::unique_ptr<ImapConnection> connection(
        new ImapConnection(fiber, std::move(*stream), settings, is_proved ? account : by_credential, std::move(*slot)));
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
    if (!status.has_error()) status = authenticate(session);
    if (status.has_error()) {
        if (status.error().code == Errc::auth) limiter.set_proved(by_credential, false);
        if (!session.broken()) connection->close();
        return status.error();
    }
    limiter.set_proved(by_credential, true);
    // What is kept of the account has another credential, or it would have been taken.
    if (settings.reuse_upstream > 0ms) KeptConnections::of(fiber.context()).let_go(settings, account);
    if (!is_proved) {
        auto own = limiter.acquire(fiber, account, 0, Clock::now() + slot_patience);
        if (own.has_error()) {
            connection->close();
            return own.error();
        }
        connection->slot_ = std::move(*own);
        transport.set_account(account);
    }
    session.identify();
    return connection;
}

std::unique_ptr<ImapConnection> ImapConnection::reuse(Fiber& fiber, const ImapSettings& settings,
                                                      const UpstreamLogin& login) {
    // Whether a token is still good is for its provider to say, and for the server to ask.
    if (settings.reuse_upstream == 0ms || login.tokens) return nullptr;
    const auto wanted = owner_of(login, {});
    // Any thread may have heard that it is good no longer.
    if (!settings.limiter->is_proved(credential_key(wanted.account, wanted.credential))) return nullptr;
    auto connection = KeptConnections::of(fiber.context()).take(fiber, settings, wanted);
    if (!connection) return nullptr;
    if (connection->is_paused()) {
        connection->close();
        return nullptr;
    }
    connection->is_reused_ = true;
    connection->transport_.wait_no_longer_than(patience_with_reused);
    metrics::upstream_reused.add();
    if (connection->transport_.is_traced()) {
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - connection->owner_.proved_at);
        connection->transport_.trace("< a connection of an earlier session, which logged in " +
                                     std::to_string(age.count()) + " s ago");
    }
    return connection;
}

void ImapConnection::leave(Fiber& fiber, std::unique_ptr<ImapConnection> connection,
                           const std::shared_ptr<const ImapSettings>& settings) {
    const auto& owner = connection->owner_;
    const bool may_be_kept = !owner.credential.empty() && connection->is_quiet() && !connection->is_paused() &&
                             settings->limiter->is_proved(credential_key(owner.account, owner.credential));
    if (may_be_kept) connection = KeptConnections::of(fiber.context()).keep(std::move(connection), settings);
    if (connection) connection->close();
}

void ImapConnection::close() {
    session_.say_goodbye();
    transport_.stream().close(goodbye_timeout, logout_is_answered);
}

}  // namespace popgate::imap
