#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace popgate {

/// What a proxy says of its client.
struct ProxiedClient {
    /// None where the proxy speaks for itself, or does not tell.
    std::optional<boost::asio::ip::tcp::endpoint> source;
    bool is_local = false;          ///< the proxy's own connection: it looks whether somebody is there
    bool tls = false;               ///< the client's TLS ends at the proxy
    std::string tls_description{};  ///< "TLSv1.3 TLS_AES_256_GCM_SHA384"; printable ASCII
    bool certificate_verified = false;
    std::string certificate_name{};  ///< the common name; no control characters
};

/// A PROXY header, version 1 or 2, as it comes in (HAProxy's doc/proxy-protocol.txt). Pure.
class ProxyHeader {
public:
    enum class State { incomplete, complete, broken };

    /// Version 1: 107 octets with CRLF. Version 2: what a proxy may send with it is bounded here.
    static constexpr std::size_t longest_line = 107;
    static constexpr std::size_t longest_block = 4096;

    /// Takes what the socket holds and gives how many of these octets are the header's: those that follow it are never
    /// taken. While it is incomplete, all are.
    std::size_t feed(std::string_view octets);

    State state() const { return state_; }
    /// Of a broken one, in one line.
    const std::string& fault() const { return fault_; }
    /// Of a complete one.
    const ProxiedClient& client() const { return client_; }

private:
    std::size_t feed_line(std::string_view octets);
    std::size_t feed_block(std::string_view octets);
    void read_line();
    void read_block();
    void read_details(std::string_view details);
    void read_tls(std::string_view value);
    void complete() { state_ = State::complete; }
    void fail(const char* fault);

    State state_ = State::incomplete;
    std::string seen_;
    std::string fault_;
    ProxiedClient client_;
};

}  // namespace popgate
