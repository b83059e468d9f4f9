#include "backends/maildir/maildir_backend.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/contract/maildir_fixture.hpp"

#include <fstream>
#include <iterator>

namespace popgate::test {
namespace {

std::unique_ptr<Backend> make_backend_in(const std::filesystem::path& directory) {
    BackendOptions options;
    options.url = "maildir:" + directory.string() + "/%u";
    auto made = make_maildir_backend(options);
    return std::move(*made);
}

class MaildirMailboxFixture final : public MailboxFixture {
public:
    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return "somebody"; }

    std::string deliver(const std::string& raw) override {
        maildir_.deliver(raw);
        return raw;
    }
    void remove(std::size_t index) override { std::filesystem::remove(maildir_.files().at(index)); }
    std::optional<bool> is_seen(std::size_t index) const override { return maildir_.is_seen(index); }

    bool has_folders() const override { return true; }
    std::vector<std::string> folder(SpecialFolder which) const override {
        const auto path = directory_.path() / user() / (which == SpecialFolder::trash ? ".Trash" : ".Archive");
        std::vector<std::string> texts;
        if (!std::filesystem::exists(path)) return texts;
        for (const auto& file : MaildirFixture(path).files()) {
            std::ifstream stream(file, std::ios::binary);
            texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
        }
        return texts;
    }

private:
    TemporaryDirectory directory_;
    MaildirFixture maildir_{directory_.path() / user()};
    std::unique_ptr<Backend> backend_ = make_backend_in(directory_.path());
};

INSTANTIATE_TEST_SUITE_P(, MailboxContract,
                         testing::Values(MailboxKind{"Maildir",
                                                     [] { return std::make_unique<MaildirMailboxFixture>(); }}),
                         kind_name);

}  // namespace
}  // namespace popgate::test
