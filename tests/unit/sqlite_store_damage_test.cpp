#include "tests/unit/sqlite_store_fixture.hpp"

#include <sys/stat.h>

#include <csignal>
#include <random>

namespace popgate::test {
namespace {

using SqliteStoreDamageTest = SqliteStoreTest;

// A round takes several times as long with sanitizers.
#ifdef POPGATE_SANITIZED
constexpr int random_damages = 45;
constexpr int kills = 20;
#else
constexpr int random_damages = 120;
constexpr int kills = 60;
#endif

TEST_F(SqliteStoreDamageTest, OneBadChunkCostsItsMessagesAlone) {
    fill();
    {
        sqlite::Database database(path, sqlite::Database::Open::existing);
        database.execute(
            "UPDATE chunks SET data = substr(data, 1, 1000) || x'55' || substr(data, 1002) WHERE id = 3 * 8388608 + 1");
    }
    const auto before = read_all(path);
    const auto log = logged([&] {
        const auto store = open();
        const auto loaded = load(*store, "m2");  // the third
        EXPECT_EQ(loaded.messages.size(), 1100U - 512);
        EXPECT_EQ(loaded.head.state, "") << "it must be looked at whole, to find again what is missing";
        EXPECT_GT(loaded.head.version, 1000U) << "nobody's view of before may be saved over it";
        EXPECT_EQ(loaded.head.next_number, 1101U);
        for (const auto& message : loaded.messages) EXPECT_EQ(message.hidden, message.number % 2 == 0);
        EXPECT_TRUE(save(*store, adding(loaded.head, 1101, 1102), "m2"));
        EXPECT_EQ(load(*store, "m5").messages.size(), 1100U);
        EXPECT_EQ(count_with_unique_ids(*store), 10);
        EXPECT_EQ(store->impairment(), "");
    });
    EXPECT_EQ(count(log, " error state_corrupt "), 1U) << log;
    EXPECT_EQ(count(log, " warning state_rebuilt "), 1U) << log;
    EXPECT_NE(log.find("mailboxes=10 messages=10488 lost_mailboxes=0 lost_chunks=1"), std::string::npos) << log;
    const auto aside = moved_aside();
    ASSERT_EQ(aside.size(), 1U);
    EXPECT_TRUE(read_all(aside[0]) == before);
    EXPECT_FALSE(names().contains("state.db.new") || names().contains("state.db.replacement"));
    EXPECT_EQ(fs::status(path).permissions(), fs::perms(0600));
}

TEST_F(SqliteStoreDamageTest, AFileThatWasCutOrHasAHoleIsRebuilt) {
    fill();
    const auto whole = read_all(path);
    for (const double part : {0.3, 0.6, 0.9, 0.99}) {
        const auto size = static_cast<std::size_t>(static_cast<double>(whole.size()) * part);
        for (const bool cut : {true, false}) {
            for (const auto& name : names())
                if (name.starts_with("state.db") && !name.starts_with("state.db-unique-ids"))
                    fs::remove(directory / name);
            write_all(path, cut ? whole.substr(0, size)
                                : whole.substr(0, size / 4096 * 4096) + std::string(8192, '\0') +
                                      whole.substr(std::min(whole.size(), size / 4096 * 4096 + 8192)));
            std::size_t messages = 0;
            const auto log = logged([&] {
                const auto store = open();
                for (int i = 0; i < 10; ++i) {
                    const auto mailbox = "m" + std::to_string(i);
                    const auto loaded = load(*store, mailbox);
                    messages += loaded.messages.size();
                    for (const auto& message : loaded.messages) EXPECT_EQ(message.hidden, message.number % 2 == 0);
                    EXPECT_TRUE(
                        save(*store, adding(loaded.head, loaded.head.next_number, loaded.head.next_number), mailbox));
                }
                EXPECT_EQ(count_with_unique_ids(*store), 10);
            });
            EXPECT_EQ(count(log, "state_rebuilt"), 1U) << log;
            EXPECT_GT(messages, static_cast<std::size_t>(part * 10 * 1100 * 0.4)) << "cut " << cut << " " << log;
        }
    }
}

TEST_F(SqliteStoreDamageTest, DamageAtRandomPlacesNeverChangesAUniqueId) {
    fill();
    const auto index = read_all(path), ids = read_all(unique_ids);
    std::mt19937 random(20261125);
    int readable = 0;
    for (int round = 0; round < random_damages; ++round) {
        for (const auto& name : names()) fs::remove(directory / name);
        const auto harm = [&](std::string octets) {
            for (auto n = random() % 8; n-- > 0;) {
                // The beginning of a page says most.
                auto at = random() % octets.size();
                if (random() % 2) at = at / 4096 * 4096 + random() % 120;
                octets[std::min(at, octets.size() - 1)] = static_cast<char>(random());
            }
            return octets;
        };
        write_all(path, round % 3 == 1 ? index : harm(index));
        write_all(unique_ids, round % 3 == 0 ? ids : harm(ids));
        logged([&] {
            const auto store = open();
            const int there = count_with_unique_ids(*store);
            readable += there;
            if (round % 3 == 0) {
                EXPECT_EQ(there, 10) << round;
            }
            EXPECT_TRUE(save(*store, adding({}, 1, 700), "new")) << round;
            on_fiber([&](Fiber& fiber) {
                for (int i = 0; i < 10; ++i) {
                    (void)store->keep_imported(fiber, "m" + std::to_string(i), "i" + std::to_string(i),
                                               imported_ids("m" + std::to_string(i)));
                    (void)store->forget(fiber, "m" + std::to_string(i));
                }
                (void)store->mailboxes(fiber);
            });
            EXPECT_EQ(count_with_unique_ids(*open()) >= there, true) << round;
        });
    }
    EXPECT_GT(readable, 5 * random_damages) << "most damage is to few mailboxes";
}

TEST_F(SqliteStoreDamageTest, DamageThatComesWhileItIsOpenIsRepaired) {
    fill();
    const auto store = open();
    EXPECT_TRUE(save(*store, hiding(1), "m1"));  // so that there is a log, too
    auto octets = read_all(path);
    {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(4096);
        for (std::size_t at = 4096; at < octets.size(); at += 4096)
            file << std::string(100, 'x') << std::string(3996, 'y');
    }
    logged([&] {
        const auto loaded = load(*store, "m7");
        EXPECT_TRUE(save(*store, adding(loaded.head, loaded.head.next_number, loaded.head.next_number + 10), "m7"));
        EXPECT_EQ(count_with_unique_ids(*store), 10);
    });
    EXPECT_EQ(moved_aside().size(), 1U);
}

TEST_F(SqliteStoreDamageTest, ManyFindTheDamageAndOneRepairsIt) {
    fill();
    {
        sqlite::Database database(path, sqlite::Database::Open::existing);
        database.execute("UPDATE chunks SET data = x'00' WHERE id % 8388608 = 2");
    }
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i)
        children.push_back(start_child([&] {
            testing::internal::CaptureStderr();
            const auto store = open();
            for (int m = 0; m < 10; ++m) EXPECT_EQ(load(*store, "m" + std::to_string(m)).messages.size(), 1023U);
        }));
    for (const auto child : children) EXPECT_EQ(end_of(child), 0);
    EXPECT_EQ(moved_aside().size(), 1U);
}

TEST_F(SqliteStoreDamageTest, ABadRecordHarmsNoOther) {
    on_fiber([&](Fiber& fiber) {
        const auto store = open();
        for (const auto* name : {"ann", "bob", "cid"}) ASSERT_TRUE(*store->keep_record(fiber, "tokens", name, name, 0));
    });
    const auto accounts = directory / "state.db-accounts";
    {
        sqlite::Database database(accounts, sqlite::Database::Open::existing);
        database.execute(
            "UPDATE records SET data = substr(data, 1, 1) || x'55' || substr(data, 3) WHERE name = x'626f62'");
        // Another account's octets, as they are, are none of its own.
        database.execute(
            "UPDATE records SET data = (SELECT data FROM records WHERE name = x'616e6e') WHERE name = x'636964'");
    }
    (void)logged([&] {
        on_fiber([&](Fiber& fiber) {
            const auto store = open();
            EXPECT_EQ(store->record(fiber, "tokens", "ann")->octets, "ann");
            for (const auto* name : {"bob", "cid"}) {
                EXPECT_EQ(store->record(fiber, "tokens", name).error().code, Errc::temporary);
                EXPECT_FALSE(store->keep_record(fiber, "tokens", name, "over it", 0)) << "its octets may yet be saved";
            }
            EXPECT_EQ(store->record_names(fiber, "tokens")->size(), 3U);
            EXPECT_TRUE(*store->erase_record(fiber, "tokens", "bob"));
            EXPECT_TRUE(*store->keep_record(fiber, "tokens", "bob", "again", 0));
            EXPECT_EQ(store->record(fiber, "tokens", "bob")->octets, "again");
        });
    });
}

// --- kill -9

TEST_F(SqliteStoreDamageTest, KilledAtAnyMomentItHasEachChangeOrNot) {
    std::mt19937 random(20261125);
    const auto report_file = directory / "reported";
    std::uint32_t reported = 0;
    for (int round = 0; round < 25; ++round) {
        fs::remove(report_file);
        const auto child = start_child([&] {
            const auto store = open();
            on_fiber([&](Fiber& fiber) {
                std::ofstream report(report_file);
                for (auto next = store->load(fiber, "m")->head.next_number;; ++next) {
                    auto change = adding(store->load(fiber, "m")->head, next, next);
                    change.durable = next % 2;
                    if (next > 1) change.changed = {{next - 1, std::to_string((next - 1) * 2), 5, {}, {}, {}, {}}};
                    if (next > 700) change.removed = {next - 700};
                    if (!*store->save(fiber, "m", change)) _exit(2);
                    if (!store->keep_imported(fiber, "m", std::to_string(next), {{"a", std::to_string(next)}}))
                        _exit(3);
                    report << next << std::endl;
                }
            });
        });
        // Machines differ in what they do in a moment: it is counted in changes, and some moments more.
        const auto octets_reported = random() % 50;
        std::error_code is_not_there;
        for (int i = 0; i < 100'000; ++i) {
            const auto size = fs::file_size(report_file, is_not_there);
            if (octets_reported == 0 || (!is_not_there && size >= octets_reported)) break;
            usleep(100);
        }
        usleep(random() % 5'000);
        kill(child, SIGKILL);
        EXPECT_EQ(end_of(child), -1);
        std::ifstream reports(report_file);
        std::uint32_t reported_now = 0;
        for (std::uint32_t number = 0; reports >> number;) reported_now = number;
        reported = std::max(reported, reported_now);
        const auto loaded = load(*open());
        const auto last = loaded.head.next_number - 1;
        EXPECT_GE(last, reported);
        EXPECT_LE(last, reported + 1);
        EXPECT_EQ(loaded.head.version, last);
        ASSERT_EQ(loaded.messages.size(), std::min<std::size_t>(last, 700));
        for (const auto& message : loaded.messages)
            EXPECT_EQ(message.info.octets_are_exact, message.number < last) << message.number;
        if (last > 0) {
            const auto imported = loaded.imported.empty() ? "" : loaded.imported.at("a");
            EXPECT_EQ(imported, loaded.imported_generation);
            EXPECT_GE(std::atoi(imported.c_str()), static_cast<int>(reported_now));
        }
        reported = last;
    }
    EXPECT_GT(reported, 25U);
    EXPECT_TRUE(moved_aside().empty());
}

TEST_F(SqliteStoreDamageTest, KilledWhileItRepairsNothingMoreIsLost) {
    fill();
    {
        sqlite::Database database(path, sqlite::Database::Open::existing);
        database.execute("UPDATE chunks SET data = x'00' WHERE id = 3 * 8388608 + 1");
    }
    const auto damaged = read_all(path);
    std::mt19937 random(20261125);
    for (int round = 0; round < kills; ++round) {
        for (const auto& name : names())
            if (!name.starts_with("state.db-unique-ids")) fs::remove(directory / name);
        write_all(path, damaged);
        const auto child = start_child([&] {
            testing::internal::CaptureStderr();
            load(*open(), "m2");
        });
        usleep(random() % 25'000);
        kill(child, SIGKILL);
        end_of(child);
        logged([&] {
            const auto store = open();
            for (int i = 0; i < 10; ++i)
                EXPECT_EQ(load(*store, "m" + std::to_string(i)).messages.size(), i == 2 ? 588U : 1100U) << round;
            EXPECT_EQ(count_with_unique_ids(*store), 10);
        });
        EXPECT_GE(moved_aside().size(), 1U);
        EXPECT_FALSE(names().contains("state.db.replacement"));
    }
}

TEST_F(SqliteStoreDamageTest, KilledWhileItIsMadeItIsMadeByTheNext) {
    std::mt19937 random(20261125);
    for (int round = 0; round < kills; ++round) {
        const auto child = start_child([&] { load(*open()); });
        usleep(random() % 15'000);
        kill(child, SIGKILL);
        end_of(child);
        const auto store = open();
        EXPECT_EQ(store->impairment(), "") << round;
        EXPECT_TRUE(save(*store, adding({}, 1, 1)));
        for (const auto& name : names()) fs::remove(directory / name);
    }
}

}  // namespace
}  // namespace popgate::test
