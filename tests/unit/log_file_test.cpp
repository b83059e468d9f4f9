#include "gateway/observe/log_file.hpp"

#include "gateway/observe/log.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

namespace popgate {
namespace {

class LogFileTest : public testing::Test {
protected:
    LogFileTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "popgate-log-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        path_ = (folder_ / "popgate.log").string();
    }
    ~LogFileTest() override {
        (void)set_up_log({});
        std::filesystem::remove_all(folder_);
    }

    std::unique_ptr<LogFile> open() const {
        auto file = LogFile::open(path_, [](std::uint64_t lost) { return std::to_string(lost) + " lost"; });
        EXPECT_FALSE(file.has_error()) << file.error().text;
        return std::move(*file);
    }
    static std::string content(const std::filesystem::path& path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }

    std::filesystem::path folder_;
    std::string path_;
};

TEST_F(LogFileTest, IsMadeForItsOwnerAndGroupAndAppendedTo) {
    open()->write("one");
    open()->write("two");
    EXPECT_EQ(content(path_), "one\ntwo\n");
    struct stat status {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0137, 0U);
}

TEST_F(LogFileTest, ThatCannotBeOpenedIsNamedWithItsCause) {
    const auto missing = (folder_ / "none" / "popgate.log").string();
    const auto file = LogFile::open(missing, {});
    ASSERT_TRUE(file.has_error());
    EXPECT_EQ(file.error().text, "the log file " + missing + " cannot be opened: No such file or directory");
}

TEST_F(LogFileTest, GoesOnInTheFileThatHasTheNameNow) {
    const auto file = open();
    file->write("one");
    std::filesystem::rename(path_, path_ + ".1");
    file->write("two");
    EXPECT_FALSE(file->reopen().has_error());
    file->write("three");
    EXPECT_EQ(content(path_ + ".1"), "one\ntwo\n");
    EXPECT_EQ(content(path_), "three\n");
}

TEST_F(LogFileTest, StaysInTheOldOneWhereThereCanBeNoNewOne) {
    const auto file = open();
    std::filesystem::rename(path_, path_ + ".1");
    std::filesystem::create_directory(path_);
    EXPECT_TRUE(file->reopen().has_error());
    file->write("one");
    EXPECT_EQ(content(path_ + ".1"), "one\n");
}

TEST_F(LogFileTest, CountsWhatAFullDiskDoesNotTake) {
    std::filesystem::create_symlink("/dev/full", path_);
    const auto file = open();
    testing::internal::CaptureStderr();
    for (int i = 0; i < 3; ++i) file->write("lost");
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said, "popgate: " + path_ + " cannot be written, log lines are lost: No space left on device\n");
    std::filesystem::remove(path_);
    EXPECT_FALSE(file->reopen().has_error());
    file->write("four");
    file->write("five");
    EXPECT_EQ(content(path_), "3 lost\nfour\nfive\n");
}

TEST_F(LogFileTest, EndsALineThatWasCutByAFullDisk) {
    // A limit on the size of files cuts a write as a full disk does.
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto file = open();
    file->write("123456");
    const rlimit tight{10, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    testing::internal::CaptureStderr();
    file->write("abcdef");
    file->write("ghijkl");
    ::setrlimit(RLIMIT_FSIZE, &before);
    testing::internal::GetCapturedStderr();
    file->write("mnopqr");
    file->write("stuvwx");
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(content(path_), "123456\nabc\n2 lost\nmnopqr\nstuvwx\n");
}

TEST_F(LogFileTest, TakesTheLogInItsFormat) {
    ASSERT_FALSE(set_up_log({LogFormat::json, LogLevel::info, path_}).has_error());
    log(LogLevel::info, "one", {{"n", std::int64_t{1}}});
    ASSERT_FALSE(set_up_log({LogFormat::text, LogLevel::info, path_}).has_error());
    std::filesystem::rename(path_, path_ + ".1");
    reopen_log();
    log(LogLevel::info, "two", {});
    EXPECT_NE(content(path_ + ".1").find(R"("event":"one","n":1})"), std::string::npos) << content(path_ + ".1");
    EXPECT_TRUE(content(path_).ends_with("Z info two\n")) << content(path_);
}

TEST_F(LogFileTest, OfANewSettingThatFailsChangesNothing) {
    ASSERT_FALSE(set_up_log({LogFormat::text, LogLevel::info, path_}).has_error());
    EXPECT_TRUE(set_up_log({LogFormat::json, LogLevel::error, path_ + "/none"}).has_error());
    log(LogLevel::info, "still", {});
    EXPECT_TRUE(content(path_).ends_with("Z info still\n")) << content(path_);
}

TEST_F(LogFileTest, TellsTheLossInTheLogsFormat) {
    std::filesystem::create_symlink("/dev/full", path_);
    ASSERT_FALSE(set_up_log({LogFormat::text, LogLevel::info, path_}).has_error());
    testing::internal::CaptureStderr();
    log(LogLevel::info, "lost", {});
    testing::internal::GetCapturedStderr();
    std::filesystem::remove(path_);
    reopen_log();
    log(LogLevel::info, "kept", {});
    EXPECT_NE(content(path_).find("Z warning log_lost lines=1\n"), std::string::npos) << content(path_);
    EXPECT_TRUE(content(path_).ends_with("Z info kept\n")) << content(path_);
}

}  // namespace
}  // namespace popgate
