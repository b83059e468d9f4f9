#pragma once

#include "gateway/commands/findings.hpp"
#include "gateway/config/config.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace popgate::commands {

/// A socket that listens, as the kernel's table has it.
struct ListeningSocket {
    boost::asio::ip::tcp::endpoint endpoint;
    std::uint64_t inode = 0;
};

/// Those in the text of /proc/net/tcp or tcp6; lines that are none are passed over. Pure.
std::vector<ListeningSocket> read_listening_sockets(std::string_view table);

/// The addresses to listen on: that this machine has them, that nothing but popgate listens there, and that this user
/// may. A free one is bound for a moment, and not listened on. Blocks, as all of these.
std::vector<Finding> examine_listeners(const Config& config);

/// What the kernel allows to so many sessions, and who runs this.
std::vector<Finding> examine_limits(const Config& config);

/// Free room on a disk, in octets; 0 `inodes`: the file system has no such limit.
struct DiskRoom {
    unsigned long long free = 0;
    unsigned long long inodes = 0;
    unsigned long long free_inodes = 0;
};
/// Pure.
Finding judge_room(const std::string& folder, const DiskRoom& room);

/// Whether the kernel takes its clock for right.
Finding examine_kernel_clock();

/// How another machine's clock differs from this one, by the Date of an answer of it.
struct ClockReading {
    std::string host;
    std::int64_t ahead = 0;  ///< seconds by which this machine is ahead of it
};

/// Pure. OAuth2 bears a minute, no more.
std::vector<Finding> judge_clock(const std::vector<ClockReading>& readings);

}  // namespace popgate::commands
