#include "gateway/process/privileges.hpp"

#include "gateway/observe/log.hpp"

#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <type_traits>

namespace popgate {

namespace {

struct FreeCapabilities {
    void operator()(cap_t capabilities) const { cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities>;

constexpr cap_value_t low_ports = CAP_NET_BIND_SERVICE;

Error refused(const std::string& what) { return {Errc::permanent, "cannot " + what + ": " + std::strerror(errno), {}}; }

bool may_bind_low_ports() {
    const Capabilities mine(cap_get_proc());
    cap_flag_value_t value = CAP_CLEAR;
    return mine && cap_get_flag(mine.get(), low_ports, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

/// Only root can, and only as long as it is root.
Status reduce_bounding_set() {
    for (cap_value_t each = 0; each < cap_max_bits(); ++each) {
        if (each == low_ports || cap_get_bound(each) <= 0) continue;
        // Whoever was started without the right to do so has few of them.
        if (cap_drop_bound(each) != 0 && errno != EPERM) return refused("reduce the set of capabilities");
    }
    return {};
}

Status become(const passwd& user) {
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return refused("keep a capability");
    if (::initgroups(user.pw_name, user.pw_gid) != 0)
        return refused("take the groups of user " + std::string(user.pw_name));
    if (::setresgid(user.pw_gid, user.pw_gid, user.pw_gid) != 0)
        return refused("take the group of user " + std::string(user.pw_name));
    if (::setresuid(user.pw_uid, user.pw_uid, user.pw_uid) != 0)
        return refused("become user " + std::string(user.pw_name));
    if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return refused("keep no more capabilities");
    return {};
}

Status keep_only_low_ports(bool permitted) {
    const Capabilities wanted(cap_init());
    if (!wanted) return refused("make a set of capabilities");
    if (permitted) {
        for (const cap_flag_t set : {CAP_PERMITTED, CAP_EFFECTIVE}) {
            if (cap_set_flag(wanted.get(), set, 1, &low_ports, CAP_SET) != 0)
                return refused("make a set of capabilities");
        }
    }
    if (cap_set_proc(wanted.get()) != 0) return refused("give up capabilities");
    const Capabilities got(cap_get_proc());
    if (!got || cap_compare(got.get(), wanted.get()) != 0) {
        return Error{Errc::permanent, "capabilities are left that were given up", {}};
    }
    return {};
}

Status verify(const passwd& user) {
    uid_t real = 0, effective = 0, saved = 0;
    gid_t real_group = 0, effective_group = 0, saved_group = 0;
    const bool is_user = ::getresuid(&real, &effective, &saved) == 0 && real == user.pw_uid &&
                         effective == user.pw_uid && saved == user.pw_uid &&
                         ::getresgid(&real_group, &effective_group, &saved_group) == 0 && real_group == user.pw_gid &&
                         effective_group == user.pw_gid && saved_group == user.pw_gid;
    if (!is_user || ::setuid(0) == 0 || ::setgid(0) == 0) {
        return Error{Errc::permanent, "root's rights were given up, and are still there", {}};
    }
    return {};
}

}  // namespace

Status drop_privileges(const std::string& user, SetuidPrograms programs) {
    if (::geteuid() != 0) {
        // A unit's AmbientCapabilities are for this process, not for what it runs.
        cap_reset_ambient();
        return {};
    }
    errno = 0;
    const passwd* const found = ::getpwnam(user.empty() ? "popgate" : user.c_str());
    // Some name services say so, others say nothing of somebody who is not there.
    const bool is_unknown = !found && (errno == 0 || errno == ENOENT || errno == ESRCH);
    if (!found && !is_unknown) return refused("look for user " + (user.empty() ? "popgate" : user));
    if (!found && !user.empty()) {
        return Error{Errc::permanent, "there is no user \"" + user + "\" to run as", {}};
    }
    if (!found || found->pw_uid == 0) {
        if (!found) {
            log(LogLevel::warning, "running_as_root",
                {{"text", "there is no user popgate to become: make one, or name another as user in [process]"}});
        }
        return {};
    }
    const bool low = may_bind_low_ports();
    cap_reset_ambient();
    if (auto status = reduce_bounding_set(); status.has_error()) return status;
    if (auto status = become(*found); status.has_error()) return status;
    if (auto status = keep_only_low_ports(low); status.has_error()) return status;
    if (programs == SetuidPrograms::forbidden && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return refused("forbid setuid programs");
    }
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("forbid core dumps");
    return verify(*found);
}

Status forbid_programs() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("forbid setuid programs");
    // Rights that are handled and granted nowhere are had nowhere. There are no functions for these calls in glibc.
    landlock_ruleset_attr rules{};
    rules.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE;
    const auto ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0));
    if (ruleset < 0) {
        // An old kernel, or a filter of system calls that does not know these.
        if (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) return {};
        return refused("forbid programs");
    }
    const auto outcome = ::syscall(SYS_landlock_restrict_self, ruleset, 0);
    const int failure = errno;
    ::close(ruleset);
    errno = failure;
    return outcome == 0 ? Status{} : refused("forbid programs");
}

}  // namespace popgate
