#include "gateway/net/listener.hpp"

#include "gateway/observe/log.hpp"
#include "gateway/pop3/reply.hpp"

#include <boost/asio/ip/v6_only.hpp>

#include <sys/socket.h>

#include <atomic>
#include <chrono>

namespace popgate {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr auto pause_when_exhausted = std::chrono::milliseconds(200);

using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

Status bind_error(const tcp::endpoint& endpoint, const error_code& error) {
    return Error{Errc::permanent, "cannot listen on " + to_string(endpoint) + ": " + error.message(), {}};
}

// A flood of refused connections must not become a flood of log lines: one a second at most.
void log_turned_away(const std::string& address) {
    static std::atomic<std::int64_t> last_second{0};
    static std::atomic<std::uint64_t> unreported{0};
    ++unreported;
    const auto second = std::chrono::duration_cast<std::chrono::seconds>(Clock::now().time_since_epoch()).count();
    if (last_second.exchange(second) == second) return;
    log(LogLevel::warning, "turned_away", {{"listener", address}, {"connections", unreported.exchange(0)}});
}

}  // namespace

std::string to_string(const tcp::endpoint& endpoint) {
    const auto address = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(endpoint.port());
}

void SessionSet::interrupt_all() {
    for (auto* fiber : fibers_) fiber->interrupt();
}

Status check_address_is_free(const tcp::endpoint& endpoint) {
    if (endpoint.port() == 0) return {};
    asio::io_context context;
    tcp::acceptor probe(context);
    error_code error;
    probe.open(endpoint.protocol(), error);
    if (!error) probe.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) probe.set_option(asio::ip::v6_only(true), error);
    if (!error) probe.bind(endpoint, error);
    if (!error) probe.listen(1, error);
    return error ? bind_error(endpoint, error) : Status{};
}

Listener::Listener(asio::io_context& context, const Services& services, std::shared_ptr<const ListenerInfo> info,
                   Admission& admission, SessionSet& sessions)
    : context_(context),
      services_(services),
      info_(std::move(info)),
      admission_(admission),
      sessions_(sessions),
      acceptor_(context),
      pause_(context) {}

Status Listener::open(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.set_option(reuse_port(true), error);
    if (!error && endpoint.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    return error ? bind_error(endpoint, error) : Status{};
}

void Listener::close() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
}

void Listener::accept() {
    acceptor_.async_accept(peer_, [this](const error_code& error, tcp::socket socket) {
        if (!acceptor_.is_open()) return;
        if (!error) {
            try {
                serve(std::move(socket), peer_);
            } catch (const std::exception& failure) {
                // No memory, or no more memory maps for a stack: this client is lost, the others are not.
                log(LogLevel::error, "session_failed", {{"from", to_string(peer_)}, {"error", failure.what()}});
            }
            return accept();
        }
        if (error == asio::error::connection_aborted) return accept();
        // Out of descriptors or memory: trying again at once would only spin.
        log(LogLevel::error, "accept_failed", {{"listener", info_->address}, {"error", error.message()}});
        pause_.expires_after(pause_when_exhausted);
        pause_.async_wait([this](const error_code& cancelled) {
            if (!cancelled && acceptor_.is_open()) accept();
        });
    });
}

void Listener::serve(tcp::socket socket, const tcp::endpoint& peer) {
    auto admitted = admission_.admit(peer.address());
    if (!admitted) return turn_away(std::move(socket));
    const auto name = to_string(peer);
    auto permit = std::make_shared<Admission::Permit>(std::move(*admitted));
    auto shared_socket = std::make_shared<tcp::socket>(std::move(socket));
    Fiber::start(
        context_,
        [this, permit, shared_socket, peer, info = info_](Fiber& fiber) {
            struct Registration {
                SessionSet& sessions;
                Fiber& fiber;
                ~Registration() { sessions.erase(fiber); }
            } registration{sessions_, fiber};
            sessions_.insert(fiber);
            Connection connection(services_, *info, fiber, std::move(*shared_socket), peer);
            connection.run();
        },
        [name](const std::exception& error) {
            log(LogLevel::error, "session_failed", {{"from", name}, {"error", error.what()}});
        });
}

void Listener::turn_away(tcp::socket socket) const {
    log_turned_away(info_->address);
    if (info_->config.tls == TlsMode::implicit) return;
    // Never waits: what does not fit the fresh socket's buffer is not said.
    error_code ignored;
    socket.native_non_blocking(true, ignored);
    socket.send(asio::buffer(pop3::err("SYS/TEMP", pop3::Text::too_busy, pop3::Language::english)), 0, ignored);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace popgate
