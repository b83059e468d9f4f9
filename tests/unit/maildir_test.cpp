#include "backends/files/measure.hpp"
#include "backends/maildir/maildir_backend.hpp"
#include "backends/maildir/maildir_files.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace popgate {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

class Collector final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        if (after_first && !std::exchange(has_first, true)) after_first();
        return true;
    }
    std::string text;
    std::function<void()> after_first;
    bool has_first = false;
};

struct MaildirTest : testing::Test {
    MaildirTest() { make_maildir(root); }
    ~MaildirTest() override { fs::remove_all(directory); }

    static void make_maildir(const fs::path& path) {
        for (const auto* name : {"new", "cur", "tmp"}) fs::create_directories(path / name);
    }

    void put(const std::string& file, const std::string& text = "Subject: x\n\ntext\n") const {
        std::ofstream(root / file, std::ios::binary) << text;
    }

    std::set<std::string> files() const {
        std::set<std::string> files;
        for (const auto* folder : {"new", "cur"})
            for (const auto& entry : fs::directory_iterator(root / folder))
                files.insert(folder + "/"s + entry.path().filename().string());
        return files;
    }

    std::unique_ptr<Backend> backend(const std::string& below = "/%u") const {
        BackendOptions changed = options;
        changed.url = "maildir:" + directory.string() + below;
        auto made = make_maildir_backend(changed);
        EXPECT_TRUE(made) << made.error().text;
        return std::move(*made);
    }

    /// Opens and lists ann's mailbox.
    template <class Body>
    void with_mailbox(Body body) const {
        test::on_fiber([&](Fiber& fiber) {
            auto mailbox = backend()->open(fiber, {"ann", Secret()});
            ASSERT_TRUE(mailbox) << mailbox.error().detail;
            const auto listing = (*mailbox)->list({});
            ASSERT_TRUE(listing) << listing.error().detail;
            body(**mailbox, listing->messages);
        });
    }

    std::vector<std::string> ids() const {
        std::vector<std::string> ids;
        with_mailbox([&](Mailbox&, const auto& messages) {
            for (const auto& message : messages) ids.push_back(message.id);
        });
        return ids;
    }

    Error failure_to_open(const std::string& user, const std::string& below = "/%u") const {
        Error error{Errc::gone, "it was opened", {}};
        test::on_fiber([&](Fiber& fiber) {
            const auto mailbox = backend(below)->open(fiber, {user, Secret()});
            if (!mailbox) error = mailbox.error();
        });
        return error;
    }

    static fs::path new_directory() {
        auto pattern = (fs::temp_directory_path() / "popgate-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    fs::path directory = new_directory();
    fs::path root = directory / "ann";
    BackendOptions options;
};

TEST(OctetCounter, CountsAsRetrSends) {
    const std::pair<std::string, std::uint64_t> cases[] = {
        {"", 0},           {"a", 3},    {"a\n", 3},      {"a\r\n", 3},      {"\n", 2},
        {"\r\n", 2},       {"\r", 3},   {"a\rb\n", 5},   {"a\r\r\nb\n", 7}, {"\n\n", 4},
        {"\r\n\n\r\n", 6}, {"a\nb", 6}, {"a\r\nb\r", 7}, {"\n\r", 5},       {"a\0b\n"s, 5},
    };
    for (const auto& [text, octets] : cases) {
        // In two pieces, cut everywhere.
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            local::OctetCounter counter;
            counter.add(std::string_view(text).substr(0, cut));
            counter.add(std::string_view(text).substr(cut));
            EXPECT_EQ(counter.octets(), octets) << testing::PrintToString(text) << " cut at " << cut;
        }
    }
}

TEST(MaildirNames, DeliveryTime) {
    using maildir::delivery_time;
    const auto time = [](const char* name) {
        const auto found = delivery_time(name);
        return std::pair(found.seconds, found.microseconds);
    };
    EXPECT_EQ(time("1600000000.M123P5.host"), std::pair(1'600'000'000L, 123L));
    EXPECT_EQ(time("1600000000.host"), std::pair(1'600'000'000L, 0L));
    EXPECT_EQ(time("1600000000"), std::pair(1'600'000'000L, 0L));
    for (const auto* name : {"", "x", "12x.M1", "-5.M1", ".5", "99999999999999999999.M1"})
        EXPECT_EQ(time(name), std::pair(0L, 0L)) << name;
}

TEST(MaildirNames, Seen) {
    const std::pair<const char*, const char*> cases[] = {
        {"", ":2,S"},        {":2,", ":2,S"},     {":2,S", ":2,S"},        {":2,F", ":2,FS"}, {":2,T", ":2,ST"},
        {":2,RT", ":2,RST"}, {":2,ab", ":2,Sab"}, {":2,DFRT", ":2,DFRST"}, {":1,x", ":1,x"},  {":", ":"},
    };
    for (const auto& [before, after] : cases) EXPECT_EQ(maildir::with_seen(before), after) << before;
}

TEST_F(MaildirTest, TheUrlMustBeAPath) {
    for (const auto* url :
         {"maildir:", "maildir:relative/%u", "maildir:/mail/%x", "mbox:/mail/%u", "maildir", "maildir:/"}) {
        options.url = url;
        const auto made = make_maildir_backend(options);
        ASSERT_FALSE(made) << url;
        EXPECT_EQ(made.error().code, Errc::permanent);
    }
    EXPECT_FALSE(backend()->checks_password());
}

TEST_F(MaildirTest, WhatIsNotThereIsAnErrorAndNotEmpty) {
    EXPECT_EQ(failure_to_open("bob").code, Errc::temporary);
    EXPECT_EQ(failure_to_open("ann", "/missing/%u").code, Errc::temporary);
    fs::remove(root / "cur");
    EXPECT_EQ(failure_to_open("ann").code, Errc::temporary);
    fs::create_directory(root / "cur");
    fs::remove(root / "new");
    EXPECT_EQ(failure_to_open("ann").code, Errc::temporary);
    std::ofstream(directory / "carl") << "a file";
    EXPECT_EQ(failure_to_open("carl").code, Errc::temporary);
    EXPECT_EQ(failure_to_open("bob").text.find("bob"), std::string::npos);
}

TEST_F(MaildirTest, WhatVanishesLaterIsAnErrorToo) {
    put("new/1.a");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::rename(root, directory / "elsewhere");
        Collector collector;
        const auto status = mailbox.fetch(messages[0], collector);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::temporary);
        const auto report = mailbox.remove(messages);
        EXPECT_FALSE(report.status);
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
    });
}

TEST_F(MaildirTest, NamesThatWouldLeaveThePathAreRefused) {
    make_maildir(directory);  // where ".." would lead
    for (const auto* user : {"", ".", "..", "../ann", "ann/", "/", ".ann", "ann\n"})
        EXPECT_EQ(failure_to_open(user).code, Errc::auth) << user;
    for (const auto* user : {"x@..", "x@", "@ann", "ann", "x@."})
        EXPECT_EQ(failure_to_open(user, "/%n/../%d").code, Errc::auth) << user;
    EXPECT_EQ(failure_to_open("x\0y"s).code, Errc::auth);
}

TEST_F(MaildirTest, LinksAreFollowedWhereOnlyTheAdministratorCanMakeThem) {
    put("new/1.secret");
    make_maildir(directory / "homes/bob");
    fs::create_directory_symlink(root, directory / "homes/bob/Maildir");
    EXPECT_EQ(failure_to_open("bob", "/homes/%u/Maildir").code, Errc::temporary);
    EXPECT_EQ(failure_to_open("bob", "/homes/%u/Maildir/../Maildir").code, Errc::temporary);

    fs::create_directory_symlink(root, directory / "carl");
    EXPECT_EQ(failure_to_open("carl").text, "it was opened");

    fs::remove(directory / "carl");
    make_maildir(directory / "carl");
    fs::remove(directory / "carl/cur");
    fs::create_directory_symlink(root / "cur", directory / "carl/cur");
    EXPECT_NE(failure_to_open("carl").text, "it was opened");
}

TEST_F(MaildirTest, OneMailboxHasOneLockKey) {
    fs::create_directory_symlink(root, directory / "alias");
    const auto key = backend()->mailbox_key("ann");
    EXPECT_EQ(backend()->mailbox_key("alias"), key);
    EXPECT_EQ(backend("//./%n/../%u")->mailbox_key("ann"), key);
    EXPECT_EQ(backend("/%n")->mailbox_key("ann@example.com"), key);
    EXPECT_NE(backend()->mailbox_key("bob"), key);
    EXPECT_NE(backend()->mailbox_key("../ann"), key);
}

TEST_F(MaildirTest, OnlyMessagesAreListed) {
    put("new/1.a");
    put("cur/2.b:2,S");
    put("tmp/3.c");
    put("new/.hidden");
    put("cur/.4.d:2,");
    put("5.e");
    fs::create_directory(root / "cur/6.directory");
    fs::create_symlink(root / "new/1.a", root / "new/7.link");
    fs::create_symlink("/nowhere", root / "cur/8.link");
    ASSERT_EQ(mkfifo((root / "new/9.fifo").c_str(), 0600), 0);
    EXPECT_EQ(ids(), (std::vector{"1.a"s, "2.b"s}));
}

TEST_F(MaildirTest, OrderIsThatOfDelivery) {
    for (const auto* name : {"new/1000.M9P1.a", "cur/1000.M10P1.a:2,", "cur/999.Z:2,S", "new/1000.A", "new/1001.M1P1.a",
                             "new/1000.M9P1.B"})
        put(name);
    EXPECT_EQ(ids(),
              (std::vector{"999.Z"s, "1000.A"s, "1000.M9P1.B"s, "1000.M9P1.a"s, "1000.M10P1.a"s, "1001.M1P1.a"s}));
    with_mailbox([&](Mailbox&, const auto& messages) { EXPECT_EQ(messages[0].arrival, 999); });
}

TEST_F(MaildirTest, AFileThatTellsNoTimeCountsByItsOwn) {
    put("new/1000.a");
    put("new/nameless");
    const timespec times[2] = {{500, 0}, {500, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root / "new/nameless").c_str(), times, 0), 0);
    EXPECT_EQ(ids(), (std::vector{"nameless"s, "1000.a"s}));
}

TEST_F(MaildirTest, SizesAreMeasuredAndFollowTheFile) {
    put("new/1.a,S=1,W=1", "a\nb\n");
    with_mailbox([&](Mailbox&, const auto& messages) {
        EXPECT_EQ(messages[0].octets, 6U);
        EXPECT_TRUE(messages[0].octets_are_exact);
    });
    put("new/1.a,S=1,W=1", "abc\n");  // as many bytes, other line ends; only the time tells
    const timespec times[2] = {{500, 0}, {500, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root / "new/1.a,S=1,W=1").c_str(), times, 0), 0);
    for (int i = 0; i < 2; ++i)
        with_mailbox([&](Mailbox&, const auto& messages) { EXPECT_EQ(messages[0].octets, 5U); });
    put("new/1.a,S=1,W=1", "a\nb\nc\n");
    with_mailbox([&](Mailbox&, const auto& messages) { EXPECT_EQ(messages[0].octets, 9U); });
}

/// Makes root somebody else while it lives: the owner of `tree` in the whole process, and of what leads there.
class Nobody {
public:
    explicit Nobody(const fs::path& tree) {
        if (geteuid() != 0) return;
        for (const auto& each : fs::recursive_directory_iterator(tree))
            EXPECT_EQ(lchown(each.path().c_str(), id, id), 0);
        for (auto path = tree; path != path.parent_path() && path != fs::temp_directory_path();
             path = path.parent_path())
            fs::permissions(
                path, fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec,
                fs::perm_options::add);
        EXPECT_EQ(seteuid(id), 0);
        is_nobody_ = true;
    }
    ~Nobody() {
        if (is_nobody_) {
            EXPECT_EQ(seteuid(0), 0);
        }
    }
    Nobody(const Nobody&) = delete;
    Nobody& operator=(const Nobody&) = delete;

private:
    static constexpr uid_t id = 65534;
    bool is_nobody_ = false;
};

TEST_F(MaildirTest, AnUnreadableFileHidesNoOther) {
    put("new/1.a");
    put("new/2.b", "text\n");
    fs::permissions(root / "new/2.b", fs::perms::none);
    const Nobody nobody(root);  // root may read everything
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        ASSERT_EQ(messages.size(), 2U);
        EXPECT_EQ(messages[1].octets, 5U);
        EXPECT_FALSE(messages[1].octets_are_exact);
        Collector collector;
        EXPECT_TRUE(mailbox.fetch(messages[0], collector));
        EXPECT_FALSE(mailbox.fetch(messages[1], collector));
    });
}

TEST_F(MaildirTest, UniqueIdsAreNamesWhereTheyFit) {
    const auto fits = "1." + std::string(68, 'x');
    const std::vector names{fits, fits + "x", "1.with space"s, "1.gr\xc3\xbc\xc3\x9f"s, "1.line\nend"s};
    for (const auto& name : names) put("cur/" + name + ":2,S");
    std::set<std::string> unique;
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        ASSERT_EQ(messages.size(), names.size());
        for (const auto& message : messages) {
            const auto id = mailbox.unique_id(message);
            unique.insert(id);
            EXPECT_LE(id.size(), 70U);
            EXPECT_TRUE(std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x21 && c <= 0x7E; })) << id;
            EXPECT_EQ(id == message.id, message.id == fits);
            EXPECT_EQ(id.substr(0, 7) == "sha256:", message.id != fits);
        }
    });
    EXPECT_EQ(unique.size(), names.size());
    EXPECT_TRUE(unique.contains(fits));
    // printf '1.with space' | sha256sum
    EXPECT_TRUE(unique.contains("sha256:654834ca7029ee3df805b9fc46298fd39b7d68097e428892bfea1d8e"))
        << testing::PrintToString(unique);
}

TEST_F(MaildirTest, AMessageIsFoundUnderItsNewName) {
    put("new/1.a", "one\n");
    put("new/2.b", "two\n");
    put("cur/3.c:2,S", "three\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        const auto before = mailbox.unique_id(messages[0]);
        fs::rename(root / "new/1.a", root / "cur/1.a:2,FRS");
        fs::rename(root / "cur/3.c:2,S", root / "cur/3.c:2,Tabc");
        Collector one, three;
        EXPECT_TRUE(mailbox.fetch(messages[0], one));
        EXPECT_TRUE(mailbox.fetch_top(messages[2], three));
        EXPECT_EQ(one.text, "one\n");
        EXPECT_EQ(three.text, "three\n");
        EXPECT_EQ(mailbox.unique_id(messages[0]), before);
        fs::rename(root / "cur/1.a:2,FRS", root / "cur/1.a:2,D");
        fs::rename(root / "new/2.b", root / "cur/2.b:2,X");
        const auto report = mailbox.remove({messages[0], messages[1]});
        EXPECT_TRUE(report.status);
        EXPECT_EQ(report.outcomes, std::vector(2, Removal::removed));
    });
    EXPECT_EQ(files(), std::set{"cur/3.c:2,Tabc"s});
}

TEST_F(MaildirTest, ANameThatOnlyBeginsAlikeIsAnotherMessage) {
    put("cur/1.a:2,S", "one\n");
    put("cur/1.a.b:2,S", "other\n");
    put("cur/1.aa", "other\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        EXPECT_EQ(messages.size(), 3U);
        EXPECT_EQ(mailbox.remove({{"1.a"}}).outcomes, std::vector{Removal::removed});
        EXPECT_EQ(mailbox.remove({{"1"}}).outcomes, std::vector{Removal::gone});
    });
    EXPECT_EQ(files(), (std::set{"cur/1.a.b:2,S"s, "cur/1.aa"s}));
}

TEST_F(MaildirTest, AScanSeesFilesThatAreBeingRenamed) {
    constexpr int count = 5000;
    for (int i = 0; i < count; ++i) put("new/" + std::to_string(1000 + i) + ".a");
    std::atomic<bool> stop = false;
    std::thread other([&] {
        // As mail programs do that change flags, all the time.
        for (int round = 0; !stop; ++round)
            for (int i = 0; i < count && !stop; ++i) {
                const auto base = std::to_string(1000 + i) + ".a";
                const auto from =
                    round == 0
                        ? root / ("new/" + base)
                        : root / ("cur/" + base + ":2," + std::string(1, static_cast<char>('a' + (round - 1) % 26)));
                const auto to = root / ("cur/" + base + ":2," + std::string(1, static_cast<char>('a' + round % 26)));
                fs::rename(from, to);
            }
    });
    for (int i = 0; i < 30; ++i) EXPECT_EQ(ids().size(), static_cast<std::size_t>(count)) << "at look " << i;
    stop = true;
    other.join();
}

TEST_F(MaildirTest, MarkSeenRenamesAsMaildirPrescribes) {
    put("new/1.a");
    put("cur/2.b:2,F");
    put("cur/3.c:2,S");
    put("cur/4.d:1,x");
    put("new/5.e");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::rename(root / "new/1.a", root / "cur/1.a:2,T");  // just now, by another program
        for (int i = 0; i < 2; ++i) EXPECT_TRUE(mailbox.mark_seen({messages.begin(), messages.end() - 1}));
        Collector collector;
        EXPECT_TRUE(mailbox.fetch(messages[1], collector));
    });
    EXPECT_EQ(files(), (std::set{"cur/1.a:2,ST"s, "cur/2.b:2,FS"s, "cur/3.c:2,S"s, "cur/4.d:1,x"s, "new/5.e"s}));
    with_mailbox([&](Mailbox& mailbox, const auto& messages) { EXPECT_TRUE(mailbox.mark_seen({messages.back()})); });
    EXPECT_TRUE(files().contains("cur/5.e:2,S"));
}

TEST_F(MaildirTest, MarkSeenOverwritesNothing) {
    put("new/1.a", "one\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        put("cur/1.a:2,S", "another\n");
        EXPECT_TRUE(mailbox.mark_seen(messages));
    });
    EXPECT_EQ(files().size(), 2U);
}

TEST_F(MaildirTest, RemovalThatFailsHalfWayTellsOfEach) {
    for (const auto* name : {"new/1.a", "new/2.b", "new/3.c"}) put(name);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        fs::remove(root / "new/2.b");
        fs::create_directory(root / "new/2.b");  // which unlink() will not take
        const auto report = mailbox.remove(messages);
        EXPECT_FALSE(report.status);
        EXPECT_EQ(report.outcomes, (std::vector{Removal::removed, Removal::failed, Removal::removed}));
    });
}

TEST_F(MaildirTest, ManyAreRemovedAtOnce) {
    for (int i = 0; i < 1234; ++i) put("new/" + std::to_string(1000 + i) + ".a");
    with_mailbox([&](Mailbox& mailbox, auto messages) {
        for (int i = 0; i < 1234; i += 3) fs::remove(root / ("new/" + std::to_string(1000 + i) + ".a"));
        messages.pop_back();
        const auto report = mailbox.remove(messages);
        EXPECT_TRUE(report.status);
        ASSERT_EQ(report.outcomes.size(), messages.size());
        for (std::size_t i = 0; i < messages.size(); ++i)
            EXPECT_EQ(report.outcomes[i], i % 3 == 0 ? Removal::gone : Removal::removed) << i;
    });
    EXPECT_LE(files().size(), 1U);
}

TEST_F(MaildirTest, AFileThatBecomesShorterIsAnError) {
    put("new/1.a", std::string(300'000, 'x') + "\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        Collector collector;
        collector.after_first = [&] { fs::resize_file(root / "new/1.a", 150'000); };
        const auto status = mailbox.fetch(messages[0], collector);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::temporary);
        EXPECT_LE(collector.text.size(), 150'000U);
    });
}

TEST_F(MaildirTest, AFileThatIsRemovedWhileItIsReadIsReadToItsEnd) {
    put("new/1.a", std::string(300'000, 'x') + "\n");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        Collector collector;
        collector.after_first = [&] { fs::remove(root / "new/1.a"); };
        EXPECT_TRUE(mailbox.fetch(messages[0], collector));
        EXPECT_EQ(collector.text.size(), 300'001U);
    });
}

TEST_F(MaildirTest, ABusyPoolIsAnErrorAndNotEmpty) {
    put("new/1.a");
    test::on_fiber(
        [&](Fiber& fiber) {
            const auto mailbox = backend()->open(fiber, {"ann", Secret()});
            ASSERT_FALSE(mailbox);
            EXPECT_EQ(mailbox.error().code, Errc::temporary);
        },
        1, 0);
}

TEST_F(MaildirTest, AnInterruptionIsAnErrorAndNotEmpty) {
    put("new/1.a");
    test::on_fiber([&](Fiber& fiber) {
        auto mailbox = backend()->open(fiber, {"ann", Secret()});
        ASSERT_TRUE(mailbox);
        fiber.interrupt();
        const auto listed = (*mailbox)->list({});
        ASSERT_FALSE(listed);
        EXPECT_EQ(listed.error().code, Errc::temporary);
        fiber.resume_waits();
        const auto again = (*mailbox)->list({});
        ASSERT_TRUE(again);
        EXPECT_EQ(again->messages.size(), 1U);
        fiber.interrupt();
        Collector collector;
        EXPECT_FALSE((*mailbox)->fetch(again->messages.front(), collector));
        const auto report = (*mailbox)->remove(again->messages);
        EXPECT_FALSE(report.status);
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
    });
}

}  // namespace
}  // namespace popgate
