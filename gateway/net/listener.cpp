#include "gateway/net/listener.hpp"

#include "gateway/net/read_proxy_header.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/observe/metrics.hpp"
#include "gateway/pop3/reply.hpp"

#include <boost/asio/ip/v6_only.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>

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
class OnceASecond {
public:
    /// How many there were since the last line; nothing where there was one in this second.
    std::optional<std::uint64_t> count() {
        ++unreported_;
        const auto second = std::chrono::duration_cast<std::chrono::seconds>(Clock::now().time_since_epoch()).count();
        if (last_second_.exchange(second) == second) return std::nullopt;
        return unreported_.exchange(0);
    }

private:
    std::atomic<std::int64_t> last_second_{0};
    std::atomic<std::uint64_t> unreported_{0};
};

void log_turned_away(const std::string& address) {
    static OnceASecond lines;
    if (const auto count = lines.count())
        log(LogLevel::warning, "turned_away", {{"listener", address}, {"connections", *count}});
}

void log_proxy_refused(const std::string& listener, const std::string& peer, const std::string& why) {
    metrics::connections_refused.add(metrics::Refusal::proxy_header);
    static OnceASecond lines;
    if (const auto count = lines.count())
        log(LogLevel::warning, "proxy_refused",
            {{"from", peer}, {"listener", listener}, {"error", why}, {"connections", *count}});
}

std::string last_error() { return error_code(errno, boost::system::system_category()).message(); }

void turn_away(tcp::socket& socket, const ListenerInfo& info) {
    log_turned_away(info.address);
    if (info.config.tls == TlsMode::implicit) return;
    // Never waits: what does not fit the fresh socket's buffer is not said.
    error_code ignored;
    socket.native_non_blocking(true, ignored);
    socket.send(asio::buffer(pop3::err("SYS/TEMP", pop3::Text::too_busy, pop3::Language::english)), 0, ignored);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
}

/// Who is at the other end, by a proxy's header where the listener has them. Nothing where the connection is to be
/// closed.
std::optional<Client> meet(Fiber& fiber, tcp::socket& socket, const tcp::endpoint& peer, const Serving& serving,
                           Admission::Permit& permit) {
    Client client;
    client.endpoint = peer;
    if (!serving.info->config.proxy_protocol) return client;
    const auto header = read_proxy_header(fiber, socket, Clock::now() + serving.services->config.limits.proxy_timeout);
    if (header.has_error()) {
        if (!fiber.interrupted()) log_proxy_refused(serving.info->address, to_string(peer), header.error().text);
        return std::nullopt;
    }
    if (header->source) client.endpoint = *header->source;
    client.is_known = header->source.has_value();
    client.is_proxy_itself = header->is_local;
    client.tls = header->tls;
    client.tls_description = header->tls_description;
    const bool takes_certificates = serving.info->config.client_certificates != ClientCertificates::off;
    if (takes_certificates && header->certificate_verified && !header->certificate_name.empty())
        client.certificate_names = {header->certificate_name};
    if (permit.count_for(client.endpoint.address())) return client;
    turn_away(socket, *serving.info);
    return std::nullopt;
}

}  // namespace

std::string to_string(const tcp::endpoint& endpoint) {
    const auto address = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(endpoint.port());
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

Listener::Listener(asio::io_context& context, SessionSet& sessions)
    : context_(context), sessions_(sessions), acceptor_(context), pause_(context) {}

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

Status Listener::open_passed(int descriptor) {
    const int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return Error{Errc::permanent, "cannot listen on a passed socket: " + last_error(), {}};
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    error_code error;
    if (::getsockname(own, reinterpret_cast<sockaddr*>(&address), &length) != 0)
        error = {errno, boost::system::system_category()};
    else
        acceptor_.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), own, error);
    if (error) ::close(own);
    if (!error && address.ss_family != AF_INET && address.ss_family != AF_INET6)
        return Error{Errc::permanent, "cannot listen on a passed socket that is none of TCP", {}};
    return error ? Error{Errc::permanent, "cannot listen on a passed socket: " + error.message(), {}} : Status{};
}

tcp::endpoint Listener::local_endpoint() const {
    error_code ignored;
    return acceptor_.local_endpoint(ignored);
}

void Listener::close() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    serving_ = {};  // a configuration that is given up ends with its last session
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
        metrics::connections_refused.add(metrics::Refusal::out_of_descriptors);
        log(LogLevel::error, "accept_failed", {{"listener", serving_.info->address}, {"error", error.message()}});
        pause_.expires_after(pause_when_exhausted);
        pause_.async_wait([this](const error_code& cancelled) {
            if (!cancelled && acceptor_.is_open()) accept();
        });
    });
}

void Listener::serve(tcp::socket socket, const tcp::endpoint& peer) {
    const auto& info = *serving_.info;
    const bool is_proxied = info.config.proxy_protocol;
    if (is_proxied && !info.trusted_proxies.contains(peer.address().to_string()))
        return log_proxy_refused(info.address, to_string(peer), "it is none of trusted_proxies");
    auto& admission = serving_.services->admission;
    auto admitted = is_proxied ? admission.admit_for_nobody() : admission.admit(peer.address());
    if (!admitted) return turn_away(socket, info);
    const auto name = to_string(peer);
    auto permit = std::make_shared<Admission::Permit>(std::move(*admitted));
    auto shared_socket = std::make_shared<tcp::socket>(std::move(socket));
    Fiber::start(
        context_,
        [permit, shared_socket, peer, serving = serving_, &sessions = sessions_](Fiber& fiber) {
            struct Registration {
                SessionSet& sessions;
                Fiber& fiber;
                ~Registration() { sessions.erase(fiber); }
            } registration{sessions, fiber};
            sessions.insert(fiber);
            auto client = meet(fiber, *shared_socket, peer, serving, *permit);
            if (!client) return;
            Connection connection(*serving.services, *serving.info, fiber, std::move(*shared_socket),
                                  std::move(*client));
            sessions.set(fiber, connection);
            connection.run();
        },
        [name](const std::exception& error) {
            log(LogLevel::error, "session_failed", {{"from", name}, {"error", error.what()}});
        });
}

}  // namespace popgate
