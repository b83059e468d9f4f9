#include "gateway/app.hpp"

#include "gateway/net/blocking_call.hpp"
#include "gateway/net/fiber.hpp"
#include "gateway/observe/log.hpp"
#include "gateway/server.hpp"
#include "gateway/state/state_store.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

namespace popgate {

namespace {

// Password checks, or name look-ups, that wait or run at once: past that a login is told that the server is busy.
constexpr std::size_t login_queue = 1000;

// Two descriptors a session: the soft limit is for programs that use select().
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void set_up_malloc() {
    // By default each thread of the pools has an arena of its own. What one of them allocates for a session, the
    // session frees, and the arena keeps it while the next session's mailbox takes new memory from another one.
    const auto most = std::max(1U, std::thread::hardware_concurrency() / 2);
    mallopt(M_ARENA_MAX, static_cast<int>(most));
    // A mailbox of 100,000 messages takes about 20 MB while it is opened. Given back to the kernel each time, half of
    // the next opening is page faults; and what the library learns of sizes by itself may just miss, or keep 64 MiB.
    mallopt(M_MMAP_THRESHOLD, 16 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
}

// A fiber's stack and its guard page are a memory map each; libraries need some thousands.
void warn_of_few_memory_maps(std::uint64_t sessions) {
    std::uint64_t maps = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> maps;
    if (maps == 0 || 2 * sessions + 5000 <= maps) return;
    log(LogLevel::warning, "config",
        {{"key", "limits.max_sessions"},
         {"text", "the kernel allows fewer stacks than that: raise vm.max_map_count"},
         {"vm.max_map_count", maps}});
}

/// A store that cannot be reached now may be there later; one of another version will not change.
Status check(StateStore& store) {
    Status status;
    boost::asio::io_context context(1);
    Fiber::start(
        context, [&](Fiber& fiber) { status = store.check(fiber); },
        [&](const std::exception& error) {
            status = Error{Errc::permanent, error.what(), {}};
        });
    context.run();
    return status.has_error() && status.error().code != Errc::temporary ? status : Status{};
}

}  // namespace

int run_gateway(const Config& config, std::function<LoadedConfig()> load) {
    const auto fail = [](const std::string& why) {
        log(LogLevel::error, "start_failed", {{"error", why}});
        return 1;
    };
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // a file that must not grow is as a full disk
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    raise_descriptor_limit();
    set_up_malloc();
    warn_of_few_memory_maps(config.limits.max_sessions);
    auto store = open_state_store(config.state);
    if (store.has_error()) return fail(store.error().text);
    auto passed = passed_sockets();
    if (passed.has_error()) return fail(passed.error().text);
    Server server(std::make_shared<const Config>(config), std::move(load), std::move(*passed), **store);
    // They end before the loops that they wake. Reading is part of sessions that are admitted already: never refused.
    BlockingPool files(config.limits.blocking_threads, SIZE_MAX);
    BlockingPool passwords(config.limits.blocking_threads, login_queue);
    BlockingPool names(config.limits.blocking_threads, login_queue);
    BlockingPool state(config.limits.blocking_threads, SIZE_MAX);
    set_blocking_pool(Blocking::files, &files);
    set_blocking_pool(Blocking::passwords, &passwords);
    set_blocking_pool(Blocking::names, &names);
    set_blocking_pool(Blocking::state, &state);
    if (auto status = check(**store); status.has_error()) return fail(status.error().text);
    if (auto status = server.start(); status.has_error()) return fail(status.error().text);
    server.run(signals);
    // Every session has ended; a name server or a file system that hangs must not hold up the end.
    if (server.is_reloading() || !files.idle() || !passwords.idle() || !names.idle() || !state.idle()) std::_Exit(0);
    return 0;
}

}  // namespace popgate
