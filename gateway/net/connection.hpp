#pragma once

#include "gateway/accounts/account_sessions.hpp"
#include "gateway/accounts/authenticator.hpp"
#include "gateway/config/config.hpp"
#include "gateway/index/index_builder.hpp"
#include "gateway/index/indexed_mailbox.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/net/client_network.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/open_session.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/observe/traces.hpp"
#include "gateway/pop3/line_reader.hpp"
#include "gateway/pop3/reading_order.hpp"
#include "gateway/pop3/session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace popgate {

/// What every session of a configuration shares; what is not of the configuration is the process's. Outlives them all.
struct Services {
    const Config& config;
    Authenticator& authenticator;
    AccountSessions& account_sessions;
    Admission& admission;
    Traces& traces;
    StateStore& store;
    IndexBuilds& builds;
};

/// A listener as its sessions see it.
struct ListenerInfo {
    ListenConfig config;
    std::string address;                    ///< as bound, with its real port
    std::shared_ptr<TlsServerContext> tls;  ///< null without TLS
    pop3::Expiry expiry;                    ///< what holds before it is known who logs in
    pop3::Policy logins{};                  ///< how anybody may log in here
    Networks rpop_from{};                   ///< whose hosts may say RPOP
    Networks trusted_proxies{};             ///< who may send a PROXY header
};

/// Who is at the other end, as the socket or a proxy's header says.
struct Client {
    boost::asio::ip::tcp::endpoint endpoint;
    bool is_known = true;          ///< false: a proxy that did not tell, and the endpoint is its own
    bool is_proxy_itself = false;  ///< a proxy that looks whether popgate is alive
    bool tls = false;              ///< the proxy has ended the client's TLS
    std::string tls_description{};
    std::vector<std::string> certificate_names{};  ///< of the certificate that the proxy has verified
};

/// One POP3 session on its fiber: reads lines, asks pop3::Session what to do, does it, and writes its log line.
class Connection final : private TraceSink {
public:
    Connection(const Services& services, const ListenerInfo& listener, Fiber& fiber,
               boost::asio::ip::tcp::socket socket, Client client);

    /// Serves until the session ends, for whatever reason. The maildrop is unlocked and the upstream closed then.
    void run();

    // From the context's own thread, while run() is suspended.
    std::uint64_t id() const { return id_; }
    const std::string& user() const { return user_; }
    OpenSession status() const;
    /// Ends the session, and says so to its client.
    void kick();

private:
    class BodyReply;

    void hear(std::string_view side, std::string text) override;
    void watch_for_traces();
    void trace_command(std::string_view line);
    void trace_reply(std::string_view text);
    std::string tls_description() const;
    Deadline login_deadline() const;
    void be_strict_under_stress();

    enum class Input { line, too_long, ended };

    void converse();
    Input next_line(std::string_view& line);
    bool read_more();
    boost::system::error_code read_available();
    bool flush();
    bool send(std::string_view text);
    void end(std::string reason);
    void end_for_shutdown();
    bool ended() const { return !reason_.empty(); }

    void perform(const pop3::SendReply& action);
    void perform(pop3::StartTls action);
    void perform(pop3::Authenticate action);
    void perform(pop3::SendBody action);
    void perform(pop3::SendScanList action);
    void perform(pop3::CommitAndQuit action);

    Result<pop3::Maildrop> log_in(const Proof& proof);
    Status hold_maildrop(const std::string& key);
    Status may_remove();
    bool has_lost_maildrop();
    void release_maildrop();
    void expect_nothing();
    void keep_seen_marks();
    void begin_tls();
    /// Of the client, here or at its proxy.
    void tls_started();
    void say_goodbye();
    void write_log_line() const;

    const Services& services_;
    const ListenerInfo& listener_;
    Fiber& fiber_;
    Stream stream_;
    const std::uint64_t id_;
    Client client_;
    std::string peer_;     // with its port
    std::string address_;  // without
    pop3::Session session_;
    pop3::LineReader lines_;
    std::string out_;  // replies that were not yet written
    std::string last_words_;
    std::string unique_ids_hash_;  // of the list that UIDL gave

    unsigned attempts_ = 0;
    const Route* route_ = nullptr;
    std::shared_ptr<const Backend> backend_;
    std::unique_ptr<Mailbox> mailbox_;
    std::unique_ptr<MaildropHold> hold_;
    bool is_read_only_ = false;  // since nobody knows who else is in the maildrop
    std::unique_ptr<AccountSessions::Permit> account_permit_;
    MaildropPolicy maildrop_policy_;
    std::unique_ptr<IndexedMailbox> index_;  // of mailbox_
    pop3::ReadingOrder reading_order_;
    bool seen_marks_kept_ = false;

    /// A message that was given whole, but whose last octets are still in out_.
    struct Unflushed {
        std::uint64_t number;
        std::uint64_t octets;
        bool by_retr;
    };
    std::vector<Unflushed> unflushed_;

    bool kicked_ = false;
    bool is_committing_ = false;
    metrics::CountedSession counted_;
    std::string_view last_command_;
    Clock::time_point last_heard_ = Clock::now();
    std::uint64_t octets_sent_ = 0;
    bool is_traced_ = false;
    std::string traced_as_;
    std::vector<std::pair<std::string, std::string>> before_login_;  // side and text, while anybody is traced

    // For the log line.
    Clock::time_point started_ = Clock::now();
    std::string user_;
    std::uint64_t retrieved_ = 0;
    std::uint64_t retrieved_octets_ = 0;
    std::uint64_t tops_ = 0;
    std::uint64_t removed_ = 0;
    std::string reason_;
    std::string error_;
};

}  // namespace popgate
