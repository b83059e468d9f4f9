#pragma once

#include "backends/errors.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/net/proxy_header.hpp"

#include <boost/asio/ip/tcp.hpp>

namespace popgate {

/// Reads a PROXY header and not an octet of what follows it: TLS or POP3 goes on with the socket. Suspends. The error's
/// text says what is wrong with the header, or that there was none before the deadline.
Result<ProxiedClient> read_proxy_header(Fiber& fiber, boost::asio::ip::tcp::socket& socket, Deadline deadline);

}  // namespace popgate
