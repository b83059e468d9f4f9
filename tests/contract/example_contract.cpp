#include "tests/contract/contract_checks.hpp"
#include "tests/example_backend/eml_backend.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace popgate::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Backend> make_backend_in(const fs::path& directory, const std::string& trash = {},
                                         const std::string& archive = {}) {
    BackendOptions options;
    options.url = "eml:" + directory.string() + "/%u";
    options.trash_folder = trash;
    options.archive_folder = archive;
    return *make_eml_backend(options);
}

/// The delivery, and other programs, that share the spool with us.
class EmlFixture final : public MailboxFixture {
public:
    EmlFixture() {
        for (const auto* folder : {"trash", "archive"}) fs::create_directories(spool() / folder);
    }

    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return "somebody"; }

    std::string deliver(const std::string& raw) override {
        const auto part = spool() / "arriving";
        std::ofstream file(part, std::ios::binary);
        file << raw;
        file.close();
        if (!file) throw std::runtime_error("cannot write " + part.string());
        ++clock_;
        fs::last_write_time(part, fs::file_time_type::clock::from_sys(std::chrono::sys_seconds{clock_}));
        fs::rename(part, spool() / (std::to_string(clock_.count()) + ".eml"));
        return raw;
    }
    void remove(std::size_t index) override { fs::remove(files().at(index)); }
    std::optional<bool> is_seen(std::size_t) const override { return std::nullopt; }

    bool has_folders() const override { return true; }
    std::vector<std::string> folder(SpecialFolder which) const override {
        std::vector<std::string> texts;
        for (const auto& entry :
             fs::directory_iterator(spool() / (which == SpecialFolder::trash ? "trash" : "archive"))) {
            std::ifstream stream(entry.path(), std::ios::binary);
            texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
        }
        return texts;
    }
    const Backend* backend_without_folders() const override { return without_folders_.get(); }

    fs::path spool() const { return directory_.path() / user(); }
    std::vector<fs::path> files() const {
        std::vector<fs::path> files;
        for (const auto& entry : fs::directory_iterator(spool()))
            if (entry.path().extension() == ".eml") files.push_back(entry.path());
        std::ranges::sort(files);
        return files;
    }

private:
    TemporaryDirectory directory_;
    std::unique_ptr<Backend> backend_ = make_backend_in(directory_.path());
    std::unique_ptr<Backend> without_folders_ = make_backend_in(directory_.path(), "nowhere", "neither");
    std::chrono::seconds clock_{1'600'000'000};
};

INSTANTIATE_TEST_SUITE_P(, MailboxContract,
                         testing::Values(MailboxKind{"Example", [] { return std::make_unique<EmlFixture>(); }}),
                         kind_name);

Result<Listing> list(Fiber& fiber, const EmlFixture& fixture) {
    auto opened = fixture.backend().open(fiber, {fixture.user(), Secret(fixture.password())});
    if (!opened) return opened.error();
    return (*opened)->list({});
}

TEST(ExampleBackend, AMissingSpoolIsNoEmptyMailbox) {
    EmlFixture fixture;
    fs::remove_all(fixture.spool());
    on_fiber([&](Fiber& fiber) {
        const auto listing = list(fiber, fixture);
        ASSERT_TRUE(listing.has_error());
        EXPECT_EQ(listing.error().code, Errc::temporary);
        EXPECT_EQ(listing.error().text.find('/'), std::string::npos) << listing.error().text;
    });
}

TEST(ExampleBackend, ASpoolThatVanishesTakesNoMessageForGone) {
    EmlFixture fixture;
    fixture.deliver(message("one"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        fs::remove_all(fixture.spool());
        EXPECT_EQ(session.fetch(0).error().code, Errc::temporary);
        const auto report = session.mailbox->remove(session.messages);
        EXPECT_EQ(report.outcomes, std::vector{Removal::unknown});
        EXPECT_TRUE(report.status.has_error());
    });
}

TEST(ExampleBackend, ALaterFileOfTheSameNameIsAnotherMessage) {
    EmlFixture fixture;
    fixture.deliver(message("one"));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        std::ofstream(fixture.files().at(0), std::ios::binary | std::ios::trunc) << message("two");
        EXPECT_TRUE(is_gone(session, 0));
        EXPECT_EQ(session.mailbox->remove(session.messages).outcomes, std::vector{Removal::gone});
        EXPECT_EQ(session.mailbox->move(session.messages, SpecialFolder::trash).outcomes, std::vector{Removal::gone});
    });
    EXPECT_EQ(fixture.files().size(), 1U);
}

TEST(ExampleBackend, AFileThatIsCutWhileItIsReadIsNoWholeMessage) {
    class CuttingSink final : public BodySink {
    public:
        explicit CuttingSink(fs::path file) : file_(std::move(file)) {}
        bool write(std::string_view) noexcept override { return ::truncate(file_.c_str(), 100'000) == 0; }

    private:
        fs::path file_;
    };
    EmlFixture fixture;
    fixture.deliver(message("big", std::string(300'000, 'x')));
    on_fiber([&](Fiber& fiber) {
        const Session session(fiber, fixture);
        CuttingSink sink(fixture.files().at(0));
        const auto status = session.mailbox->fetch(session.messages.at(0), sink);
        ASSERT_TRUE(status.has_error());
        EXPECT_EQ(status.error().code, Errc::temporary) << status.error().detail;
    });
}

TEST(ExampleBackend, OnlyFilesAreMessages) {
    EmlFixture fixture;
    fixture.deliver(message("one"));
    fs::create_directory(fixture.spool() / "folder.eml");
    std::ofstream(fixture.spool() / ".hidden.eml") << message("two");
    on_fiber([&](Fiber& fiber) {
        const auto listing = list(fiber, fixture);
        ASSERT_TRUE(listing) << listing.error().detail;
        EXPECT_EQ(listing->messages.size(), 1U);
    });
}

TEST(ExampleBackend, RefusesWhatItCannotDo) {
    for (const auto& [url, trash, unique_ids] :
         {std::array{"eml:relative", "", "native"}, std::array{"eml:/spool/%u", "../other", "native"},
          std::array{"eml:/spool/%u", ".hidden", "native"}, std::array{"eml:/spool/%u", "", "dovecot"}}) {
        BackendOptions options;
        options.url = url;
        options.trash_folder = trash;
        options.unique_ids = unique_ids;
        const auto made = make_eml_backend(options);
        ASSERT_TRUE(made.has_error()) << url << " " << trash << " " << unique_ids;
        EXPECT_EQ(made.error().code, Errc::permanent);
        EXPECT_FALSE(made.error().text.empty());
    }
}

}  // namespace
}  // namespace popgate::test
