#include "gateway/config/config.hpp"
#include "gateway/state/sqlite_store.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/contract/state_store_contract.hpp"

namespace popgate::test {
namespace {

class SqliteFixture final : public StateStoreFixture {
public:
    std::unique_ptr<StateStore> open() override {
        auto store = open_state_store({"sqlite:" + (directory_.path() / "state.db").string()});
        return store ? std::move(*store) : nullptr;
    }

private:
    TemporaryDirectory directory_;
};

class SqliteMemoryFixture final : public StateStoreFixture {
public:
    std::unique_ptr<StateStore> open() override {
        auto store = open_state_store({"sqlite::memory:"});
        return store ? std::move(*store) : nullptr;
    }
    bool has_nodes() const override { return false; }
};

INSTANTIATE_TEST_SUITE_P(, StateStoreContract,
                         testing::Values(StateStoreKind{"Sqlite", [] { return std::make_unique<SqliteFixture>(); }},
                                         StateStoreKind{"SqliteMemory",
                                                        [] { return std::make_unique<SqliteMemoryFixture>(); }}),
                         store_kind_name);

}  // namespace
}  // namespace popgate::test
