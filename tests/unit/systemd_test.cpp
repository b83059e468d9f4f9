#include "gateway/process/systemd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <tuple>

namespace popgate {
namespace {

/// The service manager's end of $NOTIFY_SOCKET.
class Notify : public testing::Test {
protected:
    Notify() {
        std::string pattern = (std::filesystem::temp_directory_path() / "popgate-notify-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        const std::string path = folder_ / "notify";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    }
    ~Notify() override {
        ::unsetenv("NOTIFY_SOCKET");
        ::close(socket_);
        std::filesystem::remove_all(folder_);
    }

    std::string next() const {
        std::array<char, 4096> text{};
        const auto size = ::recv(socket_, text.data(), text.size(), MSG_DONTWAIT);
        return size < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(size));
    }

    std::filesystem::path folder_;
    int socket_ = -1;
};

TEST_F(Notify, TellsTheServiceManager) {
    notify_ready();
    EXPECT_EQ(next(), "READY=1");
    notify_stopping();
    EXPECT_EQ(next(), "STOPPING=1");
    notify_watchdog();
    EXPECT_EQ(next(), "WATCHDOG=1");
    notify_status("12 sessions");
    EXPECT_EQ(next(), "STATUS=12 sessions");
    EXPECT_EQ(next(), "nothing");
}

TEST_F(Notify, ReloadingBearsTheTime) {
    notify_reloading();
    const std::string said = next();
    const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
    ASSERT_TRUE(said.starts_with(start)) << said;
    EXPECT_GT(std::stoll(said.substr(start.size())), 0);
}

TEST_F(Notify, AStatusCannotSayMore) {
    notify_status("bad\nREADY=1");
    EXPECT_EQ(next(), "STATUS=bad");
}

TEST(NotifyAlone, IsSilentWithoutAServiceManager) {
    ::unsetenv("NOTIFY_SOCKET");
    notify_ready();
    ::setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    notify_ready();
    ::unsetenv("NOTIFY_SOCKET");
}

TEST(Watchdog, IsAskedForAtHalfItsTime) {
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
    EXPECT_FALSE(watchdog_interval());
    ::setenv("WATCHDOG_USEC", "30000000", 1);
    EXPECT_EQ(watchdog_interval(), std::chrono::seconds(15));
    ::setenv("WATCHDOG_PID", "1", 1);
    EXPECT_FALSE(watchdog_interval());
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
}

int new_socket(int family, int type, bool listens) {
    const int made = ::socket(family, type, 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) reinterpret_cast<sockaddr_in*>(&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr = in6addr_loopback;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    EXPECT_EQ(::bind(made, reinterpret_cast<const sockaddr*>(&address), size), 0);
    if (listens) EXPECT_EQ(::listen(made, 1), 0);
    return made;
}

/// Runs `look` in a child to which two sockets are passed; what it returns is the child's exit code. Descriptors 3 and
/// 4 are the test program's own, so it cannot be done here.
template <class Look>
int in_child(int first, int second, const char* names, Look look) {
    const pid_t child = ::fork();
    if (child == 0) {
        const int spare_first = ::dup(first);
        const int spare_second = ::dup(second);
        ::dup2(spare_first, 3);
        ::dup2(spare_second, 4);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "2", 1);
        ::setenv("LISTEN_FDNAMES", names, 1);
        ::_exit(look());
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    ::close(first);
    ::close(second);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(PassedSockets, AreTakenOnceWithNameAndAddress) {
    const auto look = [] {
        const auto passed = passed_sockets();
        if (passed.has_error() || passed->size() != 2) return 1;
        const auto& [first, second] = std::tie((*passed)[0], (*passed)[1]);
        if (first.name != "pop3" || second.name != "pop3s") return 2;
        if (first.local.address().to_string() != "127.0.0.1" || first.local.port() == 0) return 3;
        if (second.local.address().to_string() != "::1" || second.local.port() == 0) return 4;
        if (first.descriptor != 3 || second.descriptor != 4) return 5;
        if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0 || (::fcntl(4, F_GETFD) & FD_CLOEXEC) == 0) return 6;
        const auto again = passed_sockets();
        return again.has_error() || !again->empty() || std::getenv("LISTEN_FDS") ? 7 : 0;
    };
    const int first = new_socket(AF_INET, SOCK_STREAM, true);
    EXPECT_EQ(in_child(first, new_socket(AF_INET6, SOCK_STREAM, true), "pop3:pop3s", look), 0);
}

TEST(PassedSockets, MustListen) {
    const auto look = [] {
        const auto passed = passed_sockets();
        if (!passed.has_error()) return 1;
        return passed.error().text == "the socket \"b\" of the service manager is no listening TCP socket" ? 0 : 2;
    };
    const auto good = [] { return new_socket(AF_INET, SOCK_STREAM, true); };
    EXPECT_EQ(in_child(good(), new_socket(AF_INET, SOCK_STREAM, false), "a:b", look), 0);
    EXPECT_EQ(in_child(good(), new_socket(AF_INET, SOCK_DGRAM, false), "a:b", look), 0);
    EXPECT_EQ(in_child(good(), ::dup(STDIN_FILENO), "a:b", look), 0);
}

TEST(PassedSockets, AreNoneWithoutAServiceManager) {
    const auto passed = passed_sockets();
    ASSERT_FALSE(passed.has_error());
    EXPECT_TRUE(passed->empty());
}

}  // namespace
}  // namespace popgate
