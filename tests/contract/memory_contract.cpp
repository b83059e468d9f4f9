#include "backends/memory/memory_backend.hpp"
#include "tests/contract/mailbox_contract.hpp"

namespace popgate::test {
namespace {

class MemoryFixture final : public MailboxFixture {
public:
    MemoryFixture() { store_->set_password(user(), password()); }

    const Backend& backend() const override { return *backend_; }
    std::string user() const override { return "somebody"; }

    std::string deliver(const std::string& raw) override {
        store_->add(user(), raw, ++clock_);
        return raw;
    }
    void remove(std::size_t index) override { store_->remove(user(), store_->messages(user()).at(index).id); }
    std::optional<bool> is_seen(std::size_t index) const override { return store_->messages(user()).at(index).seen; }

    bool has_folders() const override { return true; }
    std::vector<std::string> folder(SpecialFolder which) const override {
        std::vector<std::string> texts;
        for (const auto& message : store_->messages(user(), which == SpecialFolder::trash ? "Trash" : "Archive"))
            texts.push_back(*message.text);
        return texts;
    }
    const Backend* backend_without_folders() const override { return without_folders_.get(); }

private:
    std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
    std::unique_ptr<Backend> backend_ = make_memory_backend(store_);
    std::unique_ptr<Backend> without_folders_ = make_memory_backend(store_, {"", ""});
    std::int64_t clock_ = 1'600'000'000;
};

INSTANTIATE_TEST_SUITE_P(, MailboxContract,
                         testing::Values(MailboxKind{"Memory", [] { return std::make_unique<MemoryFixture>(); }}),
                         kind_name);

}  // namespace
}  // namespace popgate::test
