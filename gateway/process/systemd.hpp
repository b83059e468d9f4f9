#pragma once

#include "backends/errors.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace popgate {

/// What a unit with Type=notify is told (sd_notify(3)): one datagram each, without waiting. Any thread may call them;
/// they do nothing where no service manager listens ($NOTIFY_SOCKET).
void notify_ready();
/// A reload begins; notify_ready() ends it, whatever came of it.
void notify_reloading();
void notify_stopping();
/// One line for `systemctl status`; what follows a line end is left out.
void notify_status(std::string_view text);
void notify_watchdog();

/// How often notify_watchdog() is to be called: half of what the unit's WatchdogSec allows. Nothing when it is off.
std::optional<std::chrono::microseconds> watchdog_interval();

/// A socket that a socket unit has opened.
struct PassedSocket {
    std::string name;     ///< the unit's FileDescriptorName; any number of sockets may have the same
    int descriptor = -1;  ///< listens, is marked close-on-exec, and belongs to whoever called passed_sockets()
    boost::asio::ip::tcp::endpoint local;
};

/// Takes the sockets that the service manager has passed (sd_listen_fds_with_names(3)). A second call gives none, nor
/// does a child see them. Only before any thread is started: it changes the environment. Errc::permanent: one of them
/// is no listening TCP socket; the text names it.
Result<std::vector<PassedSocket>> passed_sockets();

}  // namespace popgate
