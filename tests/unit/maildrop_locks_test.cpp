#include "gateway/accounts/maildrop_locks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace popgate {
namespace {

TEST(MaildropLocks, OneAtATimeForAKey) {
    MaildropLocks locks;
    auto lock = locks.try_lock("a");
    ASSERT_TRUE(lock);
    EXPECT_FALSE(locks.try_lock("a"));
    EXPECT_FALSE(locks.try_lock("a")) << "a refusal unlocks nothing";
    EXPECT_TRUE(locks.try_lock("b")) << "and others do not matter";
    lock.reset();
    EXPECT_TRUE(locks.try_lock("a"));
}

TEST(MaildropLocks, KeysAreTakenAsTheyAre) {
    MaildropLocks locks;
    const auto lock = locks.try_lock("a");
    for (const auto* key : {"", "A", "a ", "aa"}) EXPECT_TRUE(locks.try_lock(key)) << key;
    EXPECT_TRUE(locks.try_lock(std::string("a\0b", 3)));
}

TEST(MaildropLocks, OfManyThreadsOneHasIt) {
    MaildropLocks locks;
    std::atomic<int> holders = 0;
    std::atomic<int> taken = 0;
    std::atomic<bool> shared = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 2000; ++round)
                if (const auto lock = locks.try_lock("key")) {
                    if (++holders > 1) shared = true;
                    ++taken;
                    --holders;
                }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_FALSE(shared);
    EXPECT_GT(taken, 0);
    EXPECT_TRUE(locks.try_lock("key"));
}

}  // namespace
}  // namespace popgate
