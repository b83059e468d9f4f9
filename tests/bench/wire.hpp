#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace popgate::bench {

using Clock = std::chrono::steady_clock;

/// TLS as a client does it: which authority is trusted, and the session that the next connection offers to resume.
/// For one thread.
class TlsClient {
public:
    /// `ca_file`: PEM. `resume`: whether sessions are offered again, as clients do that remember them.
    TlsClient(const std::string& ca_file, bool resume);
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    /// One connection's state on this descriptor, after the handshake. Throws std::runtime_error.
    SSL* handshake(int descriptor);

    std::uint64_t resumed() const { return resumed_; }

private:
    struct Free {
        void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
        void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
    };
    std::unique_ptr<SSL_CTX, Free> context_;
    std::unique_ptr<SSL_SESSION, Free> session_;
    bool resume_;
    std::uint64_t resumed_ = 0;
};

/// A blocking connection with a buffer in front. Every failure is a std::runtime_error; nothing takes longer than a
/// minute of silence (`patience`).
class Wire {
public:
    static constexpr int patience = 300;  // seconds; the slowest opening of a mailbox takes two minutes

    /// To a port of `host`, an IPv4 address; with `tls`, which must outlive it, TLS from the start. `receive_buffer`:
    /// octets that the kernel shall take before we read; 0 leaves that to it.
    Wire(const std::string& host, std::uint16_t port, TlsClient* tls, int receive_buffer = 0);
    ~Wire();
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    void send(std::string_view octets);

    /// One line without its CRLF; valid until the next call.
    std::string_view line();

    /// Passes over so many octets.
    void skip(std::uint64_t count);

    /// Passes over a multi-line reply up to and with its last line, ".". Gives its octets without that and without
    /// the dots that were put before others.
    std::uint64_t skip_multiline();

    /// Waits until there is something to read.
    void wait();

private:
    void fill();

    int descriptor_ = -1;
    SSL* tls_ = nullptr;
    std::unique_ptr<char[]> buffer_;
    std::size_t begin_ = 0, end_ = 0;
};

}  // namespace popgate::bench
