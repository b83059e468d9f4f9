#include "backends/memory/faulty_mailbox.hpp"
#include "backends/memory/memory_backend.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

class Collector final : public BodySink {
public:
    bool write(std::string_view octets) noexcept override {
        text += octets;
        return !closes;
    }
    std::string text;
    bool closes = false;
};

struct MemoryTest : testing::Test {
    MemoryTest() {
        store->set_password("ann", "secret");
        for (const auto* text : {"one\n", "two two\n", "three three three\n"}) store->add("ann", text);
    }

    /// Runs `body` with a faulty mailbox, opened and listed.
    template <class Body>
    void with_mailbox(Body body) {
        test::on_fiber([&](Fiber& fiber) {
            const auto backend = make_faulty_backend(make_memory_backend(store), faults);
            auto mailbox = backend->open(fiber, {"ann", Secret("secret")});
            ASSERT_TRUE(mailbox);
            const auto listing = (*mailbox)->list({});
            ASSERT_TRUE(listing);
            body(**mailbox, listing->messages);
        });
    }

    std::shared_ptr<MemoryStore> store = std::make_shared<MemoryStore>();
    std::shared_ptr<Faults> faults = std::make_shared<Faults>();
};

TEST_F(MemoryTest, OnlyTheRightPasswordOpens) {
    store->add("passwordless", "text");
    const auto backend = make_memory_backend(store);
    EXPECT_TRUE(backend->checks_password());
    test::on_fiber([&](Fiber& fiber) {
        EXPECT_TRUE(backend->open(fiber, {"ann", Secret("secret")}));
        for (const auto& [user, password] :
             {std::pair{"ann", "Secret"}, {"ann", ""}, {"nobody", "secret"}, {"passwordless", ""}}) {
            const auto refused = backend->open(fiber, {user, Secret(password)});
            ASSERT_FALSE(refused) << user;
            EXPECT_EQ(refused.error().code, Errc::auth);
        }
    });
}

TEST_F(MemoryTest, IdsAreNotUsedAgain) {
    const auto last = store->messages("ann").back().id;
    EXPECT_TRUE(store->remove("ann", last));
    EXPECT_FALSE(store->remove("ann", last));
    EXPECT_NE(store->add("ann", "text"), last);
}

TEST_F(MemoryTest, WithoutFaultsAllWorks) {
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        Collector all;
        EXPECT_TRUE(mailbox.fetch(messages[1], all));
        EXPECT_EQ(all.text, "two two\n");
        EXPECT_EQ(messages[1].octets, 9U);
    });
    EXPECT_EQ(faults->calls, 3U);
}

TEST_F(MemoryTest, TheChosenCallFailsOnce) {
    for (unsigned call = 0; call < 2; ++call) {
        faults = std::make_shared<Faults>();
        faults->call = 2 + call;  // after open and list
        with_mailbox([&](Mailbox& mailbox, const auto& messages) {
            for (unsigned i = 0; i < 4; ++i) {
                Collector all;
                const auto status = mailbox.fetch(messages[0], all);
                EXPECT_EQ(status.has_error(), i == call);
                EXPECT_EQ(all.text.empty(), i == call);
            }
        });
    }
    faults->call = 0;
    test::on_fiber([&](Fiber& fiber) {
        const auto backend = make_faulty_backend(make_memory_backend(store), faults);
        EXPECT_FALSE(backend->open(fiber, {"ann", Secret("secret")}));
        EXPECT_TRUE(backend->open(fiber, {"ann", Secret("secret")}));
    });
}

TEST_F(MemoryTest, ABodyIsCutAfterSoManyOctets) {
    for (std::uint64_t octets = 0; octets <= 8; ++octets) {
        faults->octets = octets;
        with_mailbox([&](Mailbox& mailbox, const auto& messages) {
            Collector all;
            const auto status = mailbox.fetch(messages[1], all);  // of 8 octets
            EXPECT_EQ(status.has_value(), octets == 8);
            EXPECT_EQ(all.text, std::string("two two\n").substr(0, octets));
            if (!status) {
                EXPECT_EQ(status.error().code, Errc::temporary);
            }
        });
    }
}

TEST_F(MemoryTest, ASinkThatClosesIsNoFault) {
    faults->octets = 100;
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        Collector closing;
        closing.closes = true;
        const auto status = mailbox.fetch(messages[0], closing);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Errc::sink_closed);
    });
}

TEST_F(MemoryTest, RemovalStopsHalfWay) {
    faults->removals = 1;
    with_mailbox([&](Mailbox& mailbox, const auto& messages) {
        const auto report = mailbox.remove(messages);
        EXPECT_FALSE(report.status);
        EXPECT_EQ(report.outcomes, (std::vector{Removal::removed, Removal::failed, Removal::failed}));
    });
    EXPECT_EQ(store->messages("ann").size(), 2U);
}

}  // namespace
}  // namespace popgate
