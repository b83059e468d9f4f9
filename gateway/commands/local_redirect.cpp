#include "gateway/commands/local_redirect.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <unistd.h>

#include <list>
#include <ostream>
#include <utility>

namespace popgate::commands {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr std::size_t longest_request = 32 * 1024;

int value_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_escape =
            text[i] == '%' && i + 2 < text.size() && value_of(text[i + 1]) >= 0 && value_of(text[i + 2]) >= 0;
        if (is_escape) {
            out += static_cast<char>(value_of(text[i + 1]) * 16 + value_of(text[i + 2]));
            i += 2;
        } else {
            out += text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

std::string page(bool is_spanish, bool is_good) {
    std::string_view text = is_spanish ? "Puede cerrar esta ventana y volver a la terminal."
                                       : "You can close this window and go back to the terminal.";
    if (!is_good)
        text = is_spanish ? "Esta dirección no es la de este inicio de sesión." : "This address is not this sign-in's.";
    const std::string body =
        "<!DOCTYPE html><html lang=\"" + std::string(is_spanish ? "es" : "en") +
        "\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>popgate</title>"
        "<body style=\"font: 1.25rem sans-serif; margin: 3rem\"><p>" +
        std::string(text) + "</p></body></html>";
    return "HTTP/1.1 " + std::string(is_good ? "200 OK" : "404 Not Found") +
           "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
           "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n" +
           body;
}

}  // namespace

std::map<std::string, std::string> redirect_parameters(std::string_view address) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
    while (!address.empty() && blank(address.back())) address.remove_suffix(1);
    while (!address.empty() && blank(address.front())) address.remove_prefix(1);
    if (const auto mark = address.find('?'); mark != std::string_view::npos) address.remove_prefix(mark + 1);
    address = address.substr(0, address.find('#'));
    std::map<std::string, std::string> parameters;
    while (!address.empty() && address.size() <= longest_request) {
        const auto end = address.find('&');
        const auto pair = address.substr(0, end);
        address.remove_prefix(end == std::string_view::npos ? address.size() : end + 1);
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos) continue;
        auto name = decoded(pair.substr(0, equals));
        // Said twice, it could be read in two ways.
        if (auto [known, is_new] = parameters.emplace(std::move(name), decoded(pair.substr(equals + 1))); !is_new)
            known->second.clear();
    }
    return parameters;
}

/// Outlives what it waits for: each handler holds it.
struct LocalRedirect::Shared : std::enable_shared_from_this<Shared> {
    struct Visitor {
        explicit Visitor(tcp::socket from) : socket(std::move(from)), head(longest_request) {}
        tcp::socket socket;
        asio::streambuf head;
        std::string answer;
    };

    Shared(Fiber& waiting, asio::io_context& context)
        : fiber(&waiting),
          acceptor(context, {asio::ip::address_v4::loopback(), 0}),
          input(context),
          typed(longest_request) {
        if (const int copy = ::dup(STDIN_FILENO); copy >= 0) {
            error_code error;
            input.assign(copy, error);
            if (error) ::close(copy);
        }
    }

    void accept() {
        acceptor.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
            if (error) return;
            self->serve(std::make_shared<Visitor>(std::move(socket)));
            self->accept();
        });
    }

    void serve(const std::shared_ptr<Visitor>& visitor) {
        visitors.push_back(visitor);
        asio::async_read_until(visitor->socket, visitor->head, "\r\n\r\n",
                               [self = shared_from_this(), visitor](const error_code& error, std::size_t) {
                                   if (!error) self->answer(visitor);
                               });
    }

    void answer(const std::shared_ptr<Visitor>& visitor) {
        const auto octets = visitor->head.data();
        const std::string head(asio::buffers_begin(octets), asio::buffers_end(octets));
        const auto space = head.find(' ');
        const auto target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
        const auto accepts = head.find("\r\nAccept-Language: es");
        const bool is_good = head.starts_with("GET ") && take(target);
        visitor->answer = page(accepts != std::string::npos, is_good);
        asio::async_write(visitor->socket, asio::buffer(visitor->answer), [visitor](const error_code&, std::size_t) {
            error_code ignored;
            visitor->socket.shutdown(tcp::socket::shutdown_send, ignored);
        });
    }

    void read_input() {
        if (!input.is_open()) return;
        asio::async_read_until(
            input, typed, '\n', [self = shared_from_this()](const error_code& error, std::size_t size) {
                if (error) return;
                const auto octets = self->typed.data();
                const std::string line(asio::buffers_begin(octets),
                                       asio::buffers_begin(octets) + static_cast<std::ptrdiff_t>(size));
                self->typed.consume(size);
                if (!self->take(line) && self->complain && line.size() > 1)
                    *self->complain << "That is not the address of this sign-in. It begins with http://127.0.0.1 or "
                                       "http://localhost, and has state= in it.\n";
                self->read_input();
            });
    }

    /// True where it is what was waited for.
    bool take(std::string_view address) {
        auto parameters = redirect_parameters(address);
        if (found || state.empty() || parameters["state"] != state) return false;
        found = std::move(parameters);
        if (fiber) fiber->wake();
        return true;
    }

    void stop() {
        fiber = nullptr;
        complain = nullptr;
        error_code ignored;
        acceptor.close(ignored);
        input.close(ignored);
        for (auto& each : visitors)
            if (const auto visitor = each.lock(); visitor && visitor->answer.empty()) visitor->socket.close(ignored);
    }

    Fiber* fiber;
    tcp::acceptor acceptor;
    asio::posix::stream_descriptor input;
    asio::streambuf typed;
    std::list<std::weak_ptr<Visitor>> visitors;
    std::string state;
    std::ostream* complain = nullptr;
    std::optional<std::map<std::string, std::string>> found;
};

LocalRedirect::LocalRedirect(Fiber& fiber) : fiber_(fiber), shared_(std::make_shared<Shared>(fiber, fiber.context())) {
    shared_->accept();
    shared_->read_input();
}

LocalRedirect::~LocalRedirect() { shared_->stop(); }

unsigned short LocalRedirect::port() const { return shared_->acceptor.local_endpoint().port(); }

std::optional<std::map<std::string, std::string>> LocalRedirect::wait(const std::string& state, Deadline deadline,
                                                                      std::ostream& complain) {
    shared_->state = state;
    shared_->complain = &complain;
    while (!shared_->found && Clock::now() < deadline && !fiber_.interrupted()) fiber_.sleep_until(deadline);
    return std::move(shared_->found);
}

}  // namespace popgate::commands
