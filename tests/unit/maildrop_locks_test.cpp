#include "gateway/state/maildrop_locks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace popgate {
namespace {

TEST(MaildropLocks, OneAtATimeForAKey) {
    const auto made = std::make_shared<MaildropLocks>();
    auto& locks = *made;
    auto lock = locks.try_lock("a");
    ASSERT_TRUE(lock);
    EXPECT_FALSE(locks.try_lock("a"));
    EXPECT_FALSE(locks.try_lock("a")) << "a refusal unlocks nothing";
    EXPECT_TRUE(locks.try_lock("b")) << "and others do not matter";
    lock.reset();
    EXPECT_TRUE(locks.try_lock("a"));
}

TEST(MaildropLocks, KeysAreTakenAsTheyAre) {
    const auto made = std::make_shared<MaildropLocks>();
    auto& locks = *made;
    const auto lock = locks.try_lock("a");
    for (const auto* key : {"", "A", "a ", "aa"}) EXPECT_TRUE(locks.try_lock(key)) << key;
    EXPECT_TRUE(locks.try_lock(std::string("a\0b", 3)));
}

TEST(MaildropLocks, OfManyThreadsOneHasIt) {
    const auto made = std::make_shared<MaildropLocks>();
    auto& locks = *made;
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
