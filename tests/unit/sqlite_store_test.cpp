#include "tests/unit/sqlite_store_fixture.hpp"

#include <boost/asio/post.hpp>

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <optional>

namespace popgate::test {
namespace {

using namespace std::string_literals;

// --- where it is

TEST_F(SqliteStoreTest, AMissingDirectoryIsMadeAndNobodyElseReadsIt) {
    for (const mode_t mask : {0, 0777}) {
        path = directory / ("d" + std::to_string(mask)) / "e" / "state.db";
        const auto before = umask(mask);
        const auto store = open();
        EXPECT_TRUE(save(*store, adding({}, 1, 1)));
        umask(before);
        EXPECT_EQ(store->impairment(), "");
        for (const auto& made : {path.parent_path(), path.parent_path().parent_path()})
            EXPECT_EQ(fs::status(made).permissions(), fs::perms(0750)) << made;
        EXPECT_TRUE(names().contains("state.db-wal") && names().contains("state.db-shm"));
        for (const auto& name : names())
            EXPECT_EQ(fs::status(path.parent_path() / name).permissions(), fs::perms(0600)) << name;
    }
}

TEST_F(SqliteStoreTest, AFileThatOthersCouldReadIsClosedToThem) {
    fill();
    fs::permissions(path, fs::perms(0644));
    open();
    EXPECT_EQ(fs::status(path).permissions(), fs::perms(0600));
}

TEST_F(SqliteStoreTest, AUrlThatMeansNothingIsAnError) {
    const std::vector<std::pair<std::string, std::string>> refused{{"", "known are \"sqlite:/path\""},
                                                                   {"redis://127.0.0.1/x", "the database"},
                                                                   {"SQLITE:/x", "known are"},
                                                                   {"sqlite", "known are"},
                                                                   {"sqlite:state.db", "not absolute"},
                                                                   {"sqlite:./state.db", "not absolute"},
                                                                   {"sqlite:/var/lib/", "names no file"},
                                                                   {"sqlite:/a\0b"s, "names no file"}};
    for (const auto& [url, text] : refused) {
        const auto store = open_state_store({url});
        ASSERT_FALSE(store) << url;
        EXPECT_EQ(store.error().code, Errc::permanent);
        EXPECT_NE(store.error().text.find(text), std::string::npos) << store.error().text;
    }
}

TEST_F(SqliteStoreTest, AnOlderVersionIsBroughtToTheLatestOnce) {
    static int steps = 0;
    sqlite::Schema schema{4711, {[](sqlite::Database& database) { database.execute("CREATE TABLE a(x)"); }}};
    write_all(path, "");
    const auto adopt = [&] {
        sqlite::Database database(path, sqlite::Database::Open::existing);
        sqlite::adopt(database, schema);
        return database.number("PRAGMA user_version");
    };
    EXPECT_EQ(adopt(), 1);
    schema.steps.push_back([](sqlite::Database& database) {
        ++steps;
        database.execute("ALTER TABLE a ADD COLUMN y");
    });
    EXPECT_EQ(adopt(), 2);
    EXPECT_EQ(adopt(), 2);
    EXPECT_EQ(steps, 1);
    schema.steps.push_back([](sqlite::Database& database) {
        database.execute("CREATE TABLE b(x)");
        database.execute("no SQL");
    });
    EXPECT_THROW(adopt(), sqlite::Failure);
    schema.steps.pop_back();
    EXPECT_EQ(adopt(), 2) << "a step that fails has changed nothing";
}

TEST_F(SqliteStoreTest, UniqueIdsOfBeforeIdsWereRetiredAreKept) {
    fill();
    sqlite::Database(unique_ids, sqlite::Database::Open::existing)
        .execute("DROP TABLE retired; PRAGMA user_version = 1");
    const auto store = open();
    EXPECT_EQ(store->impairment(), "");
    EXPECT_EQ(count_with_unique_ids(*store), 10);
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->keep_retired(fiber, "m1", {{"a", 1}}, 1'800'000'000));
        EXPECT_EQ(*open()->retired(fiber, "m1"), (RetiredIds{{"a", 1}}));
    });
}

TEST_F(SqliteStoreTest, ADamagedRetiredIdIsAFault) {
    const auto store = open();
    on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(store->keep_retired(fiber, "m", {{"a", 2}}, 1'800'000'000));
        sqlite::Database(unique_ids, sqlite::Database::Open::existing).execute("UPDATE retired SET times = 1");
        EXPECT_EQ(store->retired(fiber, "m").error().text, cannot_be_read);
    });
}

// --- files that cannot be used

TEST_F(SqliteStoreTest, AForeignOrNewerFileIsLeftAsItIs) {
    const auto make = [&](const char* statements) {
        sqlite::Database database(path, sqlite::Database::Open::create);
        database.execute(statements);
    };
    const std::vector<std::pair<std::function<void()>, std::string>> files{
        {[&] { make("CREATE TABLE t(x)"); }, "another program"},
        {[&] { make("PRAGMA application_id = 5"); }, "another program"},
        {[&] { write_all(path, "Dear diary,\n" + std::string(5000, 'x')); }, "not a database"},
        {[&] { write_all(path, "x"); }, "not a database"},
        {[&] { fill(), make("PRAGMA user_version = 99; PRAGMA journal_mode = DELETE"); }, "newer popgate"},
        {[&] { fs::create_directory(path); }, "unable to open"},
    };
    for (const auto& [make_file, reason] : files) {
        fs::remove_all(path);
        make_file();
        const auto before = fs::is_directory(path) ? "" : read_all(path);
        std::unique_ptr<StateStore> store;
        const auto log = logged([&] { store = open(); });
        EXPECT_EQ(count(log, " error state_unusable "), 1U) << log;
        EXPECT_NE(log.find(reason), std::string::npos) << log;
        EXPECT_NE(store->impairment().find(reason), std::string::npos) << store->impairment();
        EXPECT_FALSE(store->lasts());
        EXPECT_TRUE(save(*store, adding({}, 1, 3)));
        EXPECT_EQ(load(*store).messages.size(), 3U);
        on_fiber([&](Fiber& fiber) { EXPECT_TRUE(store->keep_imported(fiber, "m", "g", {{"1", "x"}})); });
        store.reset();
        EXPECT_EQ(load(*open()).imported.size(), 1U) << "what cannot be learned again is in the other file";
        if (!fs::is_directory(path)) {
            EXPECT_TRUE(read_all(path) == before) << reason;
        }
        EXPECT_TRUE(moved_aside().empty());
    }
}

TEST_F(SqliteStoreTest, AFileThatBecomesNewerIsNotTouchedAnyMore) {
    fill();
    const auto store = open();
    EXPECT_TRUE(load_status(*store, "m1"));
    sqlite::Database(path, sqlite::Database::Open::existing).execute("PRAGMA user_version = 2");
    EXPECT_EQ(load_status(*store, "m1").error().code, Errc::temporary);
    EXPECT_EQ(save(*store, adding({}, 1, 1)).error().code, Errc::temporary);
    EXPECT_TRUE(moved_aside().empty());
}

/// With the rights of nobody where we are root, for whom nothing is read-only.
class AsNobody {
public:
    explicit AsNobody(const fs::path& tree) {
        if (geteuid() != 0) return;
        for (const auto& each : fs::recursive_directory_iterator(tree))
            EXPECT_EQ(lchown(each.path().c_str(), id, id), 0);
        EXPECT_EQ(lchown(tree.c_str(), id, id), 0);
        EXPECT_EQ(seteuid(id), 0);
        is_nobody_ = true;
    }
    ~AsNobody() {
        if (is_nobody_) {
            EXPECT_EQ(seteuid(0), 0);
        }
    }

private:
    static constexpr uid_t id = 65534;
    bool is_nobody_ = false;
};

TEST_F(SqliteStoreTest, WhatIsReadOnlyIsRead) {
    fill();
    const AsNobody nobody(directory);
    for (const auto& [file_mode, directory_mode] : {std::pair{0400, 0700}, {0600, 0500}, {0400, 0500}}) {
        fs::permissions(directory, fs::perms(0700));
        for (const auto& name : names()) fs::permissions(directory / name, fs::perms(file_mode));
        fs::permissions(directory, fs::perms(directory_mode));
        std::unique_ptr<StateStore> store;
        const auto log = logged([&] { store = open(); });
        if (directory_mode == 0500) {
            EXPECT_NE(store->impairment().find("read-only"), std::string::npos) << store->impairment();
            EXPECT_EQ(count(log, "state_read_only"), 1U) << log;
            EXPECT_EQ(save(*store, hiding(1), "m1").error().code, Errc::temporary);
        }
        EXPECT_TRUE(store->lasts());
        EXPECT_EQ(count_with_unique_ids(*store), 10);
        EXPECT_EQ(load(*store, "m3").messages.size(), 1100U);
        store.reset();
    }
    fs::permissions(directory, fs::perms(0700));
}

TEST_F(SqliteStoreTest, WhereNothingCanBeMadeMemoryStandsIn) {
    const AsNobody nobody(directory);
    fs::permissions(directory, fs::perms(0500));
    for (const auto& where : {directory / "state.db", directory / "missing" / "state.db"}) {
        path = where;
        const auto store = open();
        EXPECT_FALSE(store->lasts());
        EXPECT_NE(store->impairment(), "");
        EXPECT_TRUE(save(*store, adding({}, 1, 3)));
        EXPECT_EQ(load(*store).messages.size(), 3U) << "nothing has ever been kept, so nothing is forgotten";
        on_fiber([&](Fiber& fiber) {
            EXPECT_EQ(store->keep_imported(fiber, "m", "g", {{"1", "x"}}).error().code, Errc::temporary);
        });
    }
    fs::permissions(directory, fs::perms(0700));
}

TEST_F(SqliteStoreTest, AFullDiskLosesNothingAndIsReportedOnce) {
    fill();
    // The limit on a file's size, as no disk is at hand that could be filled.
    const auto child = start_child([&] {
        signal(SIGXFSZ, SIG_IGN);
        const auto store = open();
        EXPECT_TRUE(save(*store, hiding(1), "m1"));
        const rlimit limit{64 * 1024, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &limit);
        const auto log = logged([&] {
            for (int i = 0; i < 3; ++i) EXPECT_EQ(save(*store, adding({}, 1, 100'000)).error().code, Errc::temporary);
        });
        EXPECT_EQ(count(log, " error state_not_written "), 1U) << log;
        EXPECT_NE(store->impairment(), "");
        EXPECT_TRUE(store->lasts());
        EXPECT_EQ(load(*store, "m1").messages.size(), 1100U);
        const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &none);
        EXPECT_TRUE(save(*store, adding({}, 1, 10)));
        EXPECT_EQ(store->impairment(), "");
    });
    EXPECT_EQ(end_of(child), 0);
    const auto store = open();
    EXPECT_EQ(load(*store).messages.size(), 10U);
    EXPECT_TRUE(load(*store, "m1").messages[0].hidden);
    EXPECT_TRUE(moved_aside().empty());
}

// --- unique-ids outlive the index

TEST_F(SqliteStoreTest, AnIndexThatIsWipedLeavesTheUniqueIds) {
    for (const bool while_open : {false, true}) {
        fill();
        auto store = open();
        if (!while_open) store.reset();
        for (const auto* end : {"", "-wal", "-shm"}) fs::remove(path.string() + end);
        if (!while_open) store = open();
        EXPECT_EQ(count_with_unique_ids(*store), 10);
        EXPECT_EQ(load(*store, "m1").head.version, 0U);
        store.reset();
        for (const auto& name : names()) fs::remove(directory / name);
        EXPECT_TRUE(load(*open(), "m1").imported.empty()) << "who removes both begins anew";
        for (const auto& name : names()) fs::remove(directory / name);
    }
}

TEST_F(SqliteStoreTest, WithoutTheUniqueIdsNoMailboxOpens) {
    fill();
    const auto whole = read_all(unique_ids);
    const std::vector<std::pair<std::function<void()>, std::string>> harms{
        {[&] { fs::remove(unique_ids); }, "missing"},
        {[&] { write_all(unique_ids, ""); }, "empty"},
        {[&] { write_all(unique_ids, "no database"); }, "not a database"},
        {[&] { write_all(unique_ids, whole.substr(0, whole.size() / 2)); }, "malformed"},
        {[&] { sqlite::Database(unique_ids, sqlite::Database::Open::existing).execute("PRAGMA user_version = 99"); },
         "newer"},
        {[&] { sqlite::Database(unique_ids, sqlite::Database::Open::existing).execute("DELETE FROM buckets"); },
         "missing"},
        {[&] { sqlite::Database(unique_ids, sqlite::Database::Open::existing).execute("DELETE FROM imported"); },
         "missing"},
        {[&] { sqlite::Database(unique_ids, sqlite::Database::Open::existing).execute("DROP TABLE buckets"); },
         "no such table"},
    };
    for (const auto& each : harms) {
        const auto& reason = each.second;
        each.first();
        const auto harmed = fs::exists(unique_ids) ? read_all(unique_ids) : "";
        const auto log = logged([&] {
            const auto store = open();
            const auto status = load_status(*store, "m1");
            ASSERT_FALSE(status) << reason;
            EXPECT_EQ(status.error().code, Errc::temporary);
            EXPECT_EQ(status.error().text, cannot_be_read);
            EXPECT_FALSE(load_status(*store, "m2"));
            if (!fs::exists(unique_ids)) {
                EXPECT_FALSE(load_status(*store, "never seen"));
            }
        });
        EXPECT_EQ(count(log, "state_unique_ids_unreadable"), 1U) << log;
        EXPECT_NE(log.find(reason), std::string::npos) << log;
        EXPECT_TRUE((fs::exists(unique_ids) ? read_all(unique_ids) : "") == harmed)
            << "it is left as it is: " << reason;
        for (const auto* end : {"", "-wal", "-shm"}) fs::remove(unique_ids.string() + end);
        write_all(unique_ids, whole);
        EXPECT_EQ(count_with_unique_ids(*open()), 10) << "once it is back, so are they";
    }
}

TEST_F(SqliteStoreTest, UniqueIdsThatComeBackAreReadWithoutARestart) {
    fill();
    fs::rename(unique_ids, directory / "backup");
    const auto store = open();
    EXPECT_FALSE(load_status(*store, "m1"));
    fs::rename(directory / "backup", unique_ids);
    EXPECT_EQ(count_with_unique_ids(*store), 10);
}

// --- waiting

TEST_F(SqliteStoreTest, WhatNobodyWaitsForAnyMoreIsNotWritten) {
    const auto store = open();
    EXPECT_TRUE(save(*store, adding({}, 1, 1)));
    on_fiber([&](Fiber& fiber) {
        sqlite::Database other(path, sqlite::Database::Open::existing);
        auto holding = std::make_optional<sqlite::Transaction>(other, sqlite::Transaction::Kind::write);
        boost::asio::post(fiber.context(), [&] { fiber.interrupt(); });
        const auto saved = store->save(fiber, "m", hiding(1));
        ASSERT_FALSE(saved);
        EXPECT_EQ(saved.error().code, Errc::temporary);
        holding.reset();
        fiber.resume_waits();
    });
    EXPECT_FALSE(load(*store).messages[0].hidden);
    EXPECT_TRUE(save(*store, hiding(1)));
    EXPECT_TRUE(load(*store).messages[0].hidden);
}

}  // namespace
}  // namespace popgate::test
