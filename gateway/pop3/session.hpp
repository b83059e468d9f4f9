#pragma once

#include "backends/errors.hpp"
#include "gateway/pop3/command.hpp"
#include "gateway/pop3/maildrop.hpp"
#include "gateway/pop3/reply.hpp"
#include "gateway/pop3/sasl.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace popgate::pop3 {

/// How long messages stay that were retrieved (EXPIRE, RFC 2449 §6.7).
struct Expiry {
    std::optional<std::uint32_t> days;  ///< none: for ever
    bool depends_on_user = false;       ///< `days` is then the least
};

/// A whole number of days, rounded down; none when there is no limit.
Expiry expiry_of(const std::optional<std::chrono::milliseconds>& expire_after);

/// The least time between two logins (LOGIN-DELAY, RFC 2449 §6.5).
struct LoginDelay {
    std::uint32_t seconds = 0;     ///< 0: any
    bool depends_on_user = false;  ///< `seconds` is then the most
};

/// Rounded up to whole seconds.
LoginDelay login_delay_of(const std::optional<std::chrono::milliseconds>& delay);

/// What a listener allows.
struct Policy {
    bool tls_offered = false;   ///< STLS is possible
    bool tls_required = false;  ///< no USER and no AUTH in clear
    unsigned bad_commands = 3;  ///< before login
    unsigned failed_logins = 3;
    Expiry expiry{};            ///< as CAPA tells it before login
    LoginDelay login_delay{};   ///< as CAPA tells it before login
    bool passwords = true;      ///< somebody may log in with one: USER, AUTH PLAIN, AUTH LOGIN
    bool tokens = false;        ///< AUTH OAUTHBEARER, AUTH XOAUTH2
    bool certificates = false;  ///< AUTH EXTERNAL, for a client that has shown one
    bool apop = false;
    bool cram_md5 = false;
    bool rpop = false;        ///< this client may log anybody in (RFC 1081)
    std::string challenge{};  ///< apop, cram_md5: "<something.new@this.host>"
};

// What the connection is to do next; it calls the matching method of Session when it has.
struct SendReply {
    std::string text;
    bool close = false;
};
struct StartTls {};
struct Authenticate {
    Proof proof;
};
struct SendBody {
    std::uint64_t number = 0;
    std::optional<std::uint64_t> top_lines;
};
struct SendScanList {
    bool unique_ids = false;
};
struct CommitAndQuit {};
using Action = std::variant<SendReply, StartTls, Authenticate, SendBody, SendScanList, CommitAndQuit>;

/// One POP3 conversation without its socket: lines in, actions out. AUTHORIZATION is without a maildrop, TRANSACTION is
/// with one, UPDATE is the connection's CommitAndQuit.
class Session {
public:
    Session(const Policy& policy, bool tls_active) : policy_(policy), tls_active_(tls_active) {}

    std::string greeting() const;

    Action on_line(std::string_view line);
    Action on_overlong_line();

    /// After StartTls, or once TLS from the start is there: what was said in clear is forgotten (RFC 2595 §4), only the
    /// counters stay, and APOP's challenge, which is no secret.
    void tls_started(bool client_has_certificate);

    /// After Authenticate.
    SendReply login_succeeded(Maildrop maildrop, Expiry expiry = {}, LoginDelay delay = {});
    SendReply login_failed(const Error& error);

    /// After CommitAndQuit: the last reply. `status` says why some failed.
    std::string committed(std::uint64_t to_remove, std::uint64_t failed, std::uint64_t unknown,
                          const Status& status) const;

    /// From now on one bad command before login ends the session.
    void be_strict() { policy_.bad_commands = 1; }
    /// True while the next line is part of a SASL exchange, so perhaps a secret.
    bool in_exchange() const { return sasl_.has_value() || reply_to_come_.has_value(); }

    bool logged_in() const { return maildrop_.has_value(); }
    /// Only when logged in.
    Maildrop& maildrop() { return *maildrop_; }
    const Maildrop& maildrop() const { return *maildrop_; }
    Language language() const { return language_; }

private:
    Action on_command(const Command& command);
    Action on_fault(CommandFault fault);
    Action on_login_command(const Command& command);
    Action on_sasl(SaslExchange::Step step);
    Action on_language(std::string_view tag);
    Action authenticate(Proof proof);
    std::vector<Mechanism> mechanisms() const;
    Action bad(std::string reply);
    std::string capabilities() const;
    bool may_log_in() const { return tls_active_ || !policy_.tls_required; }

    Policy policy_;
    bool tls_active_;
    Language language_ = Language::english;
    std::optional<std::string> user_;
    std::optional<SaslExchange> sasl_;
    std::optional<Mechanism> token_mechanism_;  // of the token that is being checked
    std::optional<SendReply> reply_to_come_;    // once the client has answered what its token was refused with
    bool has_certificate_ = false;
    std::optional<Maildrop> maildrop_;
    unsigned bad_commands_ = 0;
    unsigned failed_logins_ = 0;
};

}  // namespace popgate::pop3
