#pragma once

#include "backends/errors.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/net/connection.hpp"
#include "gateway/net/session_set.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <utility>

namespace popgate {

/// What new sessions get: a reload replaces it, and sessions of before keep theirs.
struct Serving {
    std::shared_ptr<const Services> services;
    std::shared_ptr<const ListenerInfo> info;
};

/// One acceptor on one io_context: every context has its own for each address (SO_REUSEPORT), and what it accepts
/// never leaves it.
class Listener {
public:
    Listener(boost::asio::io_context& context, SessionSet& sessions);

    /// The error's text names address and cause.
    Status open(const boost::asio::ip::tcp::endpoint& endpoint);
    /// Takes over a socket that listens already, as systemd passes them; it is not closed with this.
    Status open_passed(int descriptor);
    /// After serve_with().
    void start() { accept(); }
    /// For who comes from now on.
    void serve_with(Serving serving) { serving_ = std::move(serving); }
    boost::asio::ip::tcp::endpoint local_endpoint() const;
    void close();

private:
    void accept();
    void serve(boost::asio::ip::tcp::socket socket, const boost::asio::ip::tcp::endpoint& peer);

    boost::asio::io_context& context_;
    Serving serving_;
    SessionSet& sessions_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::ip::tcp::endpoint peer_;
    boost::asio::steady_timer pause_;
};

/// Makes sure that nobody listens there yet. SO_REUSEPORT alone would let a second popgate of the same user take half
/// of the first one's clients.
Status check_address_is_free(const boost::asio::ip::tcp::endpoint& endpoint);

/// "192.0.2.1:110", "[2001:db8::1]:110".
std::string to_string(const boost::asio::ip::tcp::endpoint& endpoint);

}  // namespace popgate
