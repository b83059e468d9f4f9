#include "backends/http/exchange.hpp"

#include "backends/ascii.hpp"
#include "backends/http/inflate.hpp"
#include "gateway/net/stream.hpp"

#include <boost/asio/error.hpp>

#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace popgate::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t longest_head = 64 * 1024;
constexpr std::size_t longest_framing = 64 * 1024;  // octets between the data of two chunks
constexpr int most_interim_answers = 100;
constexpr std::string_view html = "text/html";
constexpr std::size_t longest_error_body = 64 * 1024;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        auto each = list.substr(0, list.find(','));
        list.remove_prefix(std::min(each.size() + 1, list.size()));
        while (each.starts_with(' ')) each.remove_prefix(1);
        while (each.ends_with(' ')) each.remove_suffix(1);
        if (equal_but_for_case(each, token)) return true;
    }
    return false;
}

/// Watches the framing of a chunked body that passes by (RFC 9112 §7.1). The library takes whatever follows a chunk for
/// the end of the body where it is not the end of the chunk, and sizes with something behind them.
class ChunkFraming {
public:
    /// False where this cannot be what it should be, or goes on for too long.
    bool see(std::string_view octets) {
        while (!octets.empty()) {
            if (next_ == Next::data) {
                const auto count = std::min<std::uint64_t>(left_, octets.size());
                octets.remove_prefix(count);
                left_ -= count;
                if (left_ == 0) next_ = Next::end_of_data;
                framing_ = 0;
                continue;
            }
            line_ += octets.front();
            octets.remove_prefix(1);
            if (++framing_ > longest_framing) return false;
            if (line_.back() == '\n' && !take_line()) return false;
        }
        return true;
    }

    bool is_whole() const { return next_ == Next::nothing; }

private:
    enum class Next { size, data, end_of_data, trailer, nothing };

    bool take_line() {
        auto line = std::exchange(line_, {});
        if (!line.ends_with("\r\n")) return false;
        line.resize(line.size() - 2);
        switch (next_) {
            case Next::size: return take_size(line);
            case Next::end_of_data: next_ = Next::size; return line.empty();
            case Next::trailer:
                if (line.empty()) next_ = Next::nothing;
                return true;
            case Next::data:
            case Next::nothing: break;
        }
        return false;
    }

    bool take_size(std::string_view line) {
        auto size = line.substr(0, line.find(';'));
        while (size.ends_with(' ') || size.ends_with('\t')) size.remove_suffix(1);
        const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), left_, 16);
        next_ = left_ > 0 ? Next::data : Next::trailer;
        return !size.empty() && error == std::errc() && end == size.data() + size.size();
    }

    Next next_ = Next::size;
    std::uint64_t left_ = 0;   // of the chunk's data
    std::size_t framing_ = 0;  // octets since data
    std::string line_;
};

/// httplib's way to our stream. It sees to it that the library gets no more than it can bear: it matches the status
/// line with a regular expression that recurses for each character, and takes heads and chunk lines of any length.
class GuardedStream final : public httplib::Stream {
public:
    GuardedStream(Fiber& fiber, popgate::Stream& stream, std::chrono::milliseconds timeout)
        : fiber_(fiber), stream_(stream), timeout_(timeout) {}

    bool is_readable() const override { return true; }
    bool is_writable() const override { return true; }
    void get_remote_ip_and_port(std::string&, int& port) const override { port = 0; }
    void get_local_ip_and_port(std::string&, int& port) const override { port = 0; }
    socket_t socket() const override { return INVALID_SOCKET; }

    ssize_t write(const char* data, size_t size) override {
        if (failure_.empty())
            if (const auto error = stream_.write({data, size}, timeout_)) fail(error.message());
        return failure_.empty() ? static_cast<ssize_t>(size) : -1;
    }

    ssize_t read(char* data, size_t size) override {
        if (!failure_.empty()) return -1;
        if (!has_head_) {
            if (!read_head()) return -1;
        } else if (begin_ == input_.size()) {
            input_.resize(read_size);
            begin_ = 0;
            boost::system::error_code error;
            input_.resize(stream_.read_some(input_.data(), input_.size(), timeout_, error));
            if (error == asio::error::eof) return 0;
            if (error) return fail(error.message());
        }
        const auto count = std::min(size, input_.size() - begin_);
        std::memcpy(data, input_.data() + begin_, count);
        begin_ += count;
        if (chunks_ && !chunks_->see({data, count})) return fail("chunks that are none");
        return static_cast<ssize_t>(count);
    }

    /// What is read from now on is a chunked body.
    void expect_chunks() { chunks_.emplace(); }
    /// True where the last chunk has not come.
    bool lacks_chunks() const { return chunks_ && !chunks_->is_whole(); }

    bool answered() const { return has_head_; }
    bool has_rest() const { return begin_ != input_.size(); }
    const std::string& failure() const { return failure_; }

private:
    static constexpr std::size_t read_size = 16 * 1024;

    ssize_t fail(std::string why) {
        failure_ = std::move(why);
        return -1;
    }

    // All of it, within one timeout, with a status line of known form; interim answers (1xx) are left out.
    bool read_head() {
        const Fiber::LimitScope limit(fiber_, Clock::now() + timeout_);
        std::size_t end = 0;
        for (int interim = 0;;) {
            end = input_.find("\r\n\r\n");
            if (end == std::string::npos) {
                if (input_.size() > longest_head) return fail("a head that is too long"), false;
                const auto size = input_.size();
                input_.resize(size + read_size);
                boost::system::error_code error;
                const auto count = stream_.read_some(input_.data() + size, read_size, timeout_, error);
                input_.resize(size + count);
                if (error == asio::error::eof && size == 0) return fail("closed without an answer"), false;
                if (error) return fail(error.message()), false;
                continue;
            }
            if (end > longest_head) return fail("a head that is too long"), false;
            const auto status_at = std::string_view("HTTP/1.1 ").size();
            const auto line = std::string_view(input_).substr(0, input_.find("\r\n"));
            if (!line.starts_with("HTTP/1.") || line.size() < status_at + 3 ||
                !std::ranges::all_of(line.substr(status_at, 3), is_digit) || line[status_at] == '0' ||
                line[status_at - 1] != ' ' || (line[status_at - 2] != '0' && line[status_at - 2] != '1'))
                return fail("an answer that is not HTTP/1"), false;
            if (line[status_at] == '1') {
                if (++interim > most_interim_answers) return fail("interim answers without end"), false;
                input_.erase(0, end + 4);
                continue;
            }
            input_.replace(status_at + 3, line.size() - status_at - 3, " -");
            has_head_ = true;
            return true;
        }
    }

    Fiber& fiber_;
    popgate::Stream& stream_;
    std::chrono::milliseconds timeout_;
    std::string input_;
    std::size_t begin_ = 0;
    bool has_head_ = false;
    std::optional<ChunkFraming> chunks_;
    std::string failure_;
};

class Requester final : private httplib::ClientImpl {
public:
    explicit Requester(const Origin& origin) : ClientImpl(origin.host, std::stoi(origin.port)) {
        set_keep_alive(true);
        set_url_encode(false);
        set_decompress(false);
        set_follow_location(false);
    }
    bool run(httplib::Stream& stream, httplib::Request& request, httplib::Response& response) {
        auto error = httplib::Error::Success;
        return process_request(stream, request, response, false, error);
    }
};

/// Where a body goes, piece by piece, inflated.
class Body {
public:
    Body(Exchanged& result, const Upstream& upstream, const Request& request, BodySink* sink)
        : result_(result), upstream_(upstream), request_(request), sink_(sink) {}

    /// The head has come. False: no such body is wanted.
    bool begin(const httplib::Response& response) {
        auto& answer = result_.response;
        answer.status = response.status;
        for (const auto& [name, value] : response.headers) answer.headers.push_back({name, value});
        if (sink_ && answer.ok() && answer.status != 200) return refuse("a part, or nothing, instead of the whole");
        streams_ = sink_ && answer.ok();
        const auto lengths = response.headers.count("Content-Length");
        const auto coding = answer.header("Transfer-Encoding");
        is_chunked_ = equal_but_for_case(coding, "chunked");
        const auto codings = response.headers.count("Transfer-Encoding");
        if (lengths > 1 || codings > 1 || (!coding.empty() && (!is_chunked_ || lengths > 0)))
            return refuse("an answer whose end is told in two ways");
        const auto length = answer.header("Content-Length");
        if (lengths == 1 && (length.empty() || length.size() > 18 || !std::ranges::all_of(length, is_digit)))
            return refuse("an answer with a bad Content-Length");
        tells_end_ = is_chunked_ || lengths == 1 || answer.status == 204 || request_.method == "HEAD";
        // Of such a body nobody knows whether it comes, and when.
        has_odd_body_ = answer.status == 204 && (is_chunked_ || (lengths == 1 && length != "0"));
        // Nobody could tell such a message from one that was cut.
        if (streams_ && !tells_end_) return refuse("a body that does not say where it ends");
        // A page of a proxy or of a server in trouble. No API gives one where octets are asked for.
        if (streams_ && equal_but_for_case(answer.header("Content-Type").substr(0, html.size()), html))
            return refuse("a page instead of what was asked for");
        if (streams_ && request_.wants_message && answer.is_json()) return refuse("JSON instead of a message");
        const auto encoding = answer.header("Content-Encoding");
        if (response.headers.count("Content-Encoding") > 1) return refuse("a body that is encoded twice");
        if (equal_but_for_case(encoding, "gzip") || equal_but_for_case(encoding, "deflate"))
            inflater_.emplace();
        else if (!encoding.empty() && !equal_but_for_case(encoding, "identity"))
            return refuse("a body in an encoding that was not asked for");
        return true;
    }

    bool take(std::string_view octets) {
        came_ = came_ || !octets.empty();
        if (!inflater_) return hand_on(octets);
        switch (inflater_->feed(octets, [this](std::string_view piece) { return hand_on(piece); })) {
            case Inflater::Outcome::good: return true;
            case Inflater::Outcome::stopped: return false;
            case Inflater::Outcome::damaged: break;
        }
        return refuse("a body that cannot be inflated");
    }

    /// The library has seen its end.
    void end() {
        if (inflater_ && (came_ || streams_) && !inflater_->is_whole()) refuse("a compressed body that was cut");
        if (streams_ && request_.wants_message && !result_.began) refuse("nothing instead of a message");
    }

    bool is_chunked() const { return is_chunked_; }
    bool tells_end() const { return tells_end_; }
    bool has_odd_body() const { return has_odd_body_; }

private:
    bool hand_on(std::string_view piece) {
        if (streams_) {
            result_.began = result_.began || !piece.empty();
            if (sink_->write(piece)) return true;
            result_.error = Error{Errc::sink_closed, "no more is wanted", {}};
            return false;
        }
        auto& body = result_.response.body;
        const bool is_cut_short = sink_ || !result_.response.ok();
        const auto limit = is_cut_short ? longest_error_body : upstream_.longest_answer;
        if (body.size() + piece.size() <= limit) {
            body += piece;
            return true;
        }
        if (!is_cut_short) return refuse("an answer that is too long");
        body += piece.substr(0, limit - body.size());
        return false;
    }

    bool refuse(std::string why) {
        result_.error = Error{Errc::temporary, "the mail server's answer cannot be understood", std::move(why)};
        return false;
    }

    Exchanged& result_;
    const Upstream& upstream_;
    const Request& request_;
    BodySink* sink_;
    bool streams_ = false;
    bool is_chunked_ = false;
    bool tells_end_ = false;
    bool has_odd_body_ = false;
    bool came_ = false;
    std::optional<Inflater> inflater_;
};

bool fits_a_header(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace

Exchanged exchange(Fiber& fiber, popgate::Stream& stream, const Upstream& upstream, const Request& request,
                   const Url& url, const std::vector<Header>& headers, bool through_proxy, BodySink* sink) {
    Exchanged result;
    result.response.url = url;
    httplib::Request out;
    out.method = request.method;
    out.path = through_proxy ? url.to_string() : url.target;
    out.body = request.body;
    for (const auto* list : {&request.headers, &headers})
        for (const auto& [name, value] : *list) {
            if (!fits_a_header(name) || !fits_a_header(value)) {
                result.error = Error{Errc::permanent, "the request cannot be made", "a header with control characters"};
                return result;
            }
            out.headers.emplace(name, value);
        }
    if (!request.content_type.empty()) out.headers.emplace("Content-Type", request.content_type);
    out.headers.emplace("User-Agent", upstream.user_agent);
    out.headers.emplace("Accept-Encoding", "gzip");
    const bool is_standard_port = url.origin.port == (url.origin.tls ? "443" : "80");
    const bool is_ipv6 = url.origin.host.find(':') != std::string::npos;
    const auto host = is_ipv6 ? "[" + url.origin.host + "]" : url.origin.host;
    out.headers.emplace("Host", is_standard_port ? host : host + ":" + url.origin.port);

    GuardedStream guarded(fiber, stream, upstream.command_timeout);
    Body body(result, upstream, request, sink);
    out.response_handler = [&](const httplib::Response& response) {
        const bool is_wanted = body.begin(response);
        if (body.is_chunked()) guarded.expect_chunks();
        return is_wanted;
    };
    out.content_receiver = [&](const char* data, size_t size, std::uint64_t, std::uint64_t) {
        return body.take({data, size});
    };
    httplib::Response in;
    const bool done = Requester(url.origin).run(guarded, out, in) && !guarded.lacks_chunks();
    for (auto& [name, value] : out.headers) Secret::wipe(value);
    result.answered = guarded.answered();
    // For answers that have no body the library does not call the handler.
    if (done && result.response.status == 0) body.begin(in);
    if (done && !result.error) body.end();
    const bool error_was_cut = !done && !result.error && result.response.status != 0 && !result.response.ok() &&
                               result.response.body.size() == longest_error_body;
    if (!done && !result.error && !error_was_cut) {
        auto why = guarded.failure().empty() ? "the connection was lost in the middle of an answer" : guarded.failure();
        result.error = Error{Errc::temporary, "the mail server does not answer as it should", std::move(why)};
    }
    result.can_be_kept = done && !result.error && body.tells_end() && !body.has_odd_body() && !guarded.has_rest() &&
                         in.version == "HTTP/1.1" && !has_token(result.response.header("Connection"), "close");
    return result;
}

Status open_tunnel(Fiber& fiber, popgate::Stream& stream, const Upstream& upstream, const Origin& origin) {
    const auto host = origin.host.find(':') != std::string::npos ? "[" + origin.host + "]" : origin.host;
    httplib::Request out;
    out.method = "CONNECT";
    out.path = host + ":" + origin.port;
    out.headers.emplace("Host", out.path);
    out.headers.emplace("User-Agent", upstream.user_agent);
    const auto& authorization = upstream.proxy->authorization;
    if (!authorization.empty()) out.headers.emplace("Proxy-Authorization", authorization);
    GuardedStream guarded(fiber, stream, upstream.connect_timeout);
    httplib::Response in;
    if (!Requester(origin).run(guarded, out, in))
        return Error{Errc::temporary, "the proxy does not answer as it should", guarded.failure()};
    if (in.status < 200 || in.status > 299 || guarded.has_rest())
        return Error{Errc::temporary, "the proxy does not connect to the mail server",
                     origin.to_string() + ": status " + std::to_string(in.status)};
    return {};
}

}  // namespace popgate::http
