#include "backends/maildir/maildir_folder.hpp"
#include "backends/maildir/maildir_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace popgate {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

fs::path new_directory(const fs::path& parent) {
    auto pattern = (parent / "popgate-test-XXXXXX").string();
    return mkdtemp(pattern.data());
}

struct MaildirFolderTest : testing::Test {
    MaildirFolderTest() {
        for (const auto* name : {"new", "cur", "tmp"}) fs::create_directories(root / name);
    }
    ~MaildirFolderTest() override { fs::remove_all(directory); }

    void put(const std::string& file, const std::string& text = "text\n") const {
        fs::create_directories((root / file).parent_path());
        std::ofstream(root / file, std::ios::binary) << text;
    }

    /// Regular files below a directory, and what is in them.
    static std::map<std::string, std::string> files(const fs::path& below) {
        std::map<std::string, std::string> files;
        for (const auto& entry : fs::recursive_directory_iterator(below)) {
            if (!entry.is_regular_file()) continue;
            std::ostringstream text;
            text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
            files[entry.path().lexically_relative(below)] = text.str();
        }
        return files;
    }

    template <class Body>
    void with_mailbox(Body body) const {
        BackendOptions changed = options;
        changed.url = "maildir:" + directory.string() + "/%u";
        const auto backend = make_maildir_backend(changed);
        ASSERT_TRUE(backend) << backend.error().text;
        test::on_fiber([&](Fiber& fiber) {
            auto mailbox = (*backend)->open(fiber, {"ann", Secret()});
            ASSERT_TRUE(mailbox) << mailbox.error().detail;
            const auto listing = (*mailbox)->list({});
            ASSERT_TRUE(listing) << listing.error().detail;
            body(**mailbox, listing->messages);
        });
    }

    Mailbox::RemovalReport move_all(SpecialFolder target) const {
        Mailbox::RemovalReport report;
        with_mailbox([&](Mailbox& mailbox, const auto& messages) { report = mailbox.move(messages, target); });
        return report;
    }

    fs::path directory = new_directory(fs::temp_directory_path());
    fs::path root = directory / "ann";
    BackendOptions options;
};

TEST(MaildirFolderNames, AreThoseOfMaildirPlusPlus) {
    const std::pair<const char*, const char*> cases[] = {
        {"Trash", ".Trash"},      {"A/B", ".A.B"},       {"A.B/C", ".A.B.C"},     {"Deleted Items", ".Deleted Items"},
        {"Tom & J", ".Tom &- J"}, {"~x/&", ".~x.&-"},    {"INBOX/a", ".INBOX.a"}, {"Koš", ".Ko&AWE-"},
        {"cur", ".cur"},          {"台北", ".&U,BTFw-"},
    };
    for (const auto& [name, path] : cases) {
        const auto found = maildir::folder_directory(name);
        ASSERT_TRUE(found) << name << ": " << found.error().text;
        EXPECT_EQ(*found, path);
    }
}

TEST(MaildirFolderNames, HostileOnesAreRefusedBeforeAnythingIsServed) {
    for (const auto& name : {"."s, ".."s, "/"s, "../x"s, "x/.."s, "x/../y"s, "/etc"s, "a//b"s, "a/"s, ".a"s, "a."s,
                             "a\nb"s, "a\0b"s, "a\x7F"s, "a\xFF"s, "inbox"s, "INBOX"s, std::string(255, 'x')}) {
        BackendOptions options;
        options.url = "maildir:/mail/%u";
        for (auto* const option : {&options.trash_folder, &options.archive_folder}) {
            *option = name;
            const auto made = make_maildir_backend(options);
            ASSERT_FALSE(made) << testing::PrintToString(name);
            EXPECT_EQ(made.error().code, Errc::permanent);
            EXPECT_NE(made.error().text.find("cannot be the name of a folder"), std::string::npos);
            option->clear();
        }
    }
}

TEST_F(MaildirFolderTest, AMissingFolderIsMadeAsTheMaildirIs) {
    put("new/1.a");
    ASSERT_EQ(chmod(root.c_str(), 02750), 0);
    if (geteuid() == 0) {
        ASSERT_EQ(chown(root.c_str(), 65534, 65534), 0);
        ASSERT_EQ(chmod(root.c_str(), 02750), 0);
    }
    options.archive_folder = "Old/Mail";
    EXPECT_TRUE(move_all(SpecialFolder::archive).status);
    struct stat maildir {};
    ASSERT_EQ(stat(root.c_str(), &maildir), 0);
    for (const auto* name : {".Old.Mail", ".Old.Mail/cur", ".Old.Mail/new", ".Old.Mail/tmp"}) {
        struct stat made {};
        ASSERT_EQ(stat((root / name).c_str(), &made), 0) << name;
        EXPECT_EQ(made.st_mode, maildir.st_mode) << name;
        EXPECT_EQ(made.st_uid, maildir.st_uid) << name;
    }
    EXPECT_EQ(files(root / ".Old.Mail"),
              (std::map<std::string, std::string>{{"cur/1.a:2,", "text\n"}, {"maildirfolder", ""}}));
    EXPECT_FALSE(fs::exists(root / ".Old"));
    EXPECT_FALSE(fs::exists(root / ".Trash")) << "nothing is made that is not needed";
}

TEST_F(MaildirFolderTest, AFolderThatWasMadeInPartIsCompleted) {
    put("new/1.a");
    fs::create_directories(root / ".Trash/tmp");
    EXPECT_TRUE(move_all(SpecialFolder::trash).status);
    EXPECT_EQ(files(root / ".Trash"),
              (std::map<std::string, std::string>{{"cur/1.a:2,", "text\n"}, {"maildirfolder", ""}}));
    EXPECT_TRUE(fs::is_directory(root / ".Trash/new"));
}

TEST_F(MaildirFolderTest, FlagsGoAlong) {
    put("new/1.a", "1");
    put("cur/2.b:2,FRS", "2");
    put("cur/3.c,S=1", "3");
    put("cur/4.d:2,S", "4");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::rename(root / "cur/4.d:2,S", root / "cur/4.d:2,FSa");  // just now, by another program
        EXPECT_TRUE(mailbox.move(messages, SpecialFolder::trash).status);
    });
    EXPECT_EQ(files(root / ".Trash/cur"),
              (std::map<std::string, std::string>{
                  {"1.a:2,", "1"}, {"2.b:2,FRS", "2"}, {"3.c,S=1:2,", "3"}, {"4.d:2,FSa", "4"}}));
}

TEST_F(MaildirFolderTest, NothingThereIsOverwritten) {
    put("new/1.a,S=4", "mine");
    put(".Trash/cur/1.a,S=4:2,", "another");
    put(".Trash/tmp/x", "");
    const auto report = move_all(SpecialFolder::trash);
    EXPECT_TRUE(report.status);
    EXPECT_EQ(report.outcomes, std::vector{Removal::removed});
    auto there = files(root / ".Trash/cur");
    EXPECT_EQ(there["1.a,S=4:2,"], "another");
    there.erase("1.a,S=4:2,");
    ASSERT_EQ(there.size(), 1U);
    EXPECT_EQ(there.begin()->second, "mine");
    EXPECT_TRUE(there.begin()->first.starts_with("1.R") && there.begin()->first.ends_with(".a,S=4:2,"))
        << there.begin()->first;
    EXPECT_TRUE(files(root / "new").empty());
}

TEST_F(MaildirFolderTest, AMoveThatWasInterruptedIsFinished) {
    put("cur/1.a:2,S", "one");
    put("cur/2.b:2,", "two");
    put(".Trash/cur/1.a:2,S", "one");
    put(".Trash/tmp/x", "");
    fs::create_hard_link(root / "cur/2.b:2,", root / ".Trash/cur/2.b:2,");
    EXPECT_EQ(move_all(SpecialFolder::trash).outcomes, std::vector(2, Removal::removed));
    EXPECT_TRUE(files(root / "cur").empty());
    EXPECT_EQ(files(root / ".Trash/cur"), (std::map<std::string, std::string>{{"1.a:2,S", "one"}, {"2.b:2,", "two"}}));
}

TEST_F(MaildirFolderTest, TheUsersLinkIsNotFollowed) {
    put("new/1.a");
    fs::create_directories(directory / "bob/cur");
    fs::create_directories(directory / "bob/tmp");
    fs::create_directory_symlink(directory / "bob", root / ".Trash");
    const auto report = move_all(SpecialFolder::trash);
    EXPECT_FALSE(report.status);
    EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
    EXPECT_EQ(files(root / "new").size(), 1U);
    EXPECT_TRUE(files(directory / "bob").empty());
}

TEST_F(MaildirFolderTest, WhatCannotBeMovedIsToldOfEach) {
    put("new/1.a");
    put("new/2.b");
    put("new/3.c");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::remove(root / "new/2.b");
        fs::create_directories(root / ".Trash/cur/3.c:2,");  // in the way, and no message
        fs::create_directories(root / ".Trash/tmp");
        const auto report = mailbox.move(messages, SpecialFolder::trash);
        EXPECT_FALSE(report.status);
        EXPECT_EQ(report.outcomes, (std::vector{Removal::removed, Removal::gone, Removal::failed}));
    });
    EXPECT_TRUE(fs::exists(root / "new/3.c"));
}

TEST_F(MaildirFolderTest, ToAnotherFileSystemItIsCopiedWhole) {
    const fs::path elsewhere = "/dev/shm";
    struct stat here {
    }, there{};
    if (stat(elsewhere.c_str(), &there) != 0 || stat(root.c_str(), &here) != 0 || here.st_dev == there.st_dev)
        GTEST_SKIP() << "there is but one file system";
    const auto folder = new_directory(elsewhere);
    for (const auto* name : {"cur", "tmp"}) fs::create_directory(folder / name);
    const auto open_directory = [](const fs::path& path) {
        return local::Descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY));
    };
    const maildir::Target target{open_directory(folder / "cur"), open_directory(folder / "tmp")};
    const auto cur = open_directory(root / "cur");

    const std::string text(200'000, 'x');
    put("cur/1.a:2,S", text);
    ASSERT_EQ(chmod((root / "cur/1.a:2,S").c_str(), 0640), 0);
    const timespec times[2] = {{500, 0}, {600, 7}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root / "cur/1.a:2,S").c_str(), times, 0), 0);
    EXPECT_EQ(maildir::move_file(cur.get(), "1.a:2,S", target), 0);
    EXPECT_EQ(maildir::move_file(cur.get(), "1.a:2,S", target), ENOENT);
    struct stat moved {};
    ASSERT_EQ(stat((folder / "cur/1.a:2,S").c_str(), &moved), 0);
    EXPECT_EQ(moved.st_mtim.tv_sec, 600);
    EXPECT_EQ(moved.st_mode & 0777, 0640U);

    put("cur/1.a:2,S", text);  // as if the original had not gone
    EXPECT_EQ(maildir::move_file(cur.get(), "1.a:2,S", target), 0);
    put("cur/1.a:2,S", "another");
    EXPECT_EQ(maildir::move_file(cur.get(), "1.a:2,S", target), 0);
    auto found = files(folder);
    EXPECT_EQ(found.size(), 2U);
    EXPECT_EQ(found["cur/1.a:2,S"], text);
    EXPECT_TRUE(files(root).empty());
    fs::remove_all(folder);
}

TEST_F(MaildirFolderTest, UnreadIsWhatBearsNoFlagUnderItsPresentName) {
    for (const auto* name : {"new/1.a", "new/2.b:2,S", "cur/3.c", "cur/4.d:2,", "cur/5.e:2,FS", "cur/6.f:2,R",
                             "cur/7.g:1,S", "cur/8.h:2,S", "cur/9.i"})
        put(name);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::rename(root / "cur/8.h:2,S", root / "cur/8.h:2,");
        fs::rename(root / "new/1.a", root / "cur/1.a:2,S");
        fs::remove(root / "cur/9.i");
        const auto unread = mailbox.unread(messages);
        ASSERT_TRUE(unread);
        EXPECT_EQ(*unread, (std::vector{false, true, true, true, false, true, true, true, false}));
    });
}

}  // namespace
}  // namespace popgate
