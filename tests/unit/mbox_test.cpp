#include "backends/mbox/mbox_backend.hpp"
#include "backends/mbox/mbox_journal.hpp"
#include "backends/mbox/mbox_lock.hpp"
#include "backends/mbox/mbox_message.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

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

/// Runs `body` in a process of its own and gives its exit status, -1 when a signal ended it.
template <class Body>
int in_child(Body body) {
    const auto child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

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

struct MboxTest : testing::Test {
    ~MboxTest() override { fs::remove_all(directory); }

    static fs::path new_directory() {
        auto pattern = (fs::temp_directory_path() / "popgate-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    /// Appends messages as a delivery agent does, each with its separator and the empty line.
    void deliver(std::initializer_list<std::string> messages) const {
        for (const auto& message : messages) append(file, separator + message + "\n");
    }

    std::unique_ptr<Backend> backend() const {
        BackendOptions changed = options;
        changed.url = "mbox:" + directory.string() + "/%u";
        auto made = make_mbox_backend(changed);
        return std::move(*made);
    }

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
        with_mailbox([&](Mailbox& mailbox, const auto& messages) {
            for (const auto& message : messages) ids.push_back(mailbox.unique_id(message));
        });
        return ids;
    }

    std::vector<std::string> texts() const {
        std::vector<std::string> texts;
        with_mailbox([&](Mailbox& mailbox, const auto& messages) {
            for (const auto& message : messages) {
                Collector collector;
                EXPECT_TRUE(mailbox.fetch(message, collector));
                texts.push_back(collector.text);
            }
        });
        return texts;
    }

    Error failure_to_list(const std::string& user = "ann") const {
        Error error{Errc::gone, "it was listed", {}};
        test::on_fiber([&](Fiber& fiber) {
            const auto mailbox = backend()->open(fiber, {user, Secret()});
            if (!mailbox) {
                error = mailbox.error();
                return;
            }
            const auto messages = (*mailbox)->list({});
            if (!messages) error = messages.error();
        });
        return error;
    }

    std::set<std::string> names() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename().string());
        return names;
    }

    fs::path directory = new_directory();
    fs::path file = directory / "ann";
    fs::path dotfile = directory / "ann.lock";
    fs::path journal = directory / ".ann.popgate-journal";
    BackendOptions options;
};

// --- messages

struct Parsed {
    std::vector<std::string> contents;
    std::vector<mbox::Fingerprint> fingerprints;
    std::vector<std::uint64_t> octets;
    bool operator==(const Parsed&) const = default;
};

/// Reads a whole mbox in pieces of `size`.
Parsed parse(const std::string& text, std::size_t size) {
    Parsed parsed;
    mbox::MessageReader reader;
    std::string buffer, content;
    for (std::size_t at = 0; at < text.size() || !buffer.empty();) {
        buffer += text.substr(at, size);
        at = std::min(text.size(), at + size);
        for (bool more = true; more;) {
            buffer.erase(0, reader.take(buffer, at == text.size(), &content));
            EXPECT_TRUE(reader.done() || buffer.size() < mbox::MessageReader::lookahead);
            more = reader.done() && !buffer.empty();
            if (!reader.done()) break;
            parsed.contents.push_back(std::exchange(content, {}));
            parsed.octets.push_back(reader.octets());
            parsed.fingerprints.push_back(reader.fingerprint());
            reader.reset();
        }
    }
    return parsed;
}

TEST(MboxMessage, CutAnywhereItReadsTheSame) {
    const auto text = separator + "Subject: a\n\none\n\n\n" + separator + "\n" + separator +
                      "Status: RO\nX-UID: 5\n folded\nSubject: b\n\n\n" + separator +
                      "Subject: c\r\n\r\n>From the start\r\n>From x\r\nx\r\n\r\n" + separator +
                      "\nbody\nFrom here\n\nFromage\n\n" + separator + "no end";
    const auto whole = parse(text, text.size());
    EXPECT_EQ(whole.contents,
              (std::vector{"Subject: a\n\none\n\n"s, ""s, "Status: RO\nX-UID: 5\n folded\nSubject: b\n\n"s,
                           "Subject: c\r\n\r\n>From the start\r\n>From x\r\nx\r\n"s, "\nbody\nFrom here\n\nFromage\n"s,
                           "no end"s}));
    EXPECT_EQ(whole.octets, (std::vector<std::uint64_t>{21, 0, 45, 43, 30, 8}));
    for (std::size_t size = 1; size < 80; ++size) EXPECT_EQ(parse(text, size), whole) << size;
}

TEST(MboxMessage, TheFingerprintIsThatOfTheMessageAlone) {
    const auto fingerprint = [](const std::string& text) { return parse(text, text.size()).fingerprints.at(0); };
    const auto plain = fingerprint(separator + "Subject: a\n\ntext\n\n");
    for (const auto* same :
         {"Subject: a\n\ntext\n", "Subject: a\n\ntext", "Status: RO\nSubject: a\n\ntext\n\n",
          "Subject: a\nX-Keywords: b\n c\n\td\n\ntext\n",
          "CONTENT-LENGTH: 5\nx-uid: 1\nX-IMAPbase: 1 2\nX-Status: A\nX-IMAP: 3\nSubject: a\n\ntext\n"})
        EXPECT_EQ(fingerprint(separator + same), plain) << same;
    for (const auto* other : {"Subject: a\n\ntext\n\n\n", "Subject: b\n\ntext\n", "Subject: a\n\nStatus: RO\ntext\n",
                              "Subject: a\nStatusx: b\n\ntext\n", "X-Status-Other: b\nSubject: a\n\ntext\n",
                              "Subject: a\n\nText\n", "Subject: a\n Status: b\n\ntext\n"})
        EXPECT_NE(fingerprint(separator + other), plain) << other;
    EXPECT_NE(fingerprint("From other@example.com Sun Sep 13 12:26:40 2020\nSubject: a\n\ntext\n"), plain);
}

TEST(MboxMessage, Arrival) {
    const auto arrival = [](const std::string& line) {
        mbox::MessageReader reader;
        reader.take(line + "\n", true);
        return reader.arrival();
    };
    EXPECT_EQ(arrival("From a@example.com Sun Sep 13 12:26:40 2020"), 1'600'000'000);
    EXPECT_EQ(arrival("From \"a b\"@example.com  Sun Sep 13 12:26:40 2020\r"), 1'600'000'000);
    EXPECT_EQ(arrival("From a Sun Sep 13 14:26:40 +0200 2020"), 1'600'000'000);
    EXPECT_EQ(arrival("From a Tue Sep  1 12:26 2020"), 1'598'963'160);
    for (const auto* line :
         {"From ", "From a", "From a b c d e f g", "From Sun Sep", "From a Sun Sep 99 12:26:40 2020"})
        EXPECT_EQ(arrival(line), 0) << line;
    EXPECT_EQ(arrival("From " + std::string(10'000, 'x') + " Sun Sep 13 12:26:40 2020"), 0);
}

// --- the mailbox

TEST_F(MboxTest, AMissingFileIsEmptyAMissingDirectoryIsNot) {
    EXPECT_TRUE(ids().empty());
    EXPECT_TRUE(names().empty());
    deliver({});
    append(file, "");
    EXPECT_TRUE(ids().empty());
    fs::remove_all(directory);
    EXPECT_EQ(failure_to_list().code, Errc::temporary);
}

TEST_F(MboxTest, WhatIsNoMboxIsAnError) {
    for (const auto* text : {"Subject: x\n\n", "\n", "from x\n", "From", "\nFrom x\n", "{}"}) {
        fs::remove(file);
        append(file, text);
        EXPECT_EQ(failure_to_list().code, Errc::permanent) << text;
        EXPECT_EQ(read_all(file), text);
    }
    fs::remove(file);
    fs::create_directory(file);
    EXPECT_EQ(failure_to_list().text.find("listed"), std::string::npos);
    fs::remove(file);
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    EXPECT_EQ(failure_to_list().code, Errc::permanent);
    fs::remove(file);
    append(directory / "bob", separator + "\n");
    fs::create_symlink(directory / "bob", file);
    EXPECT_EQ(failure_to_list().code, Errc::permanent);
    for (const auto* user : {"", "..", "../ann", "a/b"}) EXPECT_EQ(failure_to_list(user).code, Errc::auth) << user;
}

TEST_F(MboxTest, ListTellsWhatFetchGives) {
    deliver({"Subject: a\n\nüml\n", "Subject: b\r\n\r\ncrlf\r\n", "Subject: c\n\n>From quoted\n\n\n"});
    EXPECT_EQ(texts(), (std::vector{"Subject: a\n\nüml\n"s, "Subject: b\r\n\r\ncrlf\r\n"s,
                                    "Subject: c\n\n>From quoted\n\n\n"s}));
    with_mailbox([&](Mailbox&, const auto& messages) {
        EXPECT_EQ(messages[0].octets, 20U);
        EXPECT_EQ(messages[0].arrival, 1'600'000'000);
        EXPECT_EQ(messages[1].octets, 20U);
    });
    EXPECT_EQ(names(), std::set{"ann"s});
}

TEST_F(MboxTest, IdsEndureDeliveryAndNotes) {
    append(file, separator + "Subject: a\n\na\n\n" + separator + "Subject: b\n\nno line end");
    const auto before = ids();
    EXPECT_EQ(before[0].size(), 32U);
    append(file, "\n\n");
    deliver({"Subject: c\n\nc\n"});
    auto after = ids();
    ASSERT_EQ(after.size(), 3U);
    EXPECT_EQ((std::vector{after[0], after[1]}), before);
    std::ofstream(file, std::ios::binary) << separator << "X-IMAPbase: 1 2\nSubject: a\nStatus: RO\n\na\n\n"
                                          << separator << "Status: O\nX-UID: 2\nSubject: b\n\nno line end\n\n"
                                          << separator << "Subject: c\n\nc\n\n";
    EXPECT_EQ(ids(), after);
}

TEST_F(MboxTest, EqualMessagesAreNumbered) {
    deliver({"twin\n", "other\n", "twin\n", "twin\n"});
    const auto all = ids();
    EXPECT_EQ(all[2], all[0] + "-2");
    EXPECT_EQ(all[3], all[0] + "-3");
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        EXPECT_EQ(mailbox.remove({messages[2]}).outcomes, std::vector{Removal::removed});
        Collector first, third;
        EXPECT_TRUE(mailbox.fetch(messages[0], first));
        EXPECT_FALSE(mailbox.fetch(messages[2], first));
        EXPECT_TRUE(mailbox.fetch(messages[3], third));
        EXPECT_EQ(mailbox.remove({messages[2], messages[3], messages[0]}).outcomes,
                  (std::vector{Removal::gone, Removal::removed, Removal::removed}));
    });
    EXPECT_EQ(texts(), std::vector{"other\n"s});
}

TEST_F(MboxTest, AMessageThatMovedIsFoundAgain) {
    deliver({"one\n", "two\n", "three\n"});
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        // Rewritten by a mail program, which puts a new file in the place of the old one.
        append(directory / "draft",
               separator + "Status: RO\n\nnew\n\n" + separator + "two\n\n" + separator + "Status: O\nthree\n\n");
        fs::rename(directory / "draft", file);
        Collector two, three, gone;
        EXPECT_TRUE(mailbox.fetch(messages[1], two));
        EXPECT_EQ(two.text, "two\n");
        EXPECT_TRUE(mailbox.fetch(messages[2], three));
        EXPECT_EQ(three.text, "Status: O\nthree\n");
        const auto status = mailbox.fetch(messages[0], gone);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::gone);
        fs::remove(file);
        EXPECT_EQ(mailbox.fetch(messages[1], gone).error().code, Errc::gone);
        EXPECT_EQ(mailbox.remove({messages[1]}).outcomes, std::vector{Removal::gone});
        EXPECT_EQ(gone.text, "");
    });
}

TEST_F(MboxTest, AMessageThatChangesWhileItIsReadIsAnError) {
    deliver({"first\n", "Subject: big\n\n" + std::string(300'000, 'x') + "\n", "last\n"});
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        for (const auto& damage : std::vector<std::function<void()>>{
                 [&] { fs::resize_file(file, 100'000); },
                 [&] { std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(250'000) << "y"; },
             }) {
            const auto intact = read_all(file);
            Collector collector;
            collector.after_first = damage;
            const auto status = mailbox.fetch(messages[1], collector);
            ASSERT_FALSE(status);
            EXPECT_EQ(status.error().code, Errc::temporary);
            EXPECT_LT(collector.text.size(), 300'015U);
            std::ofstream(file, std::ios::binary) << intact;
            Collector again;
            EXPECT_TRUE(mailbox.fetch(messages[1], again));
            EXPECT_EQ(again.text.size(), 300'015U);
        }
        // Delivery meanwhile is no such change.
        Collector collector;
        collector.after_first = [&] { deliver({"new\n"}); };
        EXPECT_TRUE(mailbox.fetch(messages[1], collector));
    });
}

TEST_F(MboxTest, RemovalKeepsTheFileAndItsOwner) {
    deliver({"one\n", "two\n", "three\n"});
    fs::permissions(file, fs::perms(0640));
    struct stat before {
    }, after{};
    ASSERT_EQ(stat(file.c_str(), &before), 0);
    const int agent = open(file.c_str(), O_WRONLY | O_APPEND);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        EXPECT_TRUE(mailbox.remove({messages[1]}).status);
        const auto late = separator + "late\n\n";
        EXPECT_EQ(write(agent, late.data(), late.size()), static_cast<ssize_t>(late.size()));
    });
    close(agent);
    ASSERT_EQ(stat(file.c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino);
    EXPECT_EQ(after.st_mode, before.st_mode);
    EXPECT_EQ(read_all(file), separator + "one\n\n" + separator + "three\n\n" + separator + "late\n\n");
    EXPECT_EQ(names(), std::set{"ann"s});
}

TEST_F(MboxTest, MarkSeenLeavesTheFileAlone) {
    deliver({"one\n"});
    const auto before = read_all(file);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) { EXPECT_TRUE(mailbox.mark_seen(messages)); });
    EXPECT_EQ(read_all(file), before);
}

TEST_F(MboxTest, AFileThatChangedIsReadAgain) {
    deliver({"one\n", "two\n"});
    for (int i = 0; i < 2; ++i) EXPECT_EQ(texts(), (std::vector{"one\n"s, "two\n"s}));
    // Of the same size.
    std::ofstream(file, std::ios::binary) << separator << "eno\n\n" << separator << "owt\n\n";
    EXPECT_EQ(texts(), (std::vector{"eno\n"s, "owt\n"s}));
}

TEST_F(MboxTest, AFullDiskChangesNothing) {
    deliver({"one\n", std::string(200'000, 'x') + "\n", "three\n"});
    const auto before = read_all(file);
    const rlimit small{100'000, RLIM_INFINITY};
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        setrlimit(RLIMIT_FSIZE, &small);
        const auto report = mailbox.remove({messages[0]});
        setrlimit(RLIMIT_FSIZE, &old);
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().text, "disk full");
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
    });
    std::signal(SIGXFSZ, old_handler);
    EXPECT_EQ(read_all(file), before);
    EXPECT_EQ(names(), std::set{"ann"s});
    with_mailbox([&](Mailbox& mailbox, const auto& messages) { EXPECT_TRUE(mailbox.remove({messages[0]}).status); });
}

TEST_F(MboxTest, ABusyPoolOrAnInterruptionIsAnErrorAndNotEmpty) {
    deliver({"one\n"});
    test::on_fiber(
        [&](Fiber& fiber) {
            const auto mailbox = backend()->open(fiber, {"ann", Secret()});
            ASSERT_TRUE(mailbox);
            EXPECT_FALSE((*mailbox)->list({}));
        },
        1, 0);
    test::on_fiber([&](Fiber& fiber) {
        const auto mailbox = backend()->open(fiber, {"ann", Secret()});
        ASSERT_TRUE(mailbox);
        fiber.interrupt();
        EXPECT_FALSE((*mailbox)->list({}));
        fiber.resume_waits();
        EXPECT_EQ((*mailbox)->list({}).value().messages.size(), 1U);
    });
    EXPECT_EQ(names(), std::set{"ann"s});
}

// --- locks

struct MboxLockTest : MboxTest {
    MboxLockTest() {
        deliver({"one\n", "two\n"});
        options.command_timeout = 300ms;
    }

    void make_dotfile(const std::string& text, std::chrono::seconds age) const {
        append(dotfile, text);
        const auto then = std::time(nullptr) - age.count();
        const timespec times[2] = {{then, 0}, {then, 0}};
        ASSERT_EQ(utimensat(AT_FDCWD, dotfile.c_str(), times, 0), 0);
    }

    static std::string dead_process() {
        const auto child = fork();
        if (child == 0) _exit(0);
        waitpid(child, nullptr, 0);
        return std::to_string(child);
    }

    /// A POSIX lock, as delivery agents take it, tried by another process.
    bool another_process_gets_the_lock() const {
        return in_child([&] {
                   const int other = open(file.c_str(), O_RDWR);
                   struct flock lock {};
                   lock.l_type = F_WRLCK;
                   _exit(fcntl(other, F_SETLK, &lock) == 0 ? 0 : 1);
               }) == 0;
    }

    Result<std::shared_ptr<mbox::LockedMbox>> try_lock() const {
        return mbox::LockedMbox::try_lock(*local::UserPath::expand(directory.string() + "/%u", "ann"));
    }
};

TEST_F(MboxLockTest, TheLockIsBothKindsAndGoesWithTheObject) {
    {
        const auto locked = try_lock();
        ASSERT_TRUE(locked);
        EXPECT_EQ(read_all(dotfile), std::to_string(getpid()) + "\npopgate\n");
        EXPECT_FALSE(another_process_gets_the_lock());
        const auto second = try_lock();
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, Errc::in_use);
        // A POSIX lock would be lost when any descriptor of the file is closed.
        close(open(file.c_str(), O_RDWR));
        EXPECT_FALSE(another_process_gets_the_lock());
        EXPECT_TRUE(fs::exists(dotfile));
    }
    EXPECT_FALSE(fs::exists(dotfile));
    EXPECT_TRUE(another_process_gets_the_lock());
}

TEST_F(MboxLockTest, ALockOfALivingProgramIsWaitedForAndRespected) {
    for (const auto age : {0s, 100'000s}) {
        make_dotfile(std::to_string(getppid()) + "\n", age);
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_EQ(failure_to_list().code, Errc::in_use);
        EXPECT_GE(std::chrono::steady_clock::now() - begin, 250ms);
        EXPECT_TRUE(fs::exists(dotfile));
        fs::remove(dotfile);
    }
    options.command_timeout = 20s;
    make_dotfile(std::to_string(getppid()) + "\n", 0s);
    std::thread other([&] {
        std::this_thread::sleep_for(200ms);
        fs::remove(dotfile);
    });
    EXPECT_EQ(ids().size(), 2U);
    other.join();
}

TEST_F(MboxLockTest, AForgottenDotfileIsRemoved) {
    const auto dead = dead_process();
    // Another program's, whose process is dead or unknown: only after a time.
    for (const auto& text : {dead + "\n", ""s, "0"s, "somewhere.example.com:12"s}) {
        make_dotfile(text, 200s);
        EXPECT_EQ(failure_to_list().code, Errc::in_use) << text;
        fs::remove(dotfile);
        make_dotfile(text, 400s);
        EXPECT_EQ(ids().size(), 2U) << text;
        EXPECT_FALSE(fs::exists(dotfile));
    }
    // Our own, from before a crash: at once. In a container the new process often has the number of the old one.
    for (const auto& process : {dead, std::to_string(getpid())}) {
        make_dotfile(process + "\npopgate\n", 0s);
        EXPECT_EQ(ids().size(), 2U);
        EXPECT_FALSE(fs::exists(dotfile));
    }
}

TEST_F(MboxLockTest, ThePosixLockOfAnAgentIsWaitedFor) {
    std::array<int, 2> ready{}, done{};
    ASSERT_EQ(pipe(ready.data()), 0);
    ASSERT_EQ(pipe(done.data()), 0);
    const auto child = fork();
    if (child == 0) {
        const int mine = open(file.c_str(), O_RDWR | O_APPEND);
        struct flock lock {};
        lock.l_type = F_WRLCK;
        if (fcntl(mine, F_SETLK, &lock) != 0) _exit(1);
        char c = 'x';
        if (write(ready[1], &c, 1) != 1 || read(done[0], &c, 1) != 1) _exit(2);
        usleep(200'000);
        const auto text = separator + "late\n\n";
        _exit(write(mine, text.data(), text.size()) > 0 ? 0 : 3);
    }
    char c = 0;
    ASSERT_EQ(read(ready[0], &c, 1), 1);
    EXPECT_EQ(failure_to_list().code, Errc::in_use);
    EXPECT_EQ(failure_to_list().text.find(directory.string()), std::string::npos);
    ASSERT_EQ(write(done[1], &c, 1), 1);
    options.command_timeout = 20s;
    EXPECT_EQ(ids().size(), 3U);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    for (const int end : {ready[0], ready[1], done[0], done[1]}) close(end);
}

TEST_F(MboxLockTest, FetchNeedsNoLock) {
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        make_dotfile(std::to_string(getppid()) + "\n", 0s);
        deliver({"three\n"});
        Collector collector;
        EXPECT_TRUE(mailbox.fetch(messages[1], collector));
        const auto report = mailbox.remove({messages[0]});
        ASSERT_FALSE(report.status);
        EXPECT_EQ(report.status.error().code, Errc::in_use);
        EXPECT_EQ(report.outcomes, std::vector{Removal::failed});
        fs::remove(dotfile);
        EXPECT_TRUE(mailbox.remove({messages[0]}).status);
    });
    EXPECT_EQ(texts(), (std::vector{"two\n"s, "three\n"s}));
}

TEST_F(MboxLockTest, WhereTheDirectoryDoesNotLetUsTheFileIsLockedAlone) {
    if (geteuid() == 0) {
        ASSERT_EQ(chown(file.c_str(), 65534, 65534), 0);
        ASSERT_EQ(chmod(directory.c_str(), 0755), 0);
        ASSERT_EQ(seteuid(65534), 0);
    } else {
        ASSERT_EQ(chmod(directory.c_str(), 0555), 0);
    }
    {
        const auto locked = try_lock();
        EXPECT_TRUE(locked);
        EXPECT_FALSE(fs::exists(dotfile));
        EXPECT_FALSE(another_process_gets_the_lock());
    }
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        EXPECT_EQ(messages.size(), 2U);
        const auto report = mailbox.remove({messages[0]});
        ASSERT_FALSE(report.status);  // there is no place for the journal
        EXPECT_EQ(report.status.error().code, Errc::permanent);
    });
    if (getuid() == 0) {
        ASSERT_EQ(seteuid(0), 0);
    }
    chmod(directory.c_str(), 0755);
    EXPECT_EQ(texts().size(), 2U);
}

// --- crashes

struct MboxCrashTest : MboxTest {
    /// Some smaller and some larger than what is copied at once.
    static std::vector<std::string> messages() {
        std::vector<std::string> messages;
        for (int i = 0; i < 8; ++i)
            messages.push_back(separator + "Subject: " + std::to_string(i) + "\n\n" +
                               std::string(i % 3 == 2 ? 100'000 : 50, static_cast<char>('a' + i)) + "\n\n");
        return messages;
    }

    static std::string joined(const std::vector<std::string>& parts, const std::set<std::size_t>& without = {}) {
        std::string text;
        for (std::size_t i = 0; i < parts.size(); ++i)
            if (!without.contains(i)) text += parts[i];
        return text;
    }

    mbox::Place open_place() const {
        return {open(directory.c_str(), O_RDONLY | O_DIRECTORY), open(file.c_str(), O_RDWR), "ann"};
    }
    static void close_place(const mbox::Place& place) {
        close(place.directory);
        close(place.file);
    }

    /// Calls `change(place, step)` in a process that dies at its n-th step. True when it came to its end.
    template <class Change>
    bool dies_at(int n, Change change) const {
        const int status = in_child([&] {
            const auto place = open_place();
            int steps = 0;
            const auto result = change(place, [&] {
                if (++steps == n) _exit(9);
            });
            _exit(result ? 0 : 1);
        });
        EXPECT_TRUE(status == 0 || status == 9) << status;
        return status == 0;
    }

    void recover() const {
        const auto place = open_place();
        const auto status = mbox::recover(place);
        EXPECT_TRUE(status) << status.error().detail;
        close_place(place);
    }

    static std::vector<mbox::Range> ranges_of(const std::set<std::size_t>& removed) {
        std::vector<mbox::Range> ranges;
        std::uint64_t at = 0;
        const auto all = messages();
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (removed.contains(i)) ranges.push_back({at, at + all[i].size()});
            at += all[i].size();
        }
        return ranges;
    }
};

// A process takes several times as long to start with sanitizers, so there where others look at every step, it is every
// third.
#ifdef POPGATE_SANITIZED
constexpr int stride = 3;
constexpr int rounds = 15;
#else
constexpr int stride = 1;
constexpr int rounds = 40;
#endif

const std::set<std::size_t> removals[] = {{0}, {7}, {2}, {0, 1, 2, 3, 4, 5, 6, 7}, {1, 4, 5}, {0, 7}, {6, 7}};

TEST_F(MboxCrashTest, AtEveryStepNothingIsLost) {
    for (const auto& removed : removals) {
        const auto ranges = ranges_of(removed);
        const auto cut = [&](const mbox::Place& place, const mbox::Step& step) {
            return mbox::cut_out(place, ranges, step);
        };
        for (const auto& appended :
             {""s, separator + "late\n\n", "F"s, separator + std::string(150'000, 'z') + "\n\n", joined(messages())}) {
            if (ranges.size() != 2 && appended.size() > 100) continue;  // for the time it takes
            const bool plain = appended.empty() || appended.starts_with(separator + "late");
            bool ended = false;
            for (int n = 1; !ended; n += plain ? 1 : stride) {
                std::ofstream(file, std::ios::binary) << joined(messages());
                ended = dies_at(n, cut);
                append(file, appended);  // by an agent that knows of no journal
                recover();
                const auto now = read_all(file);
                const bool done = now == joined(messages(), removed) + appended;
                EXPECT_TRUE(done || now == joined(messages()) + appended) << "died at step " << n;
                EXPECT_TRUE(done || !ended);
                EXPECT_FALSE(fs::exists(journal));
                ASSERT_LT(n, 100);
            }
        }
    }
}

TEST_F(MboxCrashTest, AtEveryStepOfARecoveryToo) {
    const std::set<std::size_t> removed{1, 4, 5};
    const auto ranges = ranges_of(removed);
    const auto cut = [&](const mbox::Place& place, const mbox::Step& step) {
        return mbox::cut_out(place, ranges, step);
    };
    const auto finish = [](const mbox::Place& place, const mbox::Step& step) { return mbox::recover(place, step); };
    const auto late = separator + "late\n\n";
    const auto later = separator + std::string(70'000, 'z') + "\n\n";
    bool ended = false;
    for (int n = 1; !ended; n += stride) {
        bool recovered = false;
        for (int m = 1; !recovered; ++m) {
            std::ofstream(file, std::ios::binary) << joined(messages());
            ended = dies_at(n, cut);
            append(file, late);
            recovered = dies_at(m, finish);
            append(file, later);
            recover();
            const auto now = read_all(file);
            EXPECT_TRUE(now == joined(messages(), removed) + late + later || now == joined(messages()) + late + later)
                << n << ", " << m;
            EXPECT_FALSE(fs::exists(journal));
            ASSERT_LT(m, 100);
        }
    }
}

TEST_F(MboxCrashTest, KilledAtAnyMomentOfRealSessions) {
    // Processes that take messages away one by one and are killed, while an agent delivers under the lock.
    options.command_timeout = 2s;  // a lock that was left behind must not be waited for
    std::mt19937 random(20201113);
    std::vector<std::string> delivered;
    std::set<std::string> reported;
    const auto report_file = directory / "reported";
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < 4; ++i) {
            delivered.push_back("Subject: " + std::to_string(delivered.size()) + "\n\n" +
                                std::string(random() % 150'000, 'x') + "\n");
            deliver({delivered.back()});
        }
        const auto child = fork();
        if (child == 0) {
            with_mailbox([&](Mailbox& mailbox, const auto& all) {
                for (std::size_t i = 0; i < all.size(); i += 2)
                    if (mailbox.remove({all[i]}).status) append(report_file, mailbox.unique_id(all[i]) + "\n");
            });
            _exit(0);
        }
        usleep(random() % 40'000);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);

        std::ifstream reports(report_file);
        for (std::string id; std::getline(reports, id);) reported.insert(id);
        std::vector<std::string> there;
        with_mailbox([&](Mailbox& mailbox, const auto& all) {
            for (const auto& message : all) {
                Collector collector;
                ASSERT_TRUE(mailbox.fetch(message, collector));
                there.push_back(collector.text);
                EXPECT_FALSE(reported.contains(mailbox.unique_id(message))) << "what was told to be removed is back";
            }
        });
        // What is there was delivered, in that order, and no more is missing than was reported and one under way.
        auto next = delivered.begin();
        for (const auto& text : there) {
            next = std::find(next, delivered.end(), text);
            ASSERT_NE(next, delivered.end()) << "round " << round;
            ++next;
        }
        EXPECT_GE(there.size() + reported.size() + 1, delivered.size()) << "round " << round;
        EXPECT_FALSE(fs::exists(journal));
        // From here on, as if this were all that ever was.
        delivered = there;
        reported.clear();
        fs::remove(report_file);
    }
}

TEST_F(MboxCrashTest, AJournalThatIsNotOursIsNotBelieved) {
    const std::set<std::size_t> removed{1};
    const auto ranges = ranges_of(removed);
    const auto cut = [&](const mbox::Place& place, const mbox::Step& step) {
        return mbox::cut_out(place, ranges, step);
    };
    const auto leave_journal = [&] {
        fs::remove(file);
        fs::remove(journal);
        append(file, joined(messages()));
        for (int n = 1; !fs::exists(journal); ++n) ASSERT_FALSE(dies_at(n, cut));
    };
    const auto is_refused = [&](const char* what) {
        const auto before = read_all(file);
        EXPECT_EQ(failure_to_list().code, Errc::permanent) << what;
        EXPECT_EQ(failure_to_list().text.find(directory.string()), std::string::npos);
        EXPECT_EQ(read_all(file), before) << what;
        EXPECT_TRUE(fs::exists(fs::symlink_status(journal))) << what;
    };

    leave_journal();
    EXPECT_EQ(failure_to_list().text, "it was listed");
    EXPECT_EQ(read_all(file), joined(messages(), removed));

    leave_journal();
    const auto whole = read_all(journal);
    for (const std::size_t at : {std::size_t{0}, std::size_t{9}, std::size_t{40}, std::size_t{50}, std::size_t{60},
                                 whole.size() / 2, whole.size() - 1}) {
        auto damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        std::ofstream(journal, std::ios::binary) << damaged;
        is_refused("a bit is wrong");
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, whole.size() - 1}) {
        std::ofstream(journal, std::ios::binary) << whole.substr(0, size);
        EXPECT_NE(failure_to_list().text, "it was listed") << size;
    }
    EXPECT_EQ(read_all(file), joined(messages()));

    leave_journal();
    fs::rename(file, directory / "old");
    fs::copy_file(directory / "old", file);
    is_refused("the file is another one");

    leave_journal();
    fs::resize_file(file, 1000);
    is_refused("the file is shorter than it was");

    leave_journal();
    fs::create_hard_link(journal, directory / "second name");
    is_refused("it has two names");
    fs::remove(directory / "second name");

    leave_journal();
    fs::rename(journal, directory / "elsewhere");
    fs::create_symlink(directory / "elsewhere", journal);
    is_refused("it is a link");
    fs::remove(directory / "elsewhere");

    if (geteuid() == 0) {
        leave_journal();
        ASSERT_EQ(chown(journal.c_str(), 65534, 65534), 0);
        is_refused("somebody else made it");
    }
}

}  // namespace
}  // namespace popgate
