#pragma once

#include "backends/imap/etpan_session.hpp"
#include "backends/limiter.hpp"
#include "backends/unique_id_format.hpp"
#include "backends/upstream_login.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace popgate::imap {

/// Where a route's mailboxes are; shared by all its sessions.
struct ImapSettings {
    std::string host;
    std::string port;
    bool implicit_tls = true;
    bool start_tls = false;
    std::shared_ptr<TlsClientContext> tls;
    std::string mailbox;         ///< modified UTF-7
    std::string trash_folder;    ///< likewise; empty: the one that the server names
    std::string archive_folder;  ///< likewise
    UniqueIdFormat unique_ids;
    std::string name;              ///< of the upstream, in mailbox keys
    std::uint32_t read_ahead = 0;  ///< octets
    std::chrono::milliseconds connect_timeout{};
    std::chrono::milliseconds command_timeout{};
    std::chrono::milliseconds reuse_upstream{};  ///< how long a connection may be used again after its login; 0: never
    /// A slot is a connection; an account is an upstream user.
    std::shared_ptr<Limiter> limiter = std::make_shared<Limiter>(UpstreamLimits{0, 0, 0});
};

/// One logged-in connection. No mailbox is selected at first, unless it was used before.
class ImapConnection {
public:
    /// Who a connection is logged in as, and by which word.
    struct Owner {
        std::string account;  ///< the user in lower case
        std::string user;
        std::string authentication_user;
        std::string credential;         ///< its keyed_hash(); empty for a token
        Clock::time_point proved_at{};  ///< no later than the server has taken it
    };

    /// All steps together take no longer than the two timeouts of the route, getting a token aside. A token that is
    /// refused is renewed once.
    static Result<std::unique_ptr<ImapConnection>> open(Fiber& fiber, const ImapSettings& settings,
                                                        const UpstreamLogin& login);
    /// One that an earlier session has left on this thread, if the server has taken this very credential by a login of
    /// its own no longer than reuse_upstream ago; null otherwise. It may turn out to be dead: its first answer is not
    /// waited for as long as others.
    static std::unique_ptr<ImapConnection> reuse(Fiber& fiber, const ImapSettings& settings,
                                                 const UpstreamLogin& login);
    /// The end of a session: keeps the connection for reuse(), or closes it.
    static void leave(Fiber& fiber, std::unique_ptr<ImapConnection> connection,
                      const std::shared_ptr<const ImapSettings>& settings);
    /// True when it comes from reuse().
    bool is_reused() const { return is_reused_; }
    const Owner& owner() const { return owner_; }
    /// Another fiber of the same io_context uses it from now on.
    void hand_to(Fiber& fiber) { transport_.hand_to(fiber); }
    /// True where nothing is under way and the server has nothing to say, not even that it closes. Never suspends.
    bool is_quiet() { return session_.is_idle() && transport_.stream().is_quiet(); }
    Limiter::Slot& slot() { return slot_; }
    EtpanSession& session() { return session_; }
    /// True when it was lost because the server was silent for too long.
    bool lost_to_silence() const { return session_.broken() && transport_.timed_out(); }
    /// Waits for the end of a pause that the server has asked for, or says that it is too long.
    Status wait_out() { return transport_.wait_out(); }
    /// True until the end of such a pause.
    bool is_paused() { return transport_.is_paused(); }
    /// LOGOUT; waits a little for the server's answer.
    void close();

private:
    static Result<std::unique_ptr<ImapConnection>> connect(Fiber& fiber, const ImapSettings& settings,
                                                           const std::string& user, const Secret& credential,
                                                           const std::function<Status(EtpanSession&)>& authenticate);

    class StreamTransport final : public Transport {
    public:
        StreamTransport(Fiber& fiber, std::unique_ptr<Stream> stream, const ImapSettings& settings, std::string account)
            : fiber_(&fiber),
              stream_(std::move(stream)),
              timeout_(settings.command_timeout),
              patience_(timeout_),
              limiter_(settings.limiter),
              account_(std::move(account)) {}
        std::size_t read(char* data, std::size_t size) noexcept override;
        bool write(std::string_view octets) noexcept override;
        std::string failure() const override { return failure_.message(); }
        void throttled(std::chrono::milliseconds pause) override;
        bool is_traced() const override { return fiber_->trace() != nullptr; }
        void trace(std::string text) override;
        /// Whose slot and pauses these are from now on.
        void set_account(std::string account) { account_ = std::move(account); }
        /// Before a command: until the end of a pause that the server has asked for.
        Status wait_out() { return limiter_->wait_out(*fiber_, account_, Clock::now() + timeout_ / 2); }
        bool is_paused() { return limiter_->wait_out(*fiber_, account_, Clock::now()).has_error(); }
        bool timed_out() const { return failure_ == boost::asio::error::timed_out; }
        Stream& stream() { return *stream_; }
        void hand_to(Fiber& fiber);
        /// For the next octets alone.
        void wait_no_longer_than(std::chrono::milliseconds patience) { patience_ = std::min(timeout_, patience); }

    private:
        Fiber* fiber_;
        std::unique_ptr<Stream> stream_;
        std::chrono::milliseconds timeout_;
        std::chrono::milliseconds patience_;  // of the next read
        std::shared_ptr<Limiter> limiter_;
        std::string account_;
        boost::system::error_code failure_;
    };

    ImapConnection(Fiber& fiber, std::unique_ptr<Stream> stream, const ImapSettings& settings, std::string account,
                   Limiter::Slot slot)
        : slot_(std::move(slot)),
          transport_(fiber, std::move(stream), settings, std::move(account)),
          session_(transport_) {}

    Limiter::Slot slot_;
    StreamTransport transport_;
    EtpanSession session_;
    Owner owner_;
    bool is_reused_ = false;
};

}  // namespace popgate::imap
