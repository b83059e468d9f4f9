#include "gateway/commands/doctor_machine.hpp"

#include "gateway/config/endpoint.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <system_error>

namespace popgate::commands {

namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

constexpr std::int64_t clock_tolerance = 60;

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A number alone in a file of the kernel's.
std::uint64_t read_number(const char* path, std::uint64_t otherwise) {
    std::uint64_t number = otherwise;
    std::ifstream(path) >> number;
    return number;
}

template <class Number>
bool read_whole(std::string_view text, Number& number, int base) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && end == text.data() + text.size();
}

/// "0100007F:006E": words of the address in the machine's own order of octets, then the port.
std::optional<tcp::endpoint> read_address(std::string_view text) {
    const auto colon = text.find(':');
    std::uint16_t port = 0;
    if (colon == std::string_view::npos || !read_whole(text.substr(colon + 1), port, 16)) return std::nullopt;
    std::array<unsigned char, 16> octets{};
    const auto words = colon / 8;
    if (colon % 8 != 0 || (words != 1 && words != 4)) return std::nullopt;
    for (std::size_t i = 0; i < words; ++i) {
        std::uint32_t word = 0;
        if (!read_whole(text.substr(8 * i, 8), word, 16)) return std::nullopt;
        std::memcpy(octets.data() + 4 * i, &word, sizeof word);
    }
    if (words == 4) return tcp::endpoint(asio::ip::address_v6(octets), port);
    return tcp::endpoint(asio::ip::address_v4({octets[0], octets[1], octets[2], octets[3]}), port);
}

std::string display(const tcp::endpoint& endpoint) {
    std::ostringstream text;
    text << endpoint;
    return text.str();
}

/// Where both cannot be listened on.
bool collide(const tcp::endpoint& wanted, const tcp::endpoint& other) {
    if (wanted.port() != other.port()) return false;
    if (wanted.address() == other.address()) return true;
    if (wanted.address().is_v6() != other.address().is_v6()) return false;
    return wanted.address().is_unspecified() || other.address().is_unspecified();
}

/// A process that has a socket open; no name where it is another user's.
struct Owner {
    std::string name;
    std::string pid;
};

Owner owner_of(std::uint64_t inode) {
    namespace fs = std::filesystem;
    const auto wanted = "socket:[" + std::to_string(inode) + ']';
    std::error_code error;
    for (fs::directory_iterator each("/proc", error), end; !error && each != end; each.increment(error)) {
        const auto pid = each->path().filename().string();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        std::error_code hidden;
        for (fs::directory_iterator open(each->path() / "fd", hidden), last; !hidden && open != last;
             open.increment(hidden)) {
            std::error_code gone;
            if (fs::read_symlink(open->path(), gone) != wanted) continue;
            auto name = read_text(each->path() / "comm");
            if (name.ends_with('\n')) name.pop_back();
            return {name, pid};
        }
    }
    return {};
}

boost::system::error_code try_to_bind(const tcp::endpoint& endpoint) {
    asio::io_context context;
    tcp::acceptor probe(context);
    boost::system::error_code error;
    probe.open(endpoint.protocol(), error);
    if (!error) probe.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) probe.set_option(asio::ip::v6_only(true), error);
    if (!error) probe.bind(endpoint, error);
    return error;
}

Finding judge_taken(const std::string& address, const ListeningSocket& other) {
    const auto owner = owner_of(other.inode);
    const auto where = display(other.endpoint);
    if (owner.name.starts_with("popgate"))
        return {"listener", address, Verdict::ok, "a running popgate serves it (process " + owner.pid + ")"};
    if (owner.name.empty())
        return {"listener", address, Verdict::warning, where + " is taken by a program of another user",
                "Run this as root, or as popgate's user, to see whether that is popgate itself."};
    if (owner.pid == "1")
        return {"listener", address, Verdict::ok, where + " is held by " + owner.name + ", perhaps for popgate"};
    return {"listener", address, Verdict::failure,
            where + " is taken by " + owner.name + " (process " + owner.pid + "), which is not popgate",
            "End that program, or listen on another address or port."};
}

Finding examine_listener(const std::string& address, const std::vector<ListeningSocket>& sockets) {
    const auto endpoint = parse_endpoint(address);
    if (!endpoint) return {"listener", address, Verdict::ok, "is made by whoever listens"};
    if (const auto error = try_to_bind({endpoint->address(), 0}); error)
        return {"listener", address, Verdict::failure,
                "no interface of this machine has the address: " + error.message(),
                "Correct the address, or listen on all with 0.0.0.0 or [::]."};
    const auto taken =
        std::ranges::find_if(sockets, [&](const ListeningSocket& each) { return collide(*endpoint, each.endpoint); });
    if (endpoint->port() != 0 && taken != sockets.end()) return judge_taken(address, *taken);
    const auto error = try_to_bind(*endpoint);
    if (!error) return {"listener", address, Verdict::ok, endpoint->port() == 0 ? "takes a free port" : "is free"};
    if (error == asio::error::access_denied)
        return {"listener", address, Verdict::warning,
                "this user may not listen on ports below " +
                    std::to_string(read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024)),
                "Start popgate as root, or have its unit give it the capability "
                "(AmbientCapabilities=CAP_NET_BIND_SERVICE)."};
    return {"listener", address, Verdict::failure, "cannot be listened on: " + error.message(),
            error == asio::error::address_in_use ? "See who holds it: ss -ltnp" : "Listen on another address."};
}

Finding examine_descriptors(std::uint64_t sessions) {
    constexpr std::uint64_t others = 200;  // files, listeners, name look-ups
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto needed = 2 * sessions + others;
    const auto text = std::to_string(limit.rlim_max) + " descriptors are allowed here, and " +
                      std::to_string(sessions) + " sessions need " + std::to_string(needed);
    if (limit.rlim_max >= needed) return {"limits", "descriptors", Verdict::ok, text};
    return {"limits", "descriptors", Verdict::warning, text,
            "Raise LimitNOFILE of the unit (or ulimit -Hn), or lower limits.max_sessions."};
}

Finding examine_memory_maps(std::uint64_t sessions) {
    constexpr std::uint64_t others = 5000;  // of libraries
    const auto allowed = read_number("/proc/sys/vm/max_map_count", 0);
    const auto needed = 2 * sessions + others;
    if (allowed == 0 || allowed >= needed)
        return {"limits", "vm.max_map_count", Verdict::ok,
                std::to_string(allowed) + ", and " + std::to_string(needed) + " are needed"};
    return {"limits", "vm.max_map_count", Verdict::warning,
            std::to_string(allowed) + ", and " + std::to_string(sessions) + " sessions need " + std::to_string(needed),
            "sysctl vm.max_map_count=" + std::to_string(needed) + ", and the same in /etc/sysctl.d."};
}

std::string clock_text(const ClockReading& reading) {
    const auto seconds = std::to_string(std::abs(reading.ahead)) + " s ";
    return seconds + (reading.ahead < 0 ? "behind " : "ahead of ") + reading.host;
}

}  // namespace

std::vector<ListeningSocket> read_listening_sockets(std::string_view table) {
    constexpr std::string_view listening = "0A";
    std::vector<ListeningSocket> sockets;
    std::istringstream lines{std::string(table)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
        ListeningSocket socket;
        if (fields.size() < 10 || fields[3] != listening || !read_whole(std::string_view(fields[9]), socket.inode, 10))
            continue;
        if (const auto endpoint = read_address(fields[1])) {
            socket.endpoint = *endpoint;
            sockets.push_back(socket);
        }
    }
    return sockets;
}

std::vector<Finding> examine_listeners(const Config& config) {
    auto sockets = read_listening_sockets(read_text("/proc/net/tcp"));
    for (auto& each : read_listening_sockets(read_text("/proc/net/tcp6"))) sockets.push_back(each);
    std::vector<Finding> findings;
    for (const auto& each : config.listeners) findings.push_back(examine_listener(each.address, sockets));
    for (const auto& address : {config.enrolment.listen, config.admin.listen})
        if (!address.empty()) findings.push_back(examine_listener(address, sockets));
    return findings;
}

std::vector<Finding> examine_limits(const Config& config) {
    std::vector<Finding> findings{examine_descriptors(config.limits.max_sessions),
                                  examine_memory_maps(config.limits.max_sessions)};
    if (::geteuid() == 0)
        findings.push_back({"user", "root", Verdict::warning, "this command runs as root, who may read everything",
                            "Run it as the user that popgate runs as; and popgate itself needs no root."});
    return findings;
}

Finding judge_room(const std::string& folder, const DiskRoom& room) {
    constexpr unsigned long long mebibyte = 1024 * 1024;
    const auto text = std::to_string(room.free / mebibyte) + " MiB are free" +
                      (room.inodes == 0 ? "" : ", and " + std::to_string(room.free_inodes) + " inodes");
    const bool has_inodes = room.inodes == 0 || room.free_inodes >= 1000;
    if (room.free >= 256 * mebibyte && has_inodes) return {"disk", folder, Verdict::ok, text};
    const bool is_full = room.free < 16 * mebibyte || (room.inodes > 0 && room.free_inodes < 10);
    return {"disk", folder, is_full ? Verdict::failure : Verdict::warning, text,
            "Make room: when nothing more can be written, mailboxes that hide messages, and accounts, stop working."};
}

Finding examine_kernel_clock() {
    timex state{};  // modes 0: nothing is set
    const int answer = ::adjtimex(&state);
    if (answer == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
        return {"clock", "kernel", Verdict::warning, "nothing keeps this machine's clock right",
                "Run a time service (chrony, systemd-timesyncd); in a container its host does."};
    if (answer < 0) return {"clock", "kernel", Verdict::ok, "the kernel does not tell whether its clock is kept right"};
    return {"clock", "kernel", Verdict::ok, "is kept right"};
}

std::vector<Finding> judge_clock(const std::vector<ClockReading>& readings) {
    if (readings.empty())
        return {{"clock", "", Verdict::ok, "no server of this configuration tells the time by HTTP: not compared"}};
    std::vector<Finding> findings;
    for (const auto& each : readings) {
        if (std::abs(each.ahead) <= clock_tolerance) continue;
        const bool others_agree = std::ranges::any_of(
            readings, [](const ClockReading& other) { return std::abs(other.ahead) <= clock_tolerance; });
        findings.push_back({"clock", each.host, Verdict::warning, "this machine's clock is " + clock_text(each),
                            others_agree ? "Other servers agree with this machine: it is probably that server's clock."
                                         : "Set the clock, and run a time service: sign-ins by OAuth2 and "
                                           "certificates go by it."});
    }
    if (!findings.empty()) return findings;
    const auto worst =
        std::ranges::max_element(readings, {}, [](const ClockReading& each) { return std::abs(each.ahead); });
    return {{"clock", worst->host, Verdict::ok, "this machine's clock is " + clock_text(*worst)}};
}

}  // namespace popgate::commands
