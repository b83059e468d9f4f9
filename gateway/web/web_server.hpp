#pragma once

#include "backends/errors.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/web/http.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace popgate {
class TlsServerContext;
}

namespace popgate::web {

/// HTTP/1.1 for people's pages and their programs' documents: few clients, small answers. One io_context and thread of
/// its own, so that nothing here can slow down a POP3 session; one fiber a connection, on which handlers run and may
/// suspend. A request has 64 KiB of body, 16 KiB of head and 20 s to come in at most, an answer 90 s to be made.
///
/// Not cpp-httplib's server: that has a thread a connection and no deadline for a whole request, so that as many slow
/// clients as it has threads end its service, and it matches paths and ranges with std::regex, whose recursion a
/// request can drive deep.
class WebServer {
public:
    /// `total` connections at once of each listener, and of one address.
    explicit WebServer(std::uint32_t total = 256, std::uint32_t an_address = 32);
    ~WebServer();
    WebServer(const WebServer&) = delete;
    WebServer& operator=(const WebServer&) = delete;

    /// Before start(). `address` is an IP address with a port or "unix:/path"; see UnixSocket for its file, which goes
    /// at stop(). `tls` may be null: in clear; `behind_proxy`: the client's address is the last one of
    /// X-Forwarded-For, where there is one. The error's text names address and cause.
    Status listen(const std::string& address, std::shared_ptr<TlsServerContext> tls, bool behind_proxy,
                  Handler handler);
    /// The address that the i-th listen() was given, which was one of TCP.
    boost::asio::ip::tcp::endpoint local_endpoint(std::size_t i) const;
    /// The same in words, of any.
    std::string local_address(std::size_t i) const;

    void start();
    /// No new connections; idle ones end now, requests under way after their answer, or when `patience` is over. Waits
    /// for that. From any thread but the server's own.
    void stop(std::chrono::milliseconds patience);

private:
    struct Listener;
    class Connection;
    struct Live;

    void accept(Listener& listener);
    void serve(Listener& listener, boost::asio::ip::tcp::socket socket);

    boost::asio::io_context context_{1};
    const Admission::Caps caps_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::unique_ptr<Live> live_;
    std::thread thread_;
};

}  // namespace popgate::web
