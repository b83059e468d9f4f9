#pragma once

#include "gateway/net/blocking_call.hpp"
#include "gateway/net/fiber.hpp"

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include <functional>

namespace popgate::test {

/// Runs `body` on a fiber, with a blocking pool of its own, and returns when it has ended. An ASSERT in it ends it.
inline void on_fiber(const Fiber::Body& body, unsigned pool_threads = 2, std::size_t pool_queue = 1000) {
    boost::asio::io_context context(1);
    BlockingPool pool(pool_threads, pool_queue);  // ends before the context, which its work tells when it is done
    const std::initializer_list<Blocking> kinds = {Blocking::files, Blocking::passwords, Blocking::names, Blocking::state};
    for (const auto kind : kinds) set_blocking_pool(kind, &pool);
    bool has_ended = false;
    Fiber::start(
        context,
        [&](Fiber& fiber) {
            body(fiber);
            has_ended = true;
        },
        [&](const std::exception& error) {
            ADD_FAILURE() << "an exception left the fiber: " << error.what();
            has_ended = true;
        });
    context.run();
    EXPECT_TRUE(has_ended) << "the fiber waits for something that will never come";
    for (const auto kind : kinds) set_blocking_pool(kind, nullptr);
}

}  // namespace popgate::test
