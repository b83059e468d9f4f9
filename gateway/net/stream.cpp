#include "gateway/net/stream.hpp"

#include "gateway/net/blocking_call.hpp"
#include "gateway/net/tls.hpp"

#include <boost/asio/error.hpp>

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace popgate {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

enum Wait { none = 0, readable, writable };

// A connection whose octets are always there would never let go of the thread.
constexpr unsigned operations_before_giving_way = 32;

error_code last_system_error() { return {errno, boost::system::system_category()}; }

std::size_t ssl_outcome(SSL* ssl, int result, int& wait, error_code& error) {
    if (result > 0) return static_cast<std::size_t>(result);
    const int saved_errno = errno;
    switch (SSL_get_error(ssl, result)) {
        case SSL_ERROR_WANT_READ: wait = readable; break;
        case SSL_ERROR_WANT_WRITE: wait = writable; break;
        case SSL_ERROR_ZERO_RETURN: error = asio::error::eof; break;
        case SSL_ERROR_SYSCALL:
            error = saved_errno ? error_code(saved_errno, boost::system::system_category()) : asio::error::eof;
            break;
        default: error = asio::error::connection_reset; break;
    }
    return 0;
}

std::vector<tcp::endpoint> resolve(const std::string& host, const std::string& port, int flags, int& failure) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* found = nullptr;
    failure = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    std::vector<tcp::endpoint> endpoints;
    if (failure != 0) return endpoints;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        tcp::endpoint endpoint;
        if (each->ai_addrlen > endpoint.capacity()) continue;
        std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
        endpoint.resize(each->ai_addrlen);
        endpoints.push_back(endpoint);
    }
    freeaddrinfo(found);
    return endpoints;
}

}  // namespace

void Stream::SslFree::operator()(SSL* ssl) const { SSL_free(ssl); }

Stream::Stream(Fiber& fiber, tcp::socket socket) : fiber_(&fiber), socket_(std::move(socket)) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.set_option(asio::socket_base::keep_alive(true), ignored);
}

Stream::~Stream() = default;

Result<std::unique_ptr<Stream>> Stream::connect(Fiber& fiber, const std::string& host, const std::string& port,
                                                Timeout timeout) {
    const Deadline deadline = Clock::now() + timeout;
    int failure = 0;
    auto endpoints = resolve(host, port, AI_NUMERICHOST | AI_NUMERICSERV, failure);
    if (endpoints.empty()) {
        struct Found {
            std::vector<tcp::endpoint> endpoints;
            int failure = 0;
        };
        auto found = blocking_call(
            fiber, deadline,
            [host, port] {
                Found result;
                result.endpoints = resolve(host, port, AI_ADDRCONFIG, result.failure);
                return result;
            },
            Blocking::names);
        if (!found) return Error{Errc::temporary, "the mail server's name took too long to look up", host};
        if (found->endpoints.empty())
            return Error{Errc::temporary, "the mail server's name cannot be looked up",
                         host + ": " + gai_strerror(found->failure)};
        endpoints = std::move(found->endpoints);
    }
    error_code error;
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        // An address that swallows packets must leave time for the next one.
        const auto now = Clock::now();
        const auto share = (deadline - now) / static_cast<long>(endpoints.size() - i);
        tcp::socket socket(fiber.context());
        error = fiber.connect(socket, endpoints[i], now + share);
        if (!error) return std::make_unique<Stream>(fiber, std::move(socket));
        if (fiber.interrupted()) break;
    }
    return Error{Errc::temporary, "the mail server cannot be reached", host + ":" + port + ": " + error.message()};
}

std::size_t Stream::try_read(char* data, std::size_t size, int& wait, error_code& error) {
    if (ssl_) {
        ERR_clear_error();
        errno = 0;
        return ssl_outcome(ssl_.get(),
                           SSL_read(ssl_.get(), data, static_cast<int>(std::min<std::size_t>(size, 1 << 20))), wait,
                           error);
    }
    ssize_t count;
    do count = ::recv(socket_.native_handle(), data, size, 0);
    while (count < 0 && errno == EINTR);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count == 0)
        error = asio::error::eof;
    else if (errno == EAGAIN)
        wait = readable;
    else
        error = last_system_error();
    return 0;
}

std::size_t Stream::try_write(const char* data, std::size_t size, int& wait, error_code& error) {
    if (ssl_) {
        ERR_clear_error();
        errno = 0;
        return ssl_outcome(ssl_.get(),
                           SSL_write(ssl_.get(), data, static_cast<int>(std::min<std::size_t>(size, 1 << 20))), wait,
                           error);
    }
    ssize_t count;
    do count = ::send(socket_.native_handle(), data, size, MSG_NOSIGNAL);
    while (count < 0 && errno == EINTR);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN)
        wait = writable;
    else
        error = last_system_error();
    return 0;
}

error_code Stream::suspend(int wait, Timeout timeout) {
    since_last_wait_ = 0;
    return fiber_->wait(socket_, wait == readable ? tcp::socket::wait_read : tcp::socket::wait_write,
                        Clock::now() + timeout);
}

void Stream::count_progress() {
    if (++since_last_wait_ < operations_before_giving_way) return;
    since_last_wait_ = 0;
    fiber_->give_way();
}

std::size_t Stream::read_some(char* data, std::size_t size, Timeout timeout, error_code& error) {
    for (;;) {
        int wait = none;
        error.clear();
        if (fiber_->interrupted()) {
            error = asio::error::operation_aborted;
            return 0;
        }
        const std::size_t count = try_read(data, size, wait, error);
        if (count > 0) {
            count_progress();
            return count;
        }
        if (!error) error = suspend(wait, timeout);
        if (error) {
            if (error != asio::error::timed_out && error != asio::error::operation_aborted) broken_ = true;
            return 0;
        }
    }
}

bool Stream::has_input() {
    char octet;
    return ::recv(socket_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool Stream::is_quiet() {
    if (ssl_ && SSL_pending(ssl_.get()) > 0) return false;
    char octet;
    return ::recv(socket_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

error_code Stream::wait_for_input(Timeout timeout) {
    if (ssl_ && SSL_pending(ssl_.get()) > 0) return {};
    return suspend(readable, timeout);
}

error_code Stream::write(std::string_view octets, Timeout timeout) {
    while (!octets.empty()) {
        int wait = none;
        error_code error;
        if (fiber_->interrupted()) return asio::error::operation_aborted;
        if (const auto fence = fiber_->fence(); fence != Deadline::max() && Clock::now() >= fence) {
            broken_ = true;
            return asio::error::timed_out;
        }
        const std::size_t count = try_write(octets.data(), octets.size(), wait, error);
        octets.remove_prefix(count);
        if (count > 0)
            count_progress();
        else if (!error)
            error = suspend(wait, timeout);
        if (error) {
            broken_ = true;
            return error;
        }
    }
    return {};
}

std::size_t Stream::write_now(std::string_view octets, error_code& error) {
    std::size_t written = 0;
    error.clear();
    for (int wait = none; written < octets.size() && wait == none && !error;)
        written += try_write(octets.data() + written, octets.size() - written, wait, error);
    if (error) broken_ = true;
    return written;
}

Status Stream::handshake(Timeout timeout) {
    const Deadline end = Clock::now() + timeout;
    for (;;) {
        ERR_clear_error();
        errno = 0;
        const int result = SSL_do_handshake(ssl_.get());
        if (result == 1) return {};
        int wait = none;
        error_code error;
        std::string reason;
        ssl_outcome(ssl_.get(), result, wait, error);
        if (error) {
            reason = take_openssl_error();  // now, as the queue is the thread's
        } else {
            error = fiber_->wait(socket_, wait == readable ? tcp::socket::wait_read : tcp::socket::wait_write, end);
            if (!error) continue;
        }
        broken_ = true;
        return Error{Errc::temporary, "TLS could not be started: " + (reason.empty() ? error.message() : reason), {}};
    }
}

Status Stream::start_tls(const TlsServerContext& context, Timeout timeout) {
    ssl_.reset(SSL_new(context.native()));
    if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.native_handle()) != 1)
        return Error{Errc::temporary, "TLS could not be started: out of memory", {}};
    SSL_set_accept_state(ssl_.get());
    return handshake(timeout);
}

Status Stream::start_tls(const TlsClientContext& context, const std::string& host, Timeout timeout) {
    ssl_.reset(SSL_new(context.native()));
    if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.native_handle()) != 1)
        return Error{Errc::temporary, "TLS could not be started: out of memory", {}};
    SSL_set_connect_state(ssl_.get());
    error_code not_an_address;
    asio::ip::make_address(host, not_an_address);
    bool name_is_checked = false;
    if (not_an_address) {
        // Spelt out, because the macro for it casts as C does.
        SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
        SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        name_is_checked = SSL_set1_host(ssl_.get(), host.c_str()) == 1;
    } else {
        name_is_checked = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1;
    }
    if (!name_is_checked) return Error{Errc::temporary, "TLS could not be started: no name to check", host};
    if (!context.resume(ssl_.get(), host)) return Error{Errc::temporary, "TLS could not be started: out of memory", {}};
    auto status = handshake(timeout);
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (status.has_error() && context.verifies() && verdict != X509_V_OK)
        return Error{Errc::temporary,
                     std::string("the mail server's certificate is refused: ") + X509_verify_cert_error_string(verdict),
                     host};
    return status;
}

std::vector<std::string> Stream::peer_certificate_names() const {
    std::vector<std::string> names;
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        ssl_ ? SSL_get1_peer_certificate(ssl_.get()) : nullptr, X509_free);
    if (!certificate || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return names;
    // A session that is resumed is not verified anew.
    if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) <= 0) return names;
    const auto add = [&](const ASN1_STRING* text) {
        std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                         static_cast<std::size_t>(ASN1_STRING_length(text)));
        const bool has_controls = std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
        if (!name.empty() && !has_controls) names.push_back(std::move(name));
    };
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> alternatives(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(alternatives.get(), i);
        if (name->type == GEN_EMAIL) add(name->d.rfc822Name);
    }
    const auto* subject = X509_get_subject_name(certificate.get());
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        add(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    return names;
}

std::string Stream::tls_description() const {
    if (!ssl_) return "none";
    return std::string(SSL_get_version(ssl_.get())) + " " + SSL_get_cipher_name(ssl_.get());
}

void Stream::close(Timeout linger, bool answered) {
    if (ssl_ && !broken_) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
    }
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    const Deadline end = Clock::now() + linger;
    char discarded[1024];
    for (std::size_t total = 0; !error && total < 256 * 1024;) {
        const auto count = ::recv(socket_.native_handle(), discarded, sizeof discarded, 0);
        if (count > 0) {
            total += static_cast<std::size_t>(count);
            if (answered && static_cast<std::size_t>(count) < sizeof discarded) break;
        } else if (count < 0 && errno == EAGAIN) {
            error = fiber_->wait(socket_, tcp::socket::wait_read, end);
        } else {
            break;
        }
    }
    socket_.close(error);
}

void Stream::abort() {
    broken_ = true;
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    socket_.close(ignored);
}

}  // namespace popgate
