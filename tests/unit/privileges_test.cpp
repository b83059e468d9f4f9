#include "gateway/process/privileges.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>
#include <map>
#include <string>

namespace popgate {
namespace {

/// /proc/self/status, "CapEff" to "0000000000000400".
std::map<std::string, std::string> own_status() {
    std::map<std::string, std::string> out;
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(":\t");
        if (colon != std::string::npos) out[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return out;
}

bool can_bind_low_port() {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(1000);
    const bool bound = ::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const bool taken = errno == EADDRINUSE;
    ::close(made);
    return bound || taken;
}

/// What has been given up cannot be had again, so each test has a child of its own. The exit code is what `look` says.
template <class Look>
int in_child_process(Look look) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(look());
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class AsRoot : public testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "only root has something to give up";
    }
};

constexpr auto low_port_alone = "0000000000000400";
constexpr auto none = "0000000000000000";

TEST_F(AsRoot, KeepsLowPortsAndNothingElse) {
    const int code = in_child_process([] {
        if (drop_privileges("nobody", SetuidPrograms::forbidden).has_error()) return 1;
        const passwd* const nobody = ::getpwnam("nobody");
        if (::getuid() != nobody->pw_uid || ::geteuid() != nobody->pw_uid || ::getegid() != nobody->pw_gid) return 2;
        auto status = own_status();
        if (status["CapPrm"] != low_port_alone || status["CapEff"] != low_port_alone) return 3;
        if (status["CapInh"] != none || status["CapAmb"] != none) return 4;
        if (status["CapBnd"] != low_port_alone) return 5;
        if (status["NoNewPrivs"] != "1") return 6;
        if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 7;
        if (!can_bind_low_port()) return 8;
        return ::setuid(0) == 0 || ::seteuid(0) == 0 || ::setgid(0) == 0 ? 9 : 0;
    });
    EXPECT_EQ(code, 0);
}

TEST_F(AsRoot, TakesTheGroupsOfTheUser) {
    const int code = in_child_process([] {
        const gid_t wheel = 12345;
        if (::setgroups(1, &wheel) != 0) return 1;
        if (drop_privileges("nobody", SetuidPrograms::forbidden).has_error()) return 2;
        gid_t groups[64];
        const int count = ::getgroups(64, groups);
        for (int i = 0; i < count; ++i) {
            if (groups[i] == wheel || groups[i] == 0) return 3;
        }
        return 0;
    });
    EXPECT_EQ(code, 0);
}

TEST_F(AsRoot, LeavesSetuidProgramsToPam) {
    const int code = in_child_process([] {
        if (drop_privileges("nobody", SetuidPrograms::allowed).has_error()) return 1;
        return own_status()["NoNewPrivs"] == "0" ? 0 : 2;
    });
    EXPECT_EQ(code, 0);
}

TEST(ForbidPrograms, NothingCanBeExecuted) {
    const auto execute = [] {
        ::execl("/bin/true", "true", nullptr);
        return errno == EACCES ? 3 : 4;
    };
    EXPECT_EQ(in_child_process(execute), 0);
    const bool has_landlock = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
    EXPECT_EQ(in_child_process([&] {
                  if (forbid_programs().has_error()) return 1;
                  if (own_status()["NoNewPrivs"] != "1") return 2;
                  return execute();
              }),
              has_landlock ? 3 : 0);
}

TEST_F(AsRoot, NamesAUserThatIsNot) {
    const auto status = drop_privileges("no-such-user", SetuidPrograms::forbidden);
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().text, "there is no user \"no-such-user\" to run as");
    EXPECT_EQ(::geteuid(), 0U);
}

TEST_F(AsRoot, StaysRootWhereThatIsWanted) {
    EXPECT_EQ(in_child_process([] {
                  if (drop_privileges("root", SetuidPrograms::forbidden).has_error()) return 1;
                  return ::setuid(0) == 0 ? 0 : 2;
              }),
              0);
}

TEST_F(AsRoot, WarnsWhereNobodyIsNamedAndThereIsNoPopgate) {
    if (::getpwnam("popgate")) GTEST_SKIP() << "this machine has a user popgate";
    testing::internal::CaptureStderr();
    const auto status = drop_privileges("", SetuidPrograms::forbidden);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(status.has_error());
    EXPECT_NE(said.find(" warning running_as_root "), std::string::npos) << said;
}

TEST_F(AsRoot, AnotherUserHasNothingToGiveUp) {
    EXPECT_EQ(in_child_process([] {
                  const passwd* const nobody = ::getpwnam("nobody");
                  if (::setgid(nobody->pw_gid) != 0 || ::setuid(nobody->pw_uid) != 0) return 1;
                  return drop_privileges("", SetuidPrograms::forbidden).has_error() ? 2 : 0;
              }),
              0);
}

}  // namespace
}  // namespace popgate
