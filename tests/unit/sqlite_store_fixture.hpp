#pragma once

#include "gateway/config/config.hpp"
#include "gateway/state/sqlite_database.hpp"
#include "gateway/state/sqlite_store.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace popgate::test {

namespace fs = std::filesystem;
inline const std::string cannot_be_read = "the unique-ids of this mailbox cannot be read";

inline std::string read_all(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

inline void write_all(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

inline std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
}

/// Runs `body` in a process of its own.
template <class Body>
pid_t start_child(Body body) {
    const auto child = fork();
    if (child == 0) {
        body();
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    return child;
}

/// The exit status; -1 when a signal ended it.
inline int end_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline MailboxChange adding(const StoredHead& head, std::uint32_t first, std::uint32_t last) {
    MailboxChange change;
    change.head = head;
    change.head->state = "state";
    change.head->next_number = last + 1;
    for (auto number = first; number <= last; ++number) {
        auto& message = change.added.emplace_back();
        message.number = number;
        message.info.id = std::to_string(number * 2);
        message.info.octets = 1000;
        message.hidden = number % 2 == 0;
    }
    return change;
}

inline MailboxChange hiding(std::uint32_t number) {
    MailboxChange change;
    change.changed.push_back({number, std::to_string(number * 2), {}, {}, {}, true, {}});
    return change;
}

inline std::map<std::string, std::string, std::less<>> imported_ids(const std::string& mailbox) {
    std::map<std::string, std::string, std::less<>> ids;
    for (int i = 0; i < 40; ++i) ids[std::to_string(i)] = mailbox + "-" + std::to_string(i);
    return ids;
}

struct SqliteStoreTest : testing::Test {
    ~SqliteStoreTest() override { fs::remove_all(directory); }

    static fs::path new_directory() {
        auto pattern = (fs::temp_directory_path() / "popgate-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    std::unique_ptr<StateStore> open() const { return open_state_store({"sqlite:" + path.string()}).value(); }

    /// What `body` logs.
    template <class Body>
    static std::string logged(Body body) {
        testing::internal::CaptureStderr();
        body();
        return testing::internal::GetCapturedStderr();
    }

    static StoredMailbox load(StateStore& store, const std::string& mailbox = "m") {
        StoredMailbox loaded;
        on_fiber([&](Fiber& fiber) {
            auto result = store.load(fiber, mailbox);
            ASSERT_TRUE(result) << result.error().text << ": " << result.error().detail;
            loaded = std::move(*result);
        });
        return loaded;
    }

    static Status load_status(StateStore& store, const std::string& mailbox = "m") {
        Status status;
        on_fiber([&](Fiber& fiber) {
            if (const auto result = store.load(fiber, mailbox); !result) status = result.error();
        });
        return status;
    }

    static Status save(StateStore& store, const MailboxChange& change, const std::string& mailbox = "m") {
        Status status;
        on_fiber([&](Fiber& fiber) {
            const auto result = store.save(fiber, mailbox, change);
            if (!result) status = result.error();
            EXPECT_TRUE(!result || *result) << "a conflict";
        });
        return status;
    }

    /// Ten mailboxes of 1,100 messages, with all that cannot be learned again; closed again.
    void fill() const {
        const auto store = open();
        on_fiber([&](Fiber& fiber) {
            for (int i = 0; i < 10; ++i) {
                const auto mailbox = "m" + std::to_string(i);
                ASSERT_TRUE(store->save(fiber, mailbox, adding({}, 1, 1100)));
                ASSERT_TRUE(store->keep_first_generation(fiber, mailbox, "g" + std::to_string(i)));
                ASSERT_TRUE(store->keep_imported(fiber, mailbox, "i" + std::to_string(i), imported_ids(mailbox)));
            }
        });
    }

    /// How many of the mailboxes that fill() made have unique-ids as they were; the others must fail to load.
    static int count_with_unique_ids(StateStore& store) {
        int there = 0;
        on_fiber([&](Fiber& fiber) {
            for (int i = 0; i < 10; ++i) {
                const auto mailbox = "m" + std::to_string(i);
                const auto loaded = store.load(fiber, mailbox);
                if (!loaded) {
                    EXPECT_EQ(loaded.error().code, Errc::temporary);
                    continue;
                }
                ++there;
                EXPECT_EQ(loaded->first_generation, "g" + std::to_string(i));
                EXPECT_EQ(loaded->imported_generation, "i" + std::to_string(i));
                EXPECT_EQ(loaded->imported, imported_ids(mailbox));
            }
        });
        return there;
    }

    std::set<std::string> names() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(path.parent_path())) names.insert(entry.path().filename());
        return names;
    }

    /// The damaged files that were moved aside.
    std::vector<fs::path> moved_aside() const {
        std::vector<fs::path> found;
        for (const auto& name : names())
            if (name.starts_with("state.db.corrupt-") && !name.ends_with("-wal"))
                found.push_back(path.parent_path() / name);
        return found;
    }

    fs::path directory = new_directory();
    fs::path path = directory / "state.db";
    fs::path unique_ids = directory / "state.db-unique-ids";
};

}  // namespace popgate::test
