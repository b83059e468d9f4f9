#include "gateway/net/read_proxy_header.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace popgate {

namespace asio = boost::asio;
using boost::system::error_code;

Result<ProxiedClient> read_proxy_header(Fiber& fiber, asio::ip::tcp::socket& socket, Deadline deadline) {
    const auto fail = [](std::string why) { return Error{Errc::temporary, std::move(why), {}}; };
    error_code ignored;
    socket.native_non_blocking(true, ignored);
    ProxyHeader header;
    std::array<char, 512> piece;
    while (header.state() == ProxyHeader::State::incomplete) {
        const auto count = ::recv(socket.native_handle(), piece.data(), piece.size(), MSG_PEEK);
        if (count == 0) return fail("closed before the PROXY header was complete");
        if (count > 0) {
            const auto taken = header.feed({piece.data(), static_cast<std::size_t>(count)});
            // They are there, as they were just seen.
            if (taken > 0 && ::recv(socket.native_handle(), piece.data(), taken, 0) != static_cast<ssize_t>(taken))
                return fail("the PROXY header was lost");
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return fail(error_code(errno, boost::system::system_category()).message());
        const auto error = fiber.wait(socket, asio::ip::tcp::socket::wait_read, deadline);
        if (error) return fail(error == asio::error::timed_out ? "no PROXY header in time" : error.message());
    }
    if (header.state() == ProxyHeader::State::broken) return fail(header.fault());
    return header.client();
}

}  // namespace popgate
