#include "gateway/process/systemd.hpp"

#include <systemd/sd-daemon.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace popgate {

using tcp = boost::asio::ip::tcp;

namespace {

constexpr int keep_environment = 0;
constexpr int clear_environment = 1;

void notify(const std::string& state) { (void)sd_notify(keep_environment, state.c_str()); }

struct FreeNames {
    void operator()(char** names) const {
        for (char** name = names; name && *name; ++name) std::free(*name);
        std::free(names);
    }
};

std::optional<tcp::endpoint> local_endpoint(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return {};
    tcp::endpoint endpoint;
    if (size > endpoint.capacity()) return {};
    std::memcpy(endpoint.data(), &address, size);
    endpoint.resize(size);
    return endpoint;
}

}  // namespace

void notify_ready() { notify("READY=1"); }

void notify_reloading() {
    // Type=notify-reload wants to know that this answers its signal, and not an earlier one.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
    notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

void notify_stopping() { notify("STOPPING=1"); }

void notify_status(std::string_view text) {
    // A second line would be another assignment.
    notify("STATUS=" + std::string(text.substr(0, text.find('\n'))));
}

void notify_watchdog() { notify("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> watchdog_interval() {
    std::uint64_t limit = 0;
    if (sd_watchdog_enabled(keep_environment, &limit) <= 0) return {};
    return std::chrono::microseconds(limit / 2);
}

Result<std::vector<PassedSocket>> passed_sockets() {
    char** raw = nullptr;
    const int count = sd_listen_fds_with_names(clear_environment, &raw);
    const std::unique_ptr<char*, FreeNames> names(raw);
    if (count < 0) {
        return Error{Errc::permanent,
                     std::string("the sockets of the service manager cannot be taken: ") + std::strerror(-count),
                     {}};
    }
    std::vector<PassedSocket> sockets;
    for (int i = 0; i < count; ++i) {
        PassedSocket socket{raw && raw[i] ? raw[i] : "", SD_LISTEN_FDS_START + i, {}};
        const auto local = local_endpoint(socket.descriptor);
        if (!local || sd_is_socket(socket.descriptor, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
            return Error{Errc::permanent,
                         "the socket \"" + socket.name + "\" of the service manager is no listening TCP socket",
                         {}};
        }
        socket.local = *local;
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

}  // namespace popgate
