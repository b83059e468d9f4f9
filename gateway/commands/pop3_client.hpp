#pragma once

#include "backends/errors.hpp"
#include "backends/mailbox.hpp"
#include "backends/registry.hpp"
#include "gateway/commands/pop3_reply.hpp"
#include "gateway/net/fiber.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {
class Secret;
class Stream;
class TlsClientContext;
}  // namespace popgate

namespace popgate::commands {

/// A POP3 server, and how it is spoken to.
struct Pop3Server {
    std::string host;
    std::string port;
    bool implicit_tls = true;
    bool start_tls = false;
    std::shared_ptr<TlsClientContext> tls;  ///< where one of the two is set
    std::chrono::milliseconds connect_timeout{30'000};
    std::chrono::milliseconds command_timeout{60'000};  ///< longest silence within one reply
};

/// "pop3s://host[:port]" or "pop3://host[:port]"; `starttls` concerns the latter. Reads the CA file.
Result<Pop3Server> parse_pop3_server(const std::string& url, StartTls starttls, const std::string& ca_file,
                                     bool verify_certificate);

/// A message as UIDL and LIST tell of it.
struct Pop3Message {
    std::uint32_t number = 0;
    std::string
        unique_id;  ///< as the server writes it, whether RFC 1939 allows it or not; cut when it is much too long
    std::uint64_t octets = 0;  ///< 0: the server did not say
};

/// A session with a POP3 server (RFC 1939) that only reads. Used from one fiber; every call may suspend it and has a
/// deadline, and what a server says costs no more memory than its list of messages may. Errc::auth: the login was
/// refused. Texts hold nothing of what the server said but response codes, since a server may repeat the password.
class Pop3Client {
public:
    static constexpr std::size_t most_messages = 1'000'000;

    static Result<std::unique_ptr<Pop3Client>> log_in(Fiber& fiber, const Pop3Server& server, const std::string& user,
                                                      const Secret& password);
    ~Pop3Client();

    /// By number.
    Result<std::vector<Pop3Message>> list();

    /// How the headers are asked for. A server that forgets to double a dot ends a reply too early, and then it is not
    /// certain what belongs to what; asked for one by one, it can at least be told which message that was. (Dovecot 2.3
    /// forgets it where a message begins with a dot.)
    enum class With { top, retr };

    /// Gives each message, from its beginning to the end of its header at least, to the sink that `sink_for` has for
    /// its index; `done` follows, false where the server would not give this message. Asks for many at a time where
    /// the server knows PIPELINING (RFC 2449 §6.6), with RETR where it has no TOP. Errc::permanent: what the server
    /// says is no POP3.
    Status read_headers(const std::vector<Pop3Message>& messages, With with,
                        const std::function<BodySink&(std::size_t)>& sink_for,
                        const std::function<void(std::size_t, bool)>& done);

    /// Says goodbye. Errc::permanent: the server has said more than it was asked, so it is not certain which of its
    /// replies belonged to what.
    Status quit();

private:
    Pop3Client(Fiber& fiber, const Pop3Server& server, std::unique_ptr<Stream> stream);

    Status greet();
    Status give_credentials(const std::string& user, const Secret& password);
    Status send(std::string_view line);
    /// Reads one reply. True: it was +OK. What follows goes to `sink`, until that wants no more; all of it is read.
    Result<bool> reply(BodySink* sink = nullptr);
    Result<ReplyReader::Event> next_event(bool multiline, std::string_view& text);
    Result<bool> ask(std::string_view line, BodySink* sink = nullptr);
    Status read_capabilities();
    Status retrieve(const Pop3Message& message, std::size_t index,
                    const std::function<BodySink&(std::size_t)>& sink_for,
                    const std::function<void(std::size_t, bool)>& done);

    Fiber& fiber_;
    Pop3Server server_;
    std::unique_ptr<Stream> stream_;
    ReplyReader reader_;
    std::string code_;  // of the last status line
    bool pipelining_ = false;
};

}  // namespace popgate::commands
