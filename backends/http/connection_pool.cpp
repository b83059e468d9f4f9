#include "backends/http/connection_pool.hpp"

#include "backends/http/exchange.hpp"
#include "gateway/net/tls.hpp"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <iterator>

namespace popgate::http {

using namespace std::chrono_literals;

namespace {

// Servers close theirs after a minute or so, and a request on a connection that is just being closed costs a
// repetition.
constexpr auto longest_idle = 30s;
constexpr auto longest_idle_if_hot = 2s;
constexpr std::size_t most_idle = 64;

}  // namespace

boost::asio::execution_context::id ConnectionPool::id;

ConnectionPool& ConnectionPool::of(boost::asio::io_context& context) {
    return boost::asio::use_service<ConnectionPool>(context);
}

void ConnectionPool::drop_old() {
    const auto too_old = Clock::now() - longest_idle;
    std::erase_if(idle_, [&](const auto& each) { return each->last_used < too_old; });
    if (idle_.size() > most_idle)
        idle_.erase(idle_.begin(), idle_.begin() + static_cast<std::ptrdiff_t>(idle_.size() - most_idle));
}

std::unique_ptr<Connection> ConnectionPool::take(Fiber& fiber, const Upstream* upstream, const Origin& origin,
                                                 const std::string& account, bool only_hot) {
    drop_old();
    const auto too_old = Clock::now() - longest_idle_if_hot;
    for (auto place = idle_.size(); place-- > 0;) {
        const auto& each = *idle_[place];
        if (each.upstream.get() != upstream || each.origin != origin || each.account != account) continue;
        if (only_hot && each.last_used < too_old) continue;
        auto connection = std::move(idle_[place]);
        idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(place));
        if (!connection->stream->is_quiet()) continue;  // closed by the server, or speaking out of turn
        connection->stream->hand_to(fiber);
        return connection;
    }
    return nullptr;
}

void ConnectionPool::give(std::unique_ptr<Connection> connection) {
    connection->last_used = Clock::now();
    idle_.push_back(std::move(connection));
    drop_old();
}

Result<std::unique_ptr<Connection>> connect(Fiber& fiber, std::shared_ptr<const Upstream> upstream,
                                            const Origin& origin, const std::string& account) {
    const auto& proxy = upstream->proxy;
    auto stream = proxy ? Stream::connect(fiber, proxy->host, proxy->port, upstream->connect_timeout)
                        : Stream::connect(fiber, origin.host, origin.port, upstream->connect_timeout);
    if (!stream) {
        auto error = stream.error();
        if (proxy) error.detail = "the proxy " + error.detail;
        return error;
    }
    if (origin.tls) {
        if (proxy)
            if (auto status = open_tunnel(fiber, **stream, *upstream, origin); !status) return status.error();
        if (auto status = (*stream)->start_tls(*upstream->tls, origin.host, upstream->connect_timeout); !status)
            return status.error();
    }
    auto connection = std::make_unique<Connection>();
    connection->upstream = std::move(upstream);
    connection->origin = origin;
    connection->account = account;
    connection->stream = std::move(*stream);
    return connection;
}

}  // namespace popgate::http
