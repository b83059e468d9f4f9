#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

/// The label values of all metrics. Each label is an enumeration, so that no user, host or message can become one.
namespace popgate::metrics {

/// The label's name, and its values in the order of the enumeration. Specialized for every enumeration here.
template <class E>
struct Label;

/// How many values the label has.
template <class E>
inline constexpr std::size_t size_of = Label<E>::values.size();

template <class E>
constexpr std::string_view text_of(E value) {
    return Label<E>::values[static_cast<std::size_t>(value)];
}

/// The value that is written so, in any case, spaces and "-" counting as "_"; `otherwise` where there is none.
template <class E>
constexpr E value_of(std::string_view text, E otherwise) {
    const auto plain = [](char c) {
        if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
        return c == ' ' || c == '-' ? '_' : c;
    };
    const auto same = [&](char written, char given) { return plain(written) == plain(given); };
    for (std::size_t i = 0; i < size_of<E>; ++i)
        if (std::ranges::equal(Label<E>::values[i], text, same)) return static_cast<E>(i);
    return otherwise;
}

/// Of a session (RFC 1939 §3).
enum class SessionState { authorization, transaction, update };
template <>
struct Label<SessionState> {
    static constexpr std::string_view name = "state";
    static constexpr std::array<std::string_view, 3> values{"authorization", "transaction", "update"};
};

/// Why a session has ended: the log's `reason`.
enum class EndReason {
    quit,
    disconnect,
    idle_timeout,
    login_timeout,
    write_timeout,
    refused,
    input_after_stls,
    tls,
    broken_off,
    kicked,
    shutdown,
    internal_error,
    other,
};
template <>
struct Label<EndReason> {
    static constexpr std::string_view name = "reason";
    static constexpr std::array<std::string_view, 13> values{
        "quit", "disconnect", "idle_timeout", "login_timeout", "write_timeout",  "refused", "input_after_stls",
        "tls",  "broken_off", "kicked",       "shutdown",      "internal_error", "other"};
};

/// Why a connection was not served.
enum class Refusal { max_sessions, max_sessions_per_address, proxy_header, out_of_descriptors };
template <>
struct Label<Refusal> {
    static constexpr std::string_view name = "cause";
    static constexpr std::array<std::string_view, 4> values{"max_sessions", "max_sessions_per_address", "proxy_header",
                                                            "out_of_descriptors"};
};

enum class Handshake { done, failed };
template <>
struct Label<Handshake> {
    static constexpr std::string_view name = "outcome";
    static constexpr std::array<std::string_view, 2> values{"done", "failed"};
};

/// As OpenSSL writes it. `none` was agreed on by a handshake that failed.
enum class TlsProtocol { none, tls1_0, tls1_1, tls1_2, tls1_3 };
template <>
struct Label<TlsProtocol> {
    static constexpr std::string_view name = "version";
    static constexpr std::array<std::string_view, 5> values{"none", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
};

/// POP3's commands; `other` is whatever is none. value_of() takes them in any case.
enum class Command {
    user,
    pass,
    apop,
    rpop,
    auth,
    stls,
    capa,
    stat,
    list,
    uidl,
    retr,
    top,
    dele,
    rset,
    noop,
    quit,
    utf8,
    lang,
    other,
};
template <>
struct Label<Command> {
    static constexpr std::string_view name = "command";
    static constexpr std::array<std::string_view, 19> values{"user", "pass", "apop", "rpop", "auth", "stls", "capa",
                                                             "stat", "list", "uidl", "retr", "top",  "dele", "rset",
                                                             "noop", "quit", "utf8", "lang", "other"};
};

/// What came of a login.
enum class Login { admitted, refused, sign_in, in_use, login_delay, temporary, permanent };
template <>
struct Label<Login> {
    static constexpr std::string_view name = "outcome";
    static constexpr std::array<std::string_view, 7> values{"admitted",    "refused",   "sign_in",  "in_use",
                                                            "login_delay", "temporary", "permanent"};
};

/// A kind of backend: the scheme of its URL, TLS or not.
enum class BackendKind { imap, jmap, gmail, graph, rest, maildir, mbox, other };
template <>
struct Label<BackendKind> {
    static constexpr std::string_view name = "backend";
    static constexpr std::array<std::string_view, 8> values{"imap", "jmap",    "gmail", "graph",
                                                            "rest", "maildir", "mbox",  "other"};
};

/// A call of backends/mailbox.hpp. `list` is unread() too, `remove` is purge() and move() too.
enum class Operation { open, list, fetch, top, remove, mark_seen, keep_alive };
template <>
struct Label<Operation> {
    static constexpr std::string_view name = "operation";
    static constexpr std::array<std::string_view, 7> values{"open",   "list",      "fetch",     "top",
                                                            "remove", "mark_seen", "keep_alive"};
};

/// What became of a message that was got before a client asked for it.
enum class ReadAhead { used, dropped };
template <>
struct Label<ReadAhead> {
    static constexpr std::string_view name = "outcome";
    static constexpr std::array<std::string_view, 2> values{"used", "dropped"};
};

/// What an upstream's failure was: an Errc.
enum class Failure { auth, sign_in, temporary, permanent, in_use, gone };
template <>
struct Label<Failure> {
    static constexpr std::string_view name = "error";
    static constexpr std::array<std::string_view, 6> values{"auth",      "sign_in", "temporary",
                                                            "permanent", "in_use",  "gone"};
};

/// What was found at a look at a mailbox.
enum class IndexHit { first, unchanged, changed };
template <>
struct Label<IndexHit> {
    static constexpr std::string_view name = "found";
    static constexpr std::array<std::string_view, 3> values{"first", "unchanged", "changed"};
};

/// What came of a refresh of tokens.
enum class Refresh { done, put_off, refused, misconfigured };
template <>
struct Label<Refresh> {
    static constexpr std::string_view name = "outcome";
    static constexpr std::array<std::string_view, 4> values{"done", "put_off", "refused", "misconfigured"};
};

enum class StoreUse { read, write };
template <>
struct Label<StoreUse> {
    static constexpr std::string_view name = "use";
    static constexpr std::array<std::string_view, 2> values{"read", "write"};
};

enum class Reload { done, refused };
template <>
struct Label<Reload> {
    static constexpr std::string_view name = "outcome";
    static constexpr std::array<std::string_view, 2> values{"done", "refused"};
};

/// Of the text that Stream::tls_description() gives: "TLSv1.3 TLS_AES_256_GCM_SHA384".
TlsProtocol tls_protocol_of(std::string_view description);

/// Of a backend's URL, as BackendOptions::url.
BackendKind backend_kind_of(std::string_view url);

}  // namespace popgate::metrics
