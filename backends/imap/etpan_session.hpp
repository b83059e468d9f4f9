#pragma once

#include "backends/errors.hpp"
#include "backends/imap/response_guard.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct mailimap;
struct mailimap_msg_att;
struct mailimap_msg_att_body_section;

namespace popgate {
class BodySink;
class Secret;
}  // namespace popgate

namespace popgate::imap {

/// What libetpan reads from and writes to. May suspend the fiber; must not throw.
class Transport {
public:
    virtual ~Transport() = default;
    /// 1 to `size` octets, or 0 when the connection is of no more use.
    virtual std::size_t read(char* data, std::size_t size) noexcept = 0;
    virtual bool write(std::string_view octets) noexcept = 0;
    /// Why the last call failed, for the log.
    virtual std::string failure() const = 0;
    /// The server has asked for a pause.
    virtual void throttled(std::chrono::milliseconds) {}
    /// For whoever traces the session: a line of the conversation without secrets and mail.
    virtual bool is_traced() const { return false; }
    virtual void trace(std::string) {}  // NOLINT(performance-unnecessary-value-param): whoever overrides it keeps it
};

/// A mailbox that was selected (RFC 3501 §6.3.1).
struct Selected {
    std::uint32_t uid_validity = 0;
    std::uint32_t exists = 0;
    std::uint32_t uid_next = 0;        ///< 0 when it was not told
    std::uint64_t highest_modseq = 0;  ///< RFC 7162; 0 likewise
};

/// What the numbers of a set are.
enum class Numbers { sequence, uid };

/// What a listing asks for beside UID and size.
struct ListedItems {
    bool dates = true;
    bool gmail_ids = false;
};

/// One IMAP connection: libetpan behind RAII, with a ResponseGuard in front of its parser and its codes translated.
/// Errors are temporary unless said otherwise. After broken() nothing more can be done with it.
class EtpanSession {
public:
    explicit EtpanSession(Transport& transport);
    ~EtpanSession();
    EtpanSession(const EtpanSession&) = delete;
    EtpanSession& operator=(const EtpanSession&) = delete;

    /// Refuses BYE, and PREAUTH too: that would serve anybody as somebody else.
    Status read_greeting();

    /// STARTTLS up to the server's OK. What came in clear is forgotten, and anything behind the OK is an injection.
    Status request_start_tls();

    /// LOGIN or AUTHENTICATE PLAIN, as the server and the octets of the credentials demand (RFC 3501 §6.2).
    /// Errc::auth when the server refused the credentials, and only then.
    Status login(const std::string& user, const Secret& password);

    /// The same with a master user's password: PLAIN, with `user` as the authorization identity (RFC 4616 §2).
    Status login_as(const std::string& user, const std::string& master_user, const Secret& password);

    /// OAUTHBEARER (RFC 7628), or XOAUTH2 where that alone is offered. `host` and `port` are the server's, as the
    /// client knows them. Errc::auth when the token was refused, and only then; Errc::permanent when neither is
    /// offered.
    Status login_with_token(const std::string& user, const Secret& token, const std::string& host,
                            const std::string& port);

    /// ID (RFC 2971), when offered; its failure is none. Goes out with the next command.
    void identify();

    /// `mailbox` in modified UTF-7. Errc::permanent when there is no such mailbox.
    Result<Selected> select(const std::string& mailbox);

    /// ENABLE QRESYNC (RFC 7162 §3.2.3), which can be said before the first SELECT only (RFC 5161 §3.1). True where it
    /// is enabled, perhaps since long; an error only where the connection is broken.
    Result<bool> enable_resync();

    /// UIDNEXT as STATUS tells it; 0 when it does not.
    Result<std::uint32_t> ask_uid_next(const std::string& mailbox);

    /// UID and size of these messages, and what else is asked for, as the server tells them.
    Result<std::vector<ListedMessage>> list(Numbers numbers, const std::string& set, ListedItems items);

    /// Streams BODY.PEEK[] of a UID, or `length` octets of it from `offset`. `received` counts what the server gave:
    /// less than asked at the message's end, where NIL is as good as nothing, and more when it does not know parts.
    /// Errc::gone when the server has no such message. When the sink closes: of a whole message, Errc::sink_closed and
    /// broken(); of a part, success, and the rest of the part is dropped.
    struct Part {
        std::uint64_t offset = 0;
        std::uint32_t length = 0;
    };
    Status fetch_body(std::uint32_t uid, std::optional<Part> part, BodySink& sink, std::uint64_t& received);

    /// A message's octets, as many as the server gave.
    struct Body {
        std::uint32_t uid = 0;
        std::string octets;
    };
    /// Asks for whole messages, 1 to 100 of them and `octets` in all, and returns; the answer waits in the connection.
    /// A server that gives more is refused.
    Status begin_ahead(std::vector<std::uint32_t> uids, std::uint64_t octets);
    /// Those that begin_ahead() has asked for; empty where no answer waits. Every other command drops it.
    const std::vector<std::uint32_t>& ahead() const { return ahead_; }
    /// That answer: those that the server has, in its order.
    Result<std::vector<Body>> finish_ahead();

    /// A command of one line, without tag. Never with octets of a client in it.
    Status command(const std::string& text);
    /// The same of a command that ends in a mailbox's name (modified UTF-7).
    Status command_on(const std::string& text, const std::string& mailbox);
    /// True when the last command was answered with this response code, "[TRYCREATE]", and a NO or BAD.
    bool complained_of(std::string_view code) const;
    /// UID SEARCH, with a compact answer where the server offers that (RFC 4731); the UIDs that match.
    Result<UidSet> search(const std::string& criteria);
    /// Which of `uids` were expunged after `modseq` (RFC 7162 §3.2.6). Needs ENABLE QRESYNC before SELECT.
    Result<UidSet> vanished_since(const std::string& uids, std::uint64_t modseq);
    /// The folders that have a special use and that `command`, a kind of LIST, tells.
    Result<std::vector<Folder>> list_folders(const std::string& command);

    /// LOGOUT, without waiting for the answer.
    void say_goodbye();

    bool has_capability(std::string_view name) const;  ///< upper case
    bool broken() const { return broken_; }
    /// True when everything that was asked for is answered, and nothing has come behind it.
    bool is_idle() const;

private:
    struct Driver;
    struct BodyRequest;
    struct BodiesRequest;

    Status begin(const std::string& text);  ///< of a command that goes out with the next flush
    Status drop_ahead();
    Status read_answer();  ///< to the last command
    Status read_bodies(void (*on_message)(mailimap_msg_att*, void*),
                       bool (*on_octets)(int, mailimap_msg_att_body_section*, const char*, std::size_t, void*),
                       void* request);
    std::size_t read_body(char* data, std::size_t size);
    Status run(const std::string& text, Answer expected = Answer::plain);
    Status outcome(int code);
    Status fail(std::string reason);
    Status refused() const;
    Status learn_capabilities();
    Status login_refusal(Status status, const std::vector<Secret>& sent) const;
    /// `last_word` answers a challenge behind `response`, which no mechanism here has but to say why it failed.
    Status authenticate(std::string_view mechanism, const Secret& response, std::string_view last_word);
    Status logged_in(Status status, const std::vector<Secret>& sent);
    Status login_with_literals(const std::string& user, const Secret& password);
    Status send_and_await_continuation(const std::string& text);
    Status finish_line(std::string_view text);  ///< the last line of a command, and its response
    bool send_line(std::string_view text);
    Status read_response();  ///< of a line that was read
    bool send(std::string_view octets);
    bool fill();
    void trace(std::string_view direction, std::string_view text) const;
    void trim();

    static void on_fetch(mailimap_msg_att* attributes, void* context);
    static void on_fetch_ahead(mailimap_msg_att* attributes, void* context);
    static bool on_body_ahead(int type, mailimap_msg_att_body_section* section, const char* octets, std::size_t count,
                              void* context);
    static bool on_body(int type, mailimap_msg_att_body_section* section, const char* octets, std::size_t count,
                        void* context);

    Transport& transport_;
    ResponseGuard guard_;
    std::vector<std::uint32_t> ahead_;  // asked for, and the answer not read yet
    std::uint64_t most_ahead_ = 0;      // octets
    bool identifies_ = false;           // the answer to ID is still to come
    bool has_selected_ = false;
    bool resyncs_ = false;        // QRESYNC is enabled
    bool flows_ = false;          // the last read filled all there was for it
    std::string read_;            // from the server
    std::string_view unguarded_;  // of read_: what the guard has not looked at
    std::string passed_;          // by the guard, and not yet read by libetpan
    mailimap* imap_ = nullptr;
    bool broken_ = false;
};

}  // namespace popgate::imap
