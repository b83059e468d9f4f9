#include "gateway/web/web_server.hpp"

#include "backends/ascii.hpp"
#include "gateway/config/endpoint.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/listener.hpp"
#include "gateway/net/stream.hpp"
#include "gateway/net/tls.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/web/unix_socket.hpp"

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <unordered_map>

namespace popgate::web {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t longest_head = 16 * 1024;
constexpr std::uint64_t longest_body = 64 * 1024;
constexpr auto idle_timeout = 30'000ms;
constexpr auto request_timeout = 20s;  // from its first octet to its last
constexpr auto handler_timeout = 90s;  // a provider and a mail server may both be asked
constexpr auto write_timeout = 20'000ms;
constexpr auto linger = 1000ms;
constexpr auto pause_when_exhausted = 200ms;
constexpr unsigned requests_a_connection = 200;

using Parser = beast_http::request_parser<beast_http::string_body>;

std::string_view reason_of(unsigned status) {
    const auto reason = beast_http::obsolete_reason(static_cast<beast_http::status>(status));
    return {reason.data(), reason.size()};
}

Response plain(unsigned status) {
    return {status, "text/plain; charset=utf-8", std::string(reason_of(status)) + "\n", {}};
}

unsigned status_of(const error_code& error) {
    if (error == beast_http::error::header_limit) return 431;
    if (error == beast_http::error::body_limit) return 413;
    return 400;
}

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), lower);
    return result;
}

/// Nothing for a request whose form cannot be read.
std::optional<Request> read(const Parser::value_type& message, const std::string& peer, Reach reach,
                            bool behind_proxy) {
    Request request;
    request.reach = reach;
    request.method = std::string(message.method_string());
    std::string_view target(message.target().data(), message.target().size());
    const auto query = target.find('?');
    request.path = std::string(target.substr(0, query));
    if (query != std::string_view::npos) {
        auto fields = parse_form(target.substr(query + 1));
        if (!fields) return std::nullopt;
        request.query = std::move(*fields);
    }
    for (const auto& field : message) {
        const auto name = field.name_string();
        const auto value = field.value();
        request.headers.add(lower_case({name.data(), name.size()}), std::string(value.data(), value.size()));
    }
    request.body = message.body();
    request.cookies = parse_cookies(request.header("cookie"));
    const auto type = lower_case(request.header("content-type"));
    if (type.substr(0, type.find_first_of("; ")) == "application/x-www-form-urlencoded") {
        auto fields = parse_form(request.body);
        if (!fields) return std::nullopt;
        request.form = std::move(*fields);
    }
    request.address = peer;
    if (behind_proxy) {
        // Only the last one was written by the proxy; the others are what the client says.
        auto forwarded = request.header("x-forwarded-for");
        forwarded.erase(0, forwarded.find_last_of(", ") + 1);
        error_code no_address;
        const auto address = asio::ip::make_address(forwarded, no_address);
        if (!no_address) request.address = address.to_string();
    }
    return request;
}

std::string serialize(const Response& response, bool keep_alive, bool head) {
    std::string text = "HTTP/1.1 " + std::to_string(response.status) + ' ';
    text += reason_of(response.status);
    text += "\r\nContent-Length: " + std::to_string(response.body.size());
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
            throw std::logic_error("a header with a line break");
        ((text += "\r\n") += name) += ": ";
        text += value;
    };
    if (!response.body.empty()) add("Content-Type", response.content_type);
    for (const auto& [name, value] : response.headers) add(name, value);
    add("Connection", keep_alive ? "keep-alive" : "close");
    text += "\r\n\r\n";
    if (!head) text += response.body;
    return text;
}

}  // namespace

struct WebServer::Listener {
    explicit Listener(asio::io_context& context) : acceptor(context), pause(context) {}
    // A Unix socket's, too: asio knows it as one of TCP, and whatever is asked of that alone is refused by the system.
    tcp::acceptor acceptor;
    std::optional<UnixSocket> unix_socket;
    std::unique_ptr<Admission> admission;  // its own: who fills one listener shuts nobody out of another
    asio::steady_timer pause;
    std::shared_ptr<TlsServerContext> tls;
    bool behind_proxy = false;
    Reach reach = Reach::network;
    Handler handler;
    std::string address;
};

/// Of the context's thread alone.
struct WebServer::Live {
    explicit Live(asio::io_context& context) : patience(context) {}
    std::unordered_map<Fiber*, bool> fibers;  // true: a request is under way
    bool draining = false;
    asio::steady_timer patience;
};

class WebServer::Connection {
public:
    Connection(const Listener& listener, Live& live, Fiber& fiber, tcp::socket socket, std::string peer)
        : listener_(listener), live_(live), fiber_(fiber), stream_(fiber, std::move(socket)), peer_(std::move(peer)) {
        live_.fibers[&fiber_] = false;
    }
    ~Connection() {
        live_.fibers.erase(&fiber_);
        if (live_.draining && live_.fibers.empty()) live_.patience.cancel();
    }

    void run() {
        if (listener_.tls) {
            const Fiber::LimitScope limit(fiber_, Clock::now() + request_timeout);
            if (stream_.start_tls(*listener_.tls, idle_timeout).has_error()) return;
        }
        for (unsigned i = 1; i <= requests_a_connection && !live_.draining; ++i)
            if (!exchange(i == requests_a_connection)) break;
        stream_.close(linger);
    }

private:
    /// False when the connection ends.
    bool exchange(bool is_last) {
        if (input_.empty() && stream_.wait_for_input(idle_timeout)) return false;
        live_.fibers[&fiber_] = true;
        Parser parser;
        parser.eager(true);
        parser.header_limit(longest_head);
        parser.body_limit(longest_body);
        unsigned fault = 0;
        {
            const Fiber::LimitScope limit(fiber_, Clock::now() + request_timeout);
            if (!receive(parser, fault)) return false;
        }
        const auto& message = parser.get();
        const bool head = message.method() == beast_http::verb::head;
        const auto response = fault ? plain(fault) : answer(message);
        // What follows a request that could not be read is not known to be another one.
        const bool keep = !fault && !is_last && message.keep_alive() && !live_.draining;
        const Fiber::LimitScope limit(fiber_, Clock::now() + 3 * write_timeout);
        if (stream_.write(serialize(response, keep, head), write_timeout)) return false;
        live_.fibers[&fiber_] = false;
        return keep;
    }

    /// False when the client is gone. `fault`: the status that says what is wrong with the request.
    bool receive(Parser& parser, unsigned& fault) {
        bool continued = false;
        while (!parser.is_done()) {
            error_code error;
            input_.erase(0, parser.put(asio::buffer(input_), error));
            if (error && error != beast_http::error::need_more) return fault = status_of(error), true;
            if (parser.is_done()) break;
            if (parser.is_header_done() && !continued && equal_but_for_case(expectation(parser), "100-continue")) {
                continued = true;
                if (stream_.write("HTTP/1.1 100 Continue\r\n\r\n", write_timeout)) return false;
            }
            std::array<char, 4096> piece;
            error_code gone;
            const auto count = stream_.read_some(piece.data(), piece.size(), idle_timeout, gone);
            if (gone) return false;
            input_.append(piece.data(), count);
        }
        return true;
    }

    static std::string_view expectation(const Parser& parser) {
        const auto value = parser.get()[beast_http::field::expect];
        return {value.data(), value.size()};
    }

    Response answer(const Parser::value_type& message) {
        const auto request = read(message, peer_, listener_.reach, listener_.behind_proxy);
        if (!request) return plain(400);
        std::string failure;
        std::optional<Response> response;
        const auto begun = Clock::now();
        try {
            const Fiber::LimitScope limit(fiber_, begun + handler_timeout);
            response = listener_.handler(fiber_, *request);
        } catch (const std::exception& error) {
            failure = error.what();
        }
        if (!response) {
            log(LogLevel::error, "web_failed", {{"path", request->path}, {"error", failure}});
            return plain(500);
        }
        // Not the query: it holds codes.
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count();
        log(LogLevel::debug, "web",
            {{"from", request->address},
             {"method", request->method},
             {"path", request->path},
             {"status", std::uint64_t{response->status}},
             {"ms", std::int64_t{took}}});
        return std::move(*response);
    }

    const Listener& listener_;
    Live& live_;
    Fiber& fiber_;
    Stream stream_;
    std::string peer_;
    std::string input_;  // read, and not yet part of a request
};

WebServer::WebServer(std::uint32_t total, std::uint32_t an_address)
    : caps_{total, an_address}, live_(std::make_unique<Live>(context_)) {}

WebServer::~WebServer() {
    if (thread_.joinable()) stop(0ms);
}

Status WebServer::listen(const std::string& address, std::shared_ptr<TlsServerContext> tls, bool behind_proxy,
                         Handler handler) {
    auto listener = std::make_unique<Listener>(context_);
    auto& acceptor = listener->acceptor;
    error_code error;
    if (const auto path = parse_unix_address(address)) {
        auto socket = UnixSocket::listen(*path);
        if (socket.has_error()) return socket.error();
        acceptor.assign(tcp::v4(), socket->release(), error);
        listener->unix_socket.emplace(std::move(*socket));
        listener->reach = Reach::unix_socket;
    } else {
        const auto endpoint = parse_endpoint(address);
        if (!endpoint) return Error{Errc::permanent, "cannot listen on " + address + ": no such address", {}};
        acceptor.open(endpoint->protocol(), error);
        if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
        if (!error && endpoint->address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
        if (!error) acceptor.bind(*endpoint, error);
        if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
        if (endpoint->address().is_loopback()) listener->reach = Reach::loopback;
    }
    if (error) return Error{Errc::permanent, "cannot listen on " + address + ": " + error.message(), {}};
    listener->admission = std::make_unique<Admission>(caps_);
    listener->tls = std::move(tls);
    listener->behind_proxy = behind_proxy;
    listener->handler = std::move(handler);
    listener->address = address;
    listeners_.push_back(std::move(listener));
    return {};
}

tcp::endpoint WebServer::local_endpoint(std::size_t i) const { return listeners_.at(i)->acceptor.local_endpoint(); }

std::string WebServer::local_address(std::size_t i) const {
    return listeners_.at(i)->unix_socket ? listeners_[i]->address : to_string(local_endpoint(i));
}

void WebServer::start() {
    for (auto& listener : listeners_) accept(*listener);
    thread_ = std::thread([this] {
        for (;;) {
            try {
                context_.run();
                return;
            } catch (const std::exception& error) {
                log(LogLevel::error, "web_failed", {{"error", error.what()}});
            }
        }
    });
}

void WebServer::stop(std::chrono::milliseconds patience) {
    if (!thread_.joinable()) return;
    asio::post(context_, [this, patience] {
        for (auto& listener : listeners_) {
            error_code ignored;
            listener->acceptor.close(ignored);
            listener->unix_socket.reset();
            listener->pause.cancel();
        }
        live_->draining = true;
        for (const auto& [fiber, is_busy] : live_->fibers)
            if (!is_busy) fiber->interrupt();
        if (live_->fibers.empty()) return;
        live_->patience.expires_after(patience);
        live_->patience.async_wait([this](const error_code& cancelled) {
            if (cancelled) return;
            for (const auto& [fiber, is_busy] : live_->fibers) fiber->interrupt();
        });
    });
    thread_.join();
}

void WebServer::accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](const error_code& error, tcp::socket socket) {
        if (!listener.acceptor.is_open()) return;
        if (!error) {
            try {
                serve(listener, std::move(socket));
            } catch (const std::exception& failure) {
                log(LogLevel::error, "web_failed", {{"error", failure.what()}});
            }
            return accept(listener);
        }
        if (error == asio::error::connection_aborted) return accept(listener);
        // Out of descriptors or memory: trying again at once would only spin.
        log(LogLevel::error, "accept_failed", {{"listener", listener.address}, {"error", error.message()}});
        listener.pause.expires_after(pause_when_exhausted);
        listener.pause.async_wait([this, &listener](const error_code& cancelled) {
            if (!cancelled && listener.acceptor.is_open()) accept(listener);
        });
    });
}

void WebServer::serve(Listener& listener, tcp::socket socket) {
    // Whoever comes over a Unix socket counts as one address, which is nobody's.
    asio::ip::address address = asio::ip::address_v6::any();
    if (listener.reach != Reach::unix_socket) {
        error_code gone;
        address = socket.remote_endpoint(gone).address();
        if (gone) return;
    }
    auto admitted = listener.admission->admit(address);
    if (!admitted) return;
    auto permit = std::make_shared<Admission::Permit>(std::move(*admitted));
    auto shared_socket = std::make_shared<tcp::socket>(std::move(socket));
    auto peer = listener.reach == Reach::unix_socket ? std::string() : address.to_string();
    Fiber::start(
        context_,
        [this, &listener, permit, shared_socket, peer](Fiber& fiber) {
            Connection(listener, *live_, fiber, std::move(*shared_socket), peer).run();
        },
        [](const std::exception& error) {
            log(LogLevel::error, "web_failed", {{"error", error.what()}});
        });
}

}  // namespace popgate::web
