#include "tests/bench/wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace popgate::bench {
namespace {

constexpr std::size_t buffer_octets = 256 * 1024;  // pages that a session does not touch cost nothing

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + (errno != 0 ? std::string(": ") + std::strerror(errno) : std::string()));
}

}  // namespace

TlsClient::TlsClient(const std::string& ca_file, bool resume)
    : context_(SSL_CTX_new(TLS_client_method())), resume_(resume) {
    if (!context_ || SSL_CTX_load_verify_locations(context_.get(), ca_file.c_str(), nullptr) != 1) {
        throw std::runtime_error("cannot read " + ca_file);
    }
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context_.get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (!resume_) return;
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* tls, SSL_SESSION* session) {
        auto* self = static_cast<TlsClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)));
        self->session_.reset(session);
        return 1;
    });
}

SSL* TlsClient::handshake(int descriptor) {
    SSL* tls = SSL_new(context_.get());
    if (tls == nullptr) throw std::runtime_error("no memory for TLS");
    SSL_set_fd(tls, descriptor);
    if (session_) SSL_set_session(tls, session_.get());
    errno = 0;
    if (SSL_connect(tls) != 1) {
        SSL_free(tls);
        fail("TLS handshake");
    }
    if (SSL_session_reused(tls) == 1) ++resumed_;
    return tls;
}

Wire::Wire(const std::string& host, std::uint16_t port, TlsClient* tls, int receive_buffer)
    : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), buffer_(new char[buffer_octets]) {
    if (descriptor_ < 0) fail("socket");
    try {
        const timeval limit{patience, 0};
        setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        const int on = 1;
        setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (receive_buffer > 0) {
            setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) throw std::runtime_error("no address: " + host);
        sockaddr generic{};
        static_assert(sizeof generic == sizeof address);
        std::memcpy(&generic, &address, sizeof address);
        if (connect(descriptor_, &generic, sizeof generic) != 0) fail("connect");
        if (tls != nullptr) tls_ = tls->handshake(descriptor_);
    } catch (...) {
        close(descriptor_);
        throw;
    }
}

Wire::~Wire() {
    if (tls_ != nullptr) {
        SSL_shutdown(tls_);  // a session that did not end so may not be resumed
        SSL_free(tls_);
    }
    close(descriptor_);
}

void Wire::send(std::string_view octets) {
    while (!octets.empty()) {
        errno = 0;
        const auto written = tls_ != nullptr ? SSL_write(tls_, octets.data(), static_cast<int>(octets.size()))
                                             : ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL);
        if (written <= 0) fail("write");
        octets.remove_prefix(static_cast<std::size_t>(written));
    }
}

void Wire::fill() {
    if (begin_ > 0) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= std::exchange(begin_, 0);
    }
    if (end_ == buffer_octets) throw std::runtime_error("a line is too long");
    errno = 0;
    const auto got = tls_ != nullptr ? SSL_read(tls_, buffer_.get() + end_, static_cast<int>(buffer_octets - end_))
                                     : recv(descriptor_, buffer_.get() + end_, buffer_octets - end_, 0);
    if (got <= 0) fail("the server ended the connection");
    end_ += static_cast<std::size_t>(got);
}

void Wire::wait() {
    if (begin_ == end_) fill();
}

std::string_view Wire::line() {
    std::size_t scanned = 0;
    for (;;) {
        const char* from = buffer_.get() + begin_;
        const void* found =
            end_ - begin_ > scanned ? std::memchr(from + scanned, '\n', end_ - begin_ - scanned) : nullptr;
        if (found != nullptr) {
            const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - from);
            begin_ += length + 1;
            if (length == 0 || from[length - 1] != '\r') throw std::runtime_error("a line ends in a bare LF");
            return {from, length - 1};
        }
        scanned = end_ - begin_;
        fill();
    }
}

void Wire::skip(std::uint64_t count) {
    while (count > end_ - begin_) {
        count -= end_ - begin_;
        begin_ = end_ = 0;
        fill();
    }
    begin_ += static_cast<std::size_t>(count);
}

std::uint64_t Wire::skip_multiline() {
    std::uint64_t octets = 0;
    char before[2] = {'\r', '\n'};  // the last two octets that were passed over
    for (;;) {
        if (begin_ == end_) fill();
        const char* from = buffer_.get() + begin_;
        const auto available = end_ - begin_;
        const auto* dot = static_cast<const char*>(std::memchr(from, '.', available));
        const auto pass = dot != nullptr ? static_cast<std::size_t>(dot - from) : available;
        if (pass >= 2) {
            before[0] = from[pass - 2];
            before[1] = from[pass - 1];
        } else if (pass == 1) {
            before[0] = std::exchange(before[1], from[0]);
        }
        octets += pass;
        begin_ += pass;
        if (dot == nullptr) continue;
        if (before[0] != '\r' || before[1] != '\n') {  // a dot as any other
            before[0] = std::exchange(before[1], '.');
            ++octets, ++begin_;
            continue;
        }
        while (end_ - begin_ < 3) fill();
        if (buffer_[begin_ + 1] == '\r' && buffer_[begin_ + 2] == '\n') {
            begin_ += 3;
            return octets;
        }
        if (buffer_[begin_ + 1] != '.') throw std::runtime_error("a line of a message begins with a single dot");
        begin_ += 2;
        ++octets;
        before[0] = before[1] = '.';
    }
}

}  // namespace popgate::bench
