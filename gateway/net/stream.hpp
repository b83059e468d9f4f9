#pragma once

#include "backends/errors.hpp"
#include "gateway/net/fiber.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

typedef struct ssl_st SSL;

namespace popgate {

class TlsServerContext;
class TlsClientContext;

/// A TCP connection, in clear or with TLS, used from one fiber at a time. It suspends that fiber and nothing else.
///
/// OpenSSL works on the socket itself: no second set of buffers, and nothing that was read in clear can be left
/// over behind a handshake. Timeouts are for one wait, in which nothing moves; the fiber's limit is for them all.
class Stream {
public:
    using Timeout = std::chrono::milliseconds;
    using ErrorCode = boost::system::error_code;

    Stream(Fiber& fiber, boost::asio::ip::tcp::socket socket);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Resolves on the blocking pool and connects, trying each address in turn within `timeout`.
    static Result<std::unique_ptr<Stream>> connect(Fiber& fiber, const std::string& host, const std::string& port,
                                                   Timeout timeout);

    /// Reads 1 to `size` octets. Errors: eof, timed_out, operation_aborted (interrupted), what the system says.
    std::size_t read_some(char* data, std::size_t size, Timeout timeout, ErrorCode& error);

    /// True when the system holds octets that were not read yet; in clear only. Never suspends.
    bool has_input();

    /// True for a connection that is open and has nothing to say: one that was kept may be used again. Never suspends.
    bool is_quiet();
    /// Another fiber of the same io_context uses it from now on.
    void hand_to(Fiber& fiber) { fiber_ = &fiber; }

    /// Suspends until octets can be read.
    ErrorCode wait_for_input(Timeout timeout);

    /// Writes all of it; `timeout` is for each wait in which the peer takes nothing.
    ErrorCode write(std::string_view octets, Timeout timeout);

    /// Writes what the system takes at once, and gives how much that was. Never suspends.
    std::size_t write_now(std::string_view octets, ErrorCode& error);

    /// Turns the connection into TLS. The error's text names the reason, the certificate's fault above all.
    Status start_tls(const TlsServerContext& context, Timeout timeout);
    Status start_tls(const TlsClientContext& context, const std::string& host, Timeout timeout);

    /// The names in the certificate that the peer has shown, and that was verified: mail addresses, then the common
    /// name. Names that hold control characters are left out. Empty without one.
    std::vector<std::string> peer_certificate_names() const;

    /// "TLSv1.3 TLS_AES_256_GCM_SHA384", or "none".
    std::string tls_description() const;

    /// Says goodbye and waits shortly for the peer's own, so that a last reply is not lost to a reset. `answered`: the
    /// last words were a command, and that its answer begins to come says enough.
    void close(Timeout linger, bool answered = false);
    /// Ends the connection at once, without a TLS farewell: the peer must not take what it has for whole.
    void abort();

private:
    struct SslFree {
        void operator()(SSL* ssl) const;
    };
    Status handshake(Timeout timeout);
    /// One attempt result: count of octets, or 0 with either `wait` set or `error` set.
    std::size_t try_read(char* data, std::size_t size, int& wait, ErrorCode& error);
    std::size_t try_write(const char* data, std::size_t size, int& wait, ErrorCode& error);
    ErrorCode suspend(int wait, Timeout timeout);
    void count_progress();

    Fiber* fiber_;
    boost::asio::ip::tcp::socket socket_;
    std::unique_ptr<SSL, SslFree> ssl_;
    unsigned since_last_wait_ = 0;
    bool broken_ = false;
};

}  // namespace popgate
