#pragma once

#include "backends/errors.hpp"
#include "gateway/net/admission.hpp"
#include "gateway/net/connection.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <memory>
#include <unordered_set>

namespace popgate {

/// The sessions of one io_context, whoever accepted them. Used from that context's thread only.
class SessionSet {
public:
    void insert(Fiber& fiber) { fibers_.insert(&fiber); }
    void erase(Fiber& fiber) { fibers_.erase(&fiber); }
    std::size_t size() const { return fibers_.size(); }
    /// Ends every wait of every session; each says so to its client where that is still possible.
    void interrupt_all();

private:
    std::unordered_set<Fiber*> fibers_;
};

/// One acceptor on one io_context: every context has its own for each address (SO_REUSEPORT), and what it accepts
/// never leaves it.
class Listener {
public:
    Listener(boost::asio::io_context& context, const Services& services, std::shared_ptr<const ListenerInfo> info,
             Admission& admission, SessionSet& sessions);

    /// The error's text names address and cause.
    Status open(const boost::asio::ip::tcp::endpoint& endpoint);
    void start() { accept(); }
    boost::asio::ip::tcp::endpoint local_endpoint() const { return acceptor_.local_endpoint(); }
    void close();

private:
    void accept();
    void serve(boost::asio::ip::tcp::socket socket, const boost::asio::ip::tcp::endpoint& peer);
    void turn_away(boost::asio::ip::tcp::socket socket) const;

    boost::asio::io_context& context_;
    const Services& services_;
    std::shared_ptr<const ListenerInfo> info_;
    Admission& admission_;
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
