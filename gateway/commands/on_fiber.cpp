#include "gateway/commands/on_fiber.hpp"

#include "gateway/commands/output.hpp"
#include "gateway/net/blocking_call.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace popgate::commands {

namespace {

constexpr std::array all_pools = {Blocking::files, Blocking::passwords, Blocking::names, Blocking::state};

}  // namespace

int on_fiber(const std::function<int(Fiber&)>& body, unsigned threads_a_pool) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that has gone is an error of the write
    boost::asio::io_context context(1);
    boost::asio::signal_set signals(context, SIGINT, SIGTERM);
    std::array<std::unique_ptr<BlockingPool>, all_pools.size()> pools;
    for (std::size_t i = 0; i < pools.size(); ++i) {
        pools[i] = std::make_unique<BlockingPool>(threads_a_pool, SIZE_MAX);
        set_blocking_pool(all_pools[i], pools[i].get());
    }
    Fiber* running = nullptr;
    bool interrupted = false;
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        interrupted = true;
        if (running) running->interrupt();
    });
    int exit_code = EXIT_FAILURE;
    std::string failure;
    bool failed = false;
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            running = &fiber;
            if (interrupted) fiber.interrupt();
            exit_code = body(fiber);
            running = nullptr;
            signals.cancel();
        },
        [&](const std::exception& error) {
            running = nullptr;
            failed = true;
            failure = error.what();
            signals.cancel();
        });
    context.run();
    bool idle = true;
    for (std::size_t i = 0; i < pools.size(); ++i) idle = idle && pools[i]->idle();
    if (interrupted && (failed || exit_code == EXIT_FAILURE)) exit_code = exit_interrupted;
    if (!idle) {
        // A name server or a file system that hangs must not hold up the end.
        if (failed) std::cerr << "popgate: " << failure << '\n';
        std::cout.flush();
        std::fflush(nullptr);
        std::_Exit(exit_code);
    }
    for (const auto kind : all_pools) set_blocking_pool(kind, nullptr);
    if (failed) throw std::runtime_error(failure);
    return exit_code;
}

}  // namespace popgate::commands
