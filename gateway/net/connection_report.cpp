// What a connection tells of itself: to the status page, to whoever traces its account, and to the log.
#include "backends/ascii.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/observe/log.hpp"

#include <algorithm>
#include <utility>

namespace popgate {

namespace {

constexpr std::size_t traced_before_login = 20;  // lines

/// A command as others may read it: whatever could be a password goes, a mistyped one too.
std::string without_secrets(std::string_view line) {
    constexpr std::string_view open_ones[] = {"USER", "CAPA", "STLS", "QUIT", "STAT", "LIST", "UIDL", "RETR",
                                              "TOP",  "DELE", "RSET", "NOOP", "LANG", "UTF8", "RPOP"};
    const auto verb = line.substr(0, std::min(line.find(' '), line.size()));
    const auto is_verb = [&](std::string_view name) { return equal_but_for_case(name, verb); };
    if (std::ranges::any_of(open_ones, is_verb)) return std::string(line);
    if (is_verb("AUTH")) {
        const auto mechanism = line.find(' ', std::min(verb.size() + 1, line.size()));
        return std::string(line.substr(0, mechanism)) + (mechanism == line.npos ? "" : " ***");
    }
    return (is_verb("PASS") || is_verb("APOP") ? std::string(verb) : "(something else)") + " ***";
}

}  // namespace

OpenSession Connection::status() const {
    OpenSession open;
    open.id = id_;
    open.user = user_;
    open.from = peer_;
    open.listener = listener_.address;
    open.tls = tls_description();
    open.backend = route_ ? route_->config.backend.url : std::string();
    open.state = !session_.logged_in() ? "authorization" : is_committing_ ? "update" : "transaction";
    open.command = std::string(last_command_);
    const auto now = Clock::now();
    open.age = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
    open.idle = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_heard_);
    open.messages = session_.logged_in() ? session_.maildrop().count() : 0;
    open.retrieved = retrieved_;
    open.octets_sent = octets_sent_;
    return open;
}

std::string Connection::tls_description() const {
    return client_.tls ? client_.tls_description + " (proxy)" : stream_.tls_description();
}

void Connection::watch_for_traces() {
    // By the name that the session has once it is logged in.
    const auto name = services_.authenticator.canonical(user_);
    traced_as_ = name.has_value() ? *name : user_;
    is_traced_ = !traced_as_.empty() && services_.traces.wants(traced_as_, Clock::now());
    fiber_.set_trace(is_traced_ ? this : nullptr);
    for (auto& [side, text] : std::exchange(before_login_, {}))
        if (is_traced_) services_.traces.add(traced_as_, id_, side, std::move(text));
}

void Connection::hear(std::string_view side, std::string text) {
    if (is_traced_) return services_.traces.add(traced_as_, id_, side, std::move(text));
    // Whose session this will be is not known yet, and strangers may send much.
    text.resize(std::min(text.size(), Traces::longest_text));
    text.shrink_to_fit();
    if (before_login_.size() < traced_before_login) before_login_.emplace_back(side, std::move(text));
}

void Connection::trace_command(std::string_view line) {
    if (session_.logged_in() || is_traced_) watch_for_traces();
    if (is_traced_ || !session_.logged_in())
        hear("client", session_.in_exchange() ? "> (an answer to the challenge)" : "> " + without_secrets(line));
}

void Connection::trace_reply(std::string_view text) {
    if (is_traced_ || (!session_.logged_in() && services_.traces.any()))
        hear("client",
             "< " + std::string(text.starts_with("+ ") ? "+ (a challenge)" : text.substr(0, text.find('\r'))));
}

void Connection::write_log_line() const {
    const auto duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
    const auto left = session_.logged_in() ? session_.maildrop().count() - removed_ : 0;
    const auto tls = tls_description();
    // A proxy that asks every second whether somebody is there is no session.
    const bool is_news = !client_.is_proxy_itself || !user_.empty();
    log(is_news ? LogLevel::info : LogLevel::debug, "session",
        {{"user", user_},
         {"from", peer_},
         {"listener", listener_.address},
         {"tls", tls},
         {"backend", route_ ? std::string_view(route_->config.backend.url) : std::string_view()},
         {"retrieved", retrieved_},
         {"retrieved_octets", retrieved_octets_},
         {"top", tops_},
         {"deleted", removed_},
         {"expired", index_ ? index_->expired() : 0},
         {"left", left},
         {"unique_ids", unique_ids_hash_},
         {"sizes_corrected", index_ ? index_->sizes_corrected() : 0},
         {"quarantined", index_ ? index_->quarantined() : 0},
         {"duration_ms", static_cast<std::uint64_t>(duration.count())},
         {"reason", reason_},
         {"error", error_}});
}

}  // namespace popgate
