#pragma once

#include "backends/http/client.hpp"
#include "gateway/net/stream.hpp"

#include <boost/asio/execution_context.hpp>

#include <memory>
#include <string>
#include <vector>

namespace popgate::http {

/// A connection to an origin, or to the proxy that stands for it.
struct Connection {
    std::shared_ptr<const Upstream> upstream;
    Origin origin;
    std::string account;  ///< and credential, as Client writes it; empty: nobody's by name
    std::unique_ptr<Stream> stream;
    Clock::time_point last_used{};
};

/// The idle connections of one io_context, for its thread alone. Each knows its Upstream, so that what was verified
/// with one route's authorities never carries another's requests, and its account, so that an answer that comes late
/// never shows one account's mail to another.
class ConnectionPool final : public boost::asio::execution_context::service {
public:
    static boost::asio::execution_context::id id;
    explicit ConnectionPool(boost::asio::execution_context& context) : service(context) {}

    static ConnectionPool& of(boost::asio::io_context& context);

    /// One that still seems to be alive, bound to this fiber; null when there is none. `only_hot`: one that was used
    /// just now, for a request that cannot be repeated when the server closes it at the same moment.
    std::unique_ptr<Connection> take(Fiber& fiber, const Upstream* upstream, const Origin& origin,
                                     const std::string& account, bool only_hot);
    /// Only after an answer that came whole and lets the connection live. The oldest go when there are too many.
    void give(std::unique_ptr<Connection> connection);

private:
    void shutdown() noexcept override { idle_.clear(); }
    void drop_old();

    std::vector<std::unique_ptr<Connection>> idle_;  // the least recently used first
};

/// Connects to the origin, through the upstream's proxy where it has one, and starts TLS for https:.
Result<std::unique_ptr<Connection>> connect(Fiber& fiber, std::shared_ptr<const Upstream> upstream,
                                            const Origin& origin, const std::string& account);

}  // namespace popgate::http
