#include "gateway/config/config.hpp"
#include "tests/contract/mailbox_contract.hpp"
#include "tests/contract/state_store_contract.hpp"
#include "tests/support/redis_server.hpp"

namespace popgate::test {
namespace {

RedisServer& server() {
    static RedisServer running({.on_socket = true});
    return running;
}

/// Keys of its own at a server that all of them share.
class RedisFixture final : public StateStoreFixture {
public:
    RedisFixture() : prefix_("test" + std::to_string(++last_)) {
        // As if the server had been there for long: nothing that was locked before can be held any more.
        server().cli({"EVAL",
                          "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')\n"
                          "for i = 0, 255 do\n"
                          "  redis.call('HSET', string.format('%s:{%02x}:epoch', ARGV[1], i), 'run', run, 'since', '1')\n"
                          "end",
                          "0", prefix_});
    }

    std::unique_ptr<StateStore> open() override {
        StateConfig config;
        config.url = "redis+unix:" + server().socket() + "?prefix=" + prefix_;
        config.node = "node" + std::to_string(++nodes_);
        config.lock_expiry = std::chrono::seconds(2);
        auto store = open_state_store(config);
        return store ? std::move(*store) : nullptr;
    }

private:
    static inline int last_ = 0;
    std::string prefix_;
    int nodes_ = 0;
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MailboxContract);
INSTANTIATE_TEST_SUITE_P(, StateStoreContract,
                         testing::Values(StateStoreKind{"Redis", [] { return std::make_unique<RedisFixture>(); }}),
                         store_kind_name);

}  // namespace
}  // namespace popgate::test
