#pragma once

#include "backends/imap/etpan_session.hpp"
#include "backends/mailbox.hpp"
#include "gateway/accounts/secret.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"

#include <boost/asio/error.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace popgate::imap {

/// Where a route's mailboxes are; shared by all its sessions.
struct ImapSettings {
    std::string host;
    std::string port;
    bool implicit_tls = true;
    bool start_tls = false;
    std::shared_ptr<TlsClientContext> tls;
    std::string mailbox;  ///< modified UTF-7
    std::chrono::milliseconds connect_timeout{};
    std::chrono::milliseconds command_timeout{};
};

/// One logged-in connection with its mailbox selected.
class ImapConnection {
public:
    /// All steps together take no longer than the two timeouts of the route.
    static Result<std::unique_ptr<ImapConnection>> open(Fiber& fiber, const ImapSettings& settings,
                                                        const std::string& user, const Secret& password);
    EtpanSession& session() { return session_; }
    const Selected& selected() const { return selected_; }
    /// True when it was lost because the server was silent for too long.
    bool lost_to_silence() const { return session_.broken() && transport_.timed_out(); }
    Status select(const std::string& mailbox);
    /// LOGOUT; waits a little for the server to close.
    void close();

private:
    class StreamTransport final : public Transport {
    public:
        StreamTransport(std::unique_ptr<Stream> stream, std::chrono::milliseconds timeout)
            : stream_(std::move(stream)), timeout_(timeout) {}
        std::size_t read(char* data, std::size_t size) noexcept override;
        bool write(std::string_view octets) noexcept override;
        std::string failure() const override { return failure_.message(); }
        bool timed_out() const { return failure_ == boost::asio::error::timed_out; }
        Stream& stream() { return *stream_; }

    private:
        std::unique_ptr<Stream> stream_;
        std::chrono::milliseconds timeout_;
        boost::system::error_code failure_;
    };

    ImapConnection(std::unique_ptr<Stream> stream, std::chrono::milliseconds timeout)
        : transport_(std::move(stream), timeout), session_(transport_) {}

    StreamTransport transport_;
    EtpanSession session_;
    Selected selected_;
};

/// A folder of an IMAP account. A connection that was lost between two calls is opened anew, provided that the
/// mailbox is still the same one (UIDVALIDITY).
class ImapMailbox final : public Mailbox {
public:
    ImapMailbox(Fiber& fiber, std::shared_ptr<const ImapSettings> settings, std::string user, const Secret& password,
                std::unique_ptr<ImapConnection> connection);

    Result<Listing> list(KnownMailbox known) override;
    std::string unique_id(const MessageInfo& message) const override;
    Status fetch(const MessageInfo& message, BodySink& sink) override;
    Status fetch_top(const MessageInfo& message, BodySink& sink) override;
    RemovalReport remove(const std::vector<MessageInfo>& messages) override;
    Result<std::vector<bool>> unread(const std::vector<MessageInfo>& messages) override;
    RemovalReport move(const std::vector<MessageInfo>& messages, SpecialFolder target) override;
    bool answers() override;
    Status mark_seen(const std::vector<MessageInfo>& messages) override;
    Status keep_alive() override;
    void close() override;

private:
    using Operation = std::function<Status(EtpanSession&)>;

    /// Runs `operation`, once more on a new connection when the old one turns out to be lost and `may_repeat` says so.
    Status on_connection(const Operation& operation, const std::function<bool()>& may_repeat);
    Status on_connection(const Operation& operation);
    Status reconnect();
    Result<std::vector<MessageInfo>> list_once(EtpanSession& session);
    Status remove_uids(EtpanSession& session, const std::vector<std::uint32_t>& uids,
                       std::vector<std::uint32_t>& unmarked);
    Status expunge_without_uidplus(EtpanSession& session, const std::vector<std::uint32_t>& uids,
                                   std::vector<std::uint32_t>& unmarked);
    Result<std::vector<std::uint32_t>> still_there(EtpanSession& session, const std::vector<std::string>& sets);

    Fiber& fiber_;
    std::shared_ptr<const ImapSettings> settings_;
    std::string user_;
    Secret password_;
    std::unique_ptr<ImapConnection> connection_;
    std::uint32_t uid_validity_;
};

}  // namespace popgate::imap
