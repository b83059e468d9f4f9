#include "backends/mbox/mbox_backend.hpp"
#include "backends/mbox/mbox_lock.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

namespace popgate {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using namespace std::chrono_literals;

const auto separator = "From sender@example.com Sun Sep 13 12:26:40 2020\n"s;

std::string read_all(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

void append(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::app) << text;
}

struct MboxAppendTest : testing::Test {
    MboxAppendTest() { options.trash_folder = "%u.trash"; }
    ~MboxAppendTest() override { fs::remove_all(directory); }

    static fs::path new_directory() {
        auto pattern = (fs::temp_directory_path() / "popgate-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    Result<std::unique_ptr<Backend>> make() const {
        BackendOptions changed = options;
        if (changed.url.empty()) changed.url = "mbox:" + directory.string() + "/%u";
        return make_mbox_backend(changed);
    }

    template <class Body>
    void with_mailbox(Body body) const {
        const auto backend = make();
        ASSERT_TRUE(backend) << backend.error().text;
        test::on_fiber([&](Fiber& fiber) {
            auto mailbox = (*backend)->open(fiber, {"ann", Secret()});
            ASSERT_TRUE(mailbox) << mailbox.error().detail;
            const auto listing = (*mailbox)->list({});
            ASSERT_TRUE(listing) << listing.error().detail;
            body(**mailbox, listing->messages);
        });
    }

    Mailbox::RemovalReport move_all() const {
        Mailbox::RemovalReport report;
        with_mailbox(
            [&](Mailbox& mailbox, const auto& messages) { report = mailbox.move(messages, SpecialFolder::trash); });
        return report;
    }

    std::set<std::string> names() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename().string());
        return names;
    }

    fs::path directory = new_directory();
    fs::path file = directory / "ann";
    fs::path trash = directory / "ann.trash";
    BackendOptions options;
};

TEST_F(MboxAppendTest, AFolderIsAPathOfTheUsersOwn) {
    for (const auto& good : {"%u.trash"s, "trash/%n"s, "/mail/trash/%d/%n"s, "100%%/%u"s}) {
        options.trash_folder = good;
        EXPECT_TRUE(make()) << good << ": " << make().error().text;
    }
    for (const auto& bad : {"trash"s, "/mail/trash"s, "%x"s, "../%u"s, "/mail/../%u"s, "%u/"s, "%u"s, "./%u/.."s,
                            "a\n%u"s, directory.string() + "/%u"}) {
        options.trash_folder = bad;
        ASSERT_FALSE(make()) << bad;
        EXPECT_EQ(make().error().code, Errc::permanent);
    }
    options.url = "mbox:" + directory.string() + "/fixed";
    options.trash_folder = "trash";
    EXPECT_TRUE(make()) << "one mailbox for all may have one folder";
}

TEST_F(MboxAppendTest, AMissingFileIsMadeForTheOwnerAlone) {
    append(file, separator + "one\n\n" + separator + "two\n\n");
    ASSERT_EQ(chmod(file.c_str(), 0664), 0);
    if (geteuid() == 0) {
        ASSERT_EQ(chown(file.c_str(), 65534, 65534), 0);
    }
    EXPECT_TRUE(move_all().status);
    EXPECT_EQ(read_all(trash), separator + "one\n\n" + separator + "two\n\n");
    EXPECT_EQ(read_all(file), "");
    struct stat source {
    }, made{};
    ASSERT_EQ(stat(file.c_str(), &source), 0);
    ASSERT_EQ(stat(trash.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 07777, 0600U);
    EXPECT_EQ(made.st_uid, source.st_uid);
    EXPECT_EQ(names(), (std::set{"ann"s, "ann.trash"s}));
}

TEST_F(MboxAppendTest, EachMessageBeginsAfterAnEmptyLine) {
    const std::pair<std::string, std::string> ends[] = {
        {"", ""},
        {separator + "x\n\n", ""},
        {separator + "x\n", "\n"},
        {separator + "x", "\n\n"},
        {separator + "x\r\n\r\n", ""},
        {separator + "\n", ""},
        {separator, "\n"},
    };
    for (const auto& [before, added] : ends) {
        fs::remove(trash);
        if (!before.empty()) append(trash, before);
        append(file, separator + "one\n\n" + separator + "no end");
        EXPECT_TRUE(move_all().status);
        EXPECT_EQ(read_all(trash), before + added + separator + "one\n\n" + separator + "no end\n\n");
    }
}

TEST_F(MboxAppendTest, WhatIsNoMboxIsNotAppendedTo) {
    append(file, separator + "one\n\n");
    append(trash, "important = yes\n");
    const auto report = move_all();
    ASSERT_FALSE(report.status);
    EXPECT_EQ(report.status.error().code, Errc::permanent);
    EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
    EXPECT_EQ(read_all(trash), "important = yes\n");
    EXPECT_EQ(read_all(file), separator + "one\n\n");
}

TEST_F(MboxAppendTest, TheUsersLinkIsNotFollowed) {
    append(file, separator + "one\n\n");
    append(directory / "bob", separator + "bob's\n\n");
    fs::create_symlink(directory / "bob", trash);
    EXPECT_FALSE(move_all().status);
    EXPECT_EQ(read_all(directory / "bob"), separator + "bob's\n\n");
    fs::create_directory(directory / "private");
    fs::create_directory(directory / "ann.d");
    fs::create_directory_symlink(directory / "private", directory / "ann.d/sub");
    options.trash_folder = "%u.d/sub/mail";
    EXPECT_FALSE(move_all().status);
    EXPECT_TRUE(fs::is_empty(directory / "private"));
    EXPECT_EQ(read_all(file), separator + "one\n\n");
}

TEST_F(MboxAppendTest, AFullDiskLeavesAllWhereItWas) {
    append(file, separator + "one\n\n" + separator + std::string(200'000, 'x') + "\n\n" + separator + "three\n\n");
    append(trash, separator + "before");
    const auto before = read_all(file), trash_before = read_all(trash);
    const rlimit small{100'000, RLIM_INFINITY};
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        // The second does not fit into the folder, and the first leaves no room for the journal of what is behind it.
        for (const auto each : {1, 0}) {
            setrlimit(RLIMIT_FSIZE, &small);
            const auto report = mailbox.move({messages[static_cast<std::size_t>(each)]}, SpecialFolder::trash);
            setrlimit(RLIMIT_FSIZE, &old);
            ASSERT_FALSE(report.status);
            EXPECT_EQ(report.status.error().text, "disk full");
            EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
            EXPECT_EQ(read_all(trash), trash_before);
            EXPECT_EQ(read_all(file), before);
        }
        EXPECT_TRUE(mailbox.move({messages[0]}, SpecialFolder::trash).status);
    });
    std::signal(SIGXFSZ, old_handler);
    EXPECT_EQ(read_all(trash), trash_before + "\n\n" + separator + "one\n\n");
}

TEST_F(MboxAppendTest, AFolderThatIsLockedIsWaitedForAndHoldsUpNobody) {
    options.command_timeout = 300ms;
    append(file, separator + "one\n\n");
    append(trash, separator + "before\n\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        const auto path = *local::UserPath::expand(directory.string() + "/%u.trash", "ann");
        {
            const auto locked = mbox::LockedMbox::try_lock(path);
            ASSERT_TRUE(locked && *locked);
            const auto report = mailbox.move(messages, SpecialFolder::trash);
            ASSERT_FALSE(report.status);
            EXPECT_EQ(report.status.error().code, Errc::in_use);
            EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
            // The pool lets it go; on a busy machine after the time that the move had.
            const auto patience = Clock::now() + 20s;
            while (fs::exists(directory / "ann.lock") && Clock::now() < patience) std::this_thread::yield();
            EXPECT_FALSE(fs::exists(directory / "ann.lock")) << "the mailbox is locked without need";
        }
        EXPECT_EQ(mailbox.move(messages, SpecialFolder::trash).outcomes, std::vector{Removal::removed});
    });
}

/// Processes that each move their messages to the other's mailbox.
TEST_F(MboxAppendTest, TwoThatWantBothLocksBothGetThem) {
    options.command_timeout = 20s;
    for (const auto* name : {"a", "b"})
        for (int i = 0; i < 5; ++i) append(directory / name, separator + name + std::to_string(i) + "\n\n");
    std::vector<pid_t> children;
    for (const auto& [from, to] : {std::pair{"a", "b"}, {"b", "a"}}) {
        children.push_back(fork());
        if (children.back() != 0) continue;
        options.url = "mbox:" + directory.string() + "/" + from;
        options.trash_folder = to;
        int failures = 1;
        with_mailbox([&](Mailbox& mailbox, const auto& messages) {
            failures = 0;
            for (const auto& message : messages)
                if (!mailbox.move({message}, SpecialFolder::trash).status) ++failures;
        });
        _exit(failures);
    }
    for (const auto child : children) {
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    // A message may go there and back, but none is lost and none is doubled.
    std::multiset<std::string> there, expected;
    for (const auto* name : {"a", "b"}) {
        std::istringstream lines(read_all(directory / name));
        for (std::string line; std::getline(lines, line);)
            if (!line.empty() && !line.starts_with("From ")) there.insert(line);
        for (int i = 0; i < 5; ++i) expected.insert(name + std::to_string(i));
    }
    EXPECT_EQ(there, expected);
}

TEST_F(MboxAppendTest, KilledAtAnyMomentNothingIsInNeither) {
    options.command_timeout = 2s;
    std::mt19937 random(20201114);
#ifdef POPGATE_SANITIZED
    constexpr int rounds = 12;  // each takes several times as long
#else
    constexpr int rounds = 30;
#endif
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::string> messages;
        fs::remove(trash);
        fs::remove(file);
        for (int i = 0; i < 6; ++i) {
            messages.push_back(separator + "Subject: " + std::to_string(i) + "\n\n" +
                               std::string(random() % 200'000, static_cast<char>('a' + i)) + "\n\n");
            append(file, messages.back());
        }
        const auto child = fork();
        if (child == 0) {
            with_mailbox([&](Mailbox& mailbox, const auto& all) {
                for (std::size_t i = 0; i + 1 < all.size(); i += 2)
                    mailbox.move({all[i], all[i + 1]}, SpecialFolder::trash);
            });
            _exit(0);
        }
        usleep(random() % 30'000);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);

        with_mailbox([](Mailbox&, const auto&) {});  // which finishes a removal that had begun
        const auto left = read_all(file), moved = fs::exists(trash) ? read_all(trash) : ""s;
        for (std::size_t i = 0; i < messages.size(); ++i)
            EXPECT_TRUE(left.find(messages[i]) != std::string::npos || moved.find(messages[i]) != std::string::npos)
                << "message " << i << " in round " << round;
    }
}

}  // namespace
}  // namespace popgate
