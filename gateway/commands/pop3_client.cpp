#include "gateway/commands/pop3_client.hpp"

#include "gateway/accounts/secret.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/pop3/line_reader.hpp"

#include <boost/asio/error.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace popgate::commands {

namespace {

// TOPs under way at once: a page of commands, which no socket buffer refuses while the answers wait to be read.
constexpr std::size_t pipeline_window = 32;

// However a server drips its octets, a reply has an end.
constexpr std::chrono::minutes reply_limit{10};
constexpr std::chrono::hours message_limit{1};

// Octets. RFC 2449 §4 allows 512; of an id that is too long for UIDL the beginning will do to report it.
constexpr std::size_t longest_scan_line = 4096;
constexpr std::size_t longest_kept_id = 128;
constexpr std::chrono::seconds goodbye{2};

Error failure(std::string text, std::string detail = {}) {
    return Error{Errc::temporary, std::move(text), std::move(detail)};
}

// The codes of RFC 2449 and RFC 3206, and no other words of the server's.
std::string in_brackets(std::string_view code) {
    static constexpr std::array<std::string_view, 5> known = {"AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"};
    if (std::ranges::find(known, code) == known.end()) return {};
    return " [" + std::string(code) + "]";
}

/// Cuts what it is given into lines, and gives each to a function that says whether there may be more.
class LineSink final : public BodySink {
public:
    explicit LineSink(std::function<bool(std::string_view, bool)> take) : take_(std::move(take)) {}

    bool write(std::string_view octets) noexcept override {
        reader_.feed(octets);
        std::string_view line;
        for (;;) {
            const auto event = reader_.next(line);
            if (event == pop3::LineReader::Event::none) return true;
            const bool too_long = event == pop3::LineReader::Event::too_long;
            if (!take_(too_long ? std::string_view() : line, too_long)) return false;
        }
    }

private:
    std::function<bool(std::string_view, bool)> take_;
    pop3::LineReader reader_{longest_scan_line};
};

bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size() && port != 0;
}

bool has_line_break(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos; }

}  // namespace

Result<Pop3Server> parse_pop3_server(const std::string& text, StartTls starttls, const std::string& ca_file,
                                     bool verify_certificate) {
    const auto bad = [&](const char* why) { return Error{Errc::permanent, "\"" + text + "\" " + why, {}}; };
    const auto url = boost::urls::parse_uri(text);
    if (!url || (url->scheme() != "pop3s" && url->scheme() != "pop3"))
        return bad("is no URL such as pop3s://pop.example.com");
    if (url->encoded_host().empty()) return bad("names no host");
    if (url->has_userinfo() || url->has_query() || url->has_fragment() || (url->path() != "" && url->path() != "/"))
        return bad("may hold a host and a port only");
    if (url->has_port() && !is_port(url->port())) return bad("has no valid port");
    Pop3Server server;
    server.host = url->host_address();
    server.implicit_tls = url->scheme() == "pop3s";
    server.port = url->has_port() ? std::to_string(url->port_number()) : server.implicit_tls ? "995" : "110";
    server.start_tls = !server.implicit_tls && starttls == StartTls::require;
    if (server.implicit_tls || server.start_tls) {
        auto tls = TlsClientContext::make(ca_file, verify_certificate);
        if (tls.has_error()) return tls.error();
        server.tls = std::move(*tls);
    }
    return server;
}

Pop3Client::Pop3Client(Fiber& fiber, const Pop3Server& server, std::unique_ptr<Stream> stream)
    : fiber_(fiber), server_(server), stream_(std::move(stream)) {}

Pop3Client::~Pop3Client() = default;

Result<std::unique_ptr<Pop3Client>> Pop3Client::log_in(Fiber& fiber, const Pop3Server& server, const std::string& user,
                                                       const Secret& password) {
    if (user.empty() || has_line_break(user) || has_line_break(password.reveal()))
        return Error{Errc::auth, "this name or password cannot be sent", {}};
    auto stream = Stream::connect(fiber, server.host, server.port, server.connect_timeout);
    if (stream.has_error()) return stream.error();
    std::unique_ptr<Pop3Client> client(new Pop3Client(fiber, server, std::move(*stream)));
    if (auto status = client->greet(); status.has_error()) return status.error();
    if (auto status = client->give_credentials(user, password); status.has_error()) return status.error();
    if (auto status = client->read_capabilities(); status.has_error()) return status.error();
    return client;
}

Status Pop3Client::greet() {
    if (server_.implicit_tls)
        if (auto status = stream_->start_tls(*server_.tls, server_.host, server_.connect_timeout); status.has_error())
            return status;
    const auto greeting = reply();
    if (greeting.has_error()) return greeting.error();
    if (!*greeting) return failure("the server turns us away" + in_brackets(code_));
    if (!server_.start_tls) return {};
    const auto answer = ask("STLS\r\n");
    if (answer.has_error()) return answer.error();
    if (!*answer) return failure("the server offers no STLS; --starttls none would send the password in clear");
    // What came behind the reply was said in clear, by whoever could.
    if (!reader_.empty()) return failure("something followed STLS in clear");
    return stream_->start_tls(*server_.tls, server_.host, server_.connect_timeout);
}

Status Pop3Client::give_credentials(const std::string& user, const Secret& password) {
    const auto named = ask("USER " + user + "\r\n");
    if (named.has_error()) return named.error();
    std::string line = "PASS " + password.reveal() + "\r\n";
    const auto accepted = *named ? ask(line) : Result<bool>(false);
    Secret::wipe(line);
    if (accepted.has_error()) return accepted.error();
    if (*accepted) return {};
    const bool is_refusal = code_.empty() || code_ == "AUTH";
    return Error{is_refusal ? Errc::auth : Errc::temporary, "the login is refused" + in_brackets(code_), {}};
}

Status Pop3Client::read_capabilities() {
    LineSink lines([this](std::string_view line, bool) {
        pipelining_ = pipelining_ || line == "PIPELINING";
        return true;
    });
    const auto answer = ask("CAPA\r\n", &lines);
    if (answer.has_error()) return answer.error();
    return {};
}

Result<std::vector<Pop3Message>> Pop3Client::list() {
    std::map<std::uint32_t, Pop3Message> messages;
    bool sound = true;
    LineSink ids([&](std::string_view line, bool too_long) {
        // The number of a line that is too long is lost, and its message with it: not to be passed over in silence.
        const auto scan = too_long ? std::nullopt : parse_scan_line(line);
        sound = scan && messages.size() < most_messages &&
                messages
                    .try_emplace(scan->number,
                                 Pop3Message{scan->number, std::string(scan->value.substr(0, longest_kept_id)), 0})
                    .second;
        return sound;
    });
    auto answer = ask("UIDL\r\n", &ids);
    if (answer.has_error()) return answer.error();
    if (!*answer) return Error{Errc::permanent, "the server has no UIDL: there are no ids to import", {}};
    if (!sound) return failure("the server's list of unique-ids makes no sense");

    LineSink sizes([&](std::string_view line, bool) {
        const auto scan = parse_scan_line(line);
        const auto message = scan ? messages.find(scan->number) : messages.end();
        if (message != messages.end())
            std::from_chars(scan->value.data(), scan->value.data() + scan->value.size(), message->second.octets);
        return true;
    });
    answer = ask("LIST\r\n", &sizes);
    if (answer.has_error()) return answer.error();
    std::vector<Pop3Message> list;
    list.reserve(messages.size());
    for (auto& [number, message] : messages) list.push_back(std::move(message));
    return list;
}

Status Pop3Client::read_headers(const std::vector<Pop3Message>& messages, With with,
                                const std::function<BodySink&(std::size_t)>& sink_for,
                                const std::function<void(std::size_t, bool)>& done) {
    if (with == With::retr) {
        for (std::size_t i = 0; i < messages.size(); ++i)
            if (auto status = retrieve(messages[i], i, sink_for, done); status.has_error()) return status;
        return {};
    }
    const std::size_t window = pipelining_ ? pipeline_window : 1;
    for (std::size_t begin = 0; begin < messages.size(); begin += window) {
        const std::size_t end = std::min(begin + window, messages.size());
        std::string commands;
        for (std::size_t i = begin; i < end; ++i) commands += "TOP " + std::to_string(messages[i].number) + " 0\r\n";
        if (auto status = send(commands); status.has_error()) return status;
        std::vector<std::size_t> refused;
        for (std::size_t i = begin; i < end; ++i) {
            const auto answer = reply(&sink_for(i));
            if (answer.has_error()) return answer.error();
            if (*answer)
                done(i, true);
            else
                refused.push_back(i);
        }
        for (const auto i : refused)
            if (auto status = retrieve(messages[i], i, sink_for, done); status.has_error()) return status;
    }
    return {};
}

Status Pop3Client::retrieve(const Pop3Message& message, std::size_t index,
                            const std::function<BodySink&(std::size_t)>& sink_for,
                            const std::function<void(std::size_t, bool)>& done) {
    const std::string number = std::to_string(message.number);
    const auto answer = ask("RETR " + number + "\r\n", &sink_for(index));
    if (answer.has_error())
        return Error{answer.error().code, "message " + number + ": " + answer.error().text, answer.error().detail};
    if (!reader_.empty())
        return Error{Errc::permanent, "message " + number + ": the server goes on behind the reply's end", {}};
    // A server in trouble is not a message in trouble: what it still refuses would count as missing.
    if (!*answer && code_ == "SYS/TEMP") return failure("the server has a fault [SYS/TEMP]");
    done(index, *answer);
    return {};
}

Status Pop3Client::quit() {
    const auto answer = ask("QUIT\r\n");
    if (answer.has_error()) return answer.error().code == Errc::permanent ? Status(answer.error()) : Status();
    char octet;
    Stream::ErrorCode error;
    const bool more = !reader_.empty() || stream_->read_some(&octet, 1, goodbye, error) > 0;
    stream_->close(goodbye);
    if (more) return Error{Errc::permanent, "the server said more than it was asked", {}};
    return {};
}

Status Pop3Client::send(std::string_view line) {
    const Fiber::LimitScope limit(fiber_, Clock::now() + reply_limit);
    if (const auto error = stream_->write(line, server_.command_timeout))
        return failure("the connection was lost: " + error.message());
    return {};
}

Result<bool> Pop3Client::ask(std::string_view line, BodySink* sink) {
    if (auto status = send(line); status.has_error()) return status.error();
    return reply(sink);
}

Result<bool> Pop3Client::reply(BodySink* sink) {
    const Fiber::LimitScope limit(fiber_, Clock::now() + (sink ? Clock::duration(message_limit) : reply_limit));
    bool wanted = true;
    for (;;) {
        std::string_view text;
        const auto event = next_event(sink != nullptr, text);
        if (event.has_error()) return event.error();
        if (*event == ReplyReader::Event::end) return reader_.ok();
        if (*event == ReplyReader::Event::status) code_ = reader_.ok() ? std::string_view() : response_code(text);
        if (*event == ReplyReader::Event::octets) wanted = wanted && sink->write(text);
    }
}

Result<ReplyReader::Event> Pop3Client::next_event(bool multiline, std::string_view& text) {
    for (;;) {
        const auto event = reader_.next(multiline, text);
        if (event == ReplyReader::Event::broken) return Error{Errc::permanent, "the server does not speak POP3", {}};
        if (event != ReplyReader::Event::need_more) return event;
        std::array<char, 16 * 1024> octets;
        Stream::ErrorCode error;
        const auto count = stream_->read_some(octets.data(), octets.size(), server_.command_timeout, error);
        if (error == boost::asio::error::eof) return failure("the server closed the connection");
        if (error) return failure("the connection was lost: " + error.message());
        reader_.feed({octets.data(), count});
    }
}

}  // namespace popgate::commands
