#pragma once

#include "gateway/accounts/authenticator.hpp"
#include "gateway/accounts/maildrop_locks.hpp"
#include "gateway/config/config.hpp"
#include "gateway/index/index_builder.hpp"
#include "gateway/index/indexed_mailbox.hpp"
#include "gateway/net/client_network.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/pop3/line_reader.hpp"
#include "gateway/pop3/session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// What every session of the process shares. Outlives them all.
struct Services {
    const Config& config;
    Authenticator& authenticator;
    MaildropLocks& locks;
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
};

/// One POP3 session on its fiber: reads lines, asks pop3::Session what to do, does it, and writes its log line.
class Connection {
public:
    Connection(const Services& services, const ListenerInfo& listener, Fiber& fiber,
               boost::asio::ip::tcp::socket socket, const boost::asio::ip::tcp::endpoint& peer);

    /// Serves until the session ends, for whatever reason. The maildrop is unlocked and the upstream closed then.
    void run();

private:
    class BodyReply;

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

    void perform(pop3::SendReply action);
    void perform(pop3::StartTls action);
    void perform(pop3::Authenticate action);
    void perform(pop3::SendBody action);
    void perform(pop3::SendScanList action);
    void perform(pop3::CommitAndQuit action);

    Result<pop3::Maildrop> log_in(const Proof& proof);
    void keep_seen_marks();
    void begin_tls();
    void say_goodbye();
    void write_log_line() const;
    std::string unique_ids_hash() const;

    const Services& services_;
    const ListenerInfo& listener_;
    Fiber& fiber_;
    Stream stream_;
    std::string peer_;     // with its port
    std::string address_;  // without
    std::vector<std::string> certificate_names_;
    pop3::Session session_;
    pop3::LineReader lines_;
    std::string out_;  // replies that were not yet written
    std::string last_words_;

    unsigned attempts_ = 0;
    const Route* route_ = nullptr;
    std::shared_ptr<const Backend> backend_;
    std::unique_ptr<Mailbox> mailbox_;
    std::unique_ptr<MaildropLocks::Lock> lock_;
    MaildropPolicy maildrop_policy_;
    std::unique_ptr<IndexedMailbox> index_;  // of mailbox_
    bool seen_marks_kept_ = false;

    /// A message that was given whole, but whose last octets are still in out_.
    struct Unflushed {
        std::uint64_t number;
        std::uint64_t octets;
        bool by_retr;
    };
    std::vector<Unflushed> unflushed_;

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
