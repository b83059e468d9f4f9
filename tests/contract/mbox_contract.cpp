#include "backends/mbox/mbox_backend.hpp"
#include "tests/contract/mailbox_contract.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace popgate::test {
namespace {

/// A delivery agent and another mail program that share a file with us.
class MboxFixture final : public MailboxFixture {
public:
    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return "somebody"; }

    std::string deliver(const std::string& raw) override {
        std::string quoted;
        std::istringstream lines(raw);
        for (std::string line; std::getline(lines, line);)
            quoted += (line.starts_with("From ") ? ">" : "") + line + "\n";
        std::ofstream file(path(), std::ios::binary | std::ios::app);
        file << separator << quoted << "\n";
        if (!file.flush()) throw std::runtime_error("cannot append");
        return quoted;
    }

    void remove(std::size_t index) override {
        std::ifstream file(path(), std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        std::vector<std::size_t> begins;
        for (std::size_t at = 0; at != std::string::npos;) {
            begins.push_back(at);
            at = text.find("\n\nFrom sender@example.com ", at);
            if (at != std::string::npos) at += 2;
        }
        begins.push_back(text.size());
        std::ofstream(path(), std::ios::binary)
            << text.substr(0, begins.at(index)) << text.substr(begins.at(index + 1));
    }

    std::optional<bool> is_seen(std::size_t) const override { return std::nullopt; }

    bool has_folders() const override { return true; }
    std::vector<std::string> folder(SpecialFolder which) const override {
        std::ifstream file(which == SpecialFolder::trash ? mail() / "somebody.trash" : mail() / "archive/somebody",
                           std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        std::vector<std::string> texts;
        for (std::size_t at = 0; at < text.size();) {
            if (!text.substr(at).starts_with(separator)) throw std::runtime_error("not an mbox: " + text.substr(at));
            at += separator.size();
            const auto end = std::min(text.find("\n" + separator, at), text.size() - 1);
            texts.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        return texts;
    }
    const Backend* backend_without_folders() const override { return without_folders_.get(); }

private:
    inline static const std::string separator = "From sender@example.com Sun Sep 13 12:26:40 2020\n";

    std::filesystem::path mail() const { return directory_.path() / "mail"; }
    std::filesystem::path path() const { return mail() / user(); }

    std::unique_ptr<Backend> make(const std::string& trash, const std::string& archive) const {
        std::filesystem::create_directories(mail() / "archive");
        BackendOptions options;
        options.url = "mbox:" + mail().string() + "/%u";
        options.trash_folder = trash;
        options.archive_folder = archive;
        auto made = make_mbox_backend(options);
        return std::move(*made);
    }

    TemporaryDirectory directory_;
    std::unique_ptr<Backend> backend_ = make("%u.trash", "archive/%u");
    std::unique_ptr<Backend> without_folders_ = make("", "");
};

INSTANTIATE_TEST_SUITE_P(, MailboxContract,
                         testing::Values(MailboxKind{"Mbox", [] { return std::make_unique<MboxFixture>(); }}),
                         kind_name);

}  // namespace
}  // namespace popgate::test
