#include "gateway/index/retired_ids.hpp"
#include "tests/unit/indexed_mailbox_fixture.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

using Ids = std::vector<std::string>;

/// A store whose ids are made of the content.
class ReturnedIds : public IndexedMailboxTest {
protected:
    ReturnedIds() { mailbox.ids_may_return = true; }

    void delete_first() {
        in_session([&](IndexedMailbox& index, const auto& shown) { EXPECT_TRUE(index.remove({shown[0]}).status); });
    }
    void put_back(const std::string& id) { mailbox.messages.push_back({id}); }
    void take_away(const std::string& id) {
        std::erase_if(mailbox.messages, [&](const auto& each) { return each.id == id; });
    }
    /// As if the index had been lost.
    void forget() {
        test::on_fiber([&](Fiber& fiber) { EXPECT_TRUE(memory->forget(fiber, "key").value()); });
    }
};

TEST_F(ReturnedIds, WhatComesAgainAfterItWasDeletedIsAnotherMessage) {
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u2", "u3"}));
    delete_first();
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3"}));
    put_back("1");
    for (int i = 0; i < 2; ++i) EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1-1"}));
    forget();
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1-1"})) << "what is lost changes no unique-id";
    take_away("1");
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3"}));
    put_back("1");
    for (int i = 0; i < 2; ++i) EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1-2"}));
}

TEST_F(ReturnedIds, WhatIsMovedAwayAndBackIsAnotherMessageToo) {
    EXPECT_EQ(unique_ids().size(), 3U);
    take_away("2");
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u3"}));
    put_back("2");
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u3", "u2-1"}));
}

TEST_F(ReturnedIds, WithoutAStateOfTheStoresLikewise) {
    mailbox.state.clear();
    EXPECT_EQ(unique_ids().size(), 3U);
    take_away("2");
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u3"}));
    put_back("2");
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u3", "u2-1"}));
}

TEST_F(ReturnedIds, AMailboxThatIsEmptyForAWhileRetiresNothing) {
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u2", "u3"}));
    auto all = std::exchange(mailbox.messages, {});
    EXPECT_TRUE(unique_ids().empty());
    mailbox.messages = all;
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u2", "u3"}));
}

TEST_F(ReturnedIds, HiddenIsNotGone) {
    rules.policy.on_delete = OnDelete::keep;
    EXPECT_EQ(unique_ids().size(), 3U);
    delete_first();
    forget();
    EXPECT_EQ(unique_ids(), (Ids{"u1", "u2", "u3"}));
}

TEST_F(ReturnedIds, AnImportedIdStaysWithTheMessageOfBefore) {
    mailbox.generation.clear();
    test::on_fiber([&](Fiber& fiber) { EXPECT_TRUE(store.keep_imported(fiber, "key", "", {{"1", "old-1"}})); });
    EXPECT_EQ(unique_ids(), (Ids{"old-1", "u2", "u3"}));
    delete_first();
    put_back("1");
    for (int i = 0; i < 2; ++i) EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1-1"}));
}

TEST_F(ReturnedIds, ARemovalThatAnotherSessionCameBeforeIsRecordedAllTheSame) {
    in_session([&](IndexedMailbox& index, const auto& shown) {
        put(1);
        meanwhile([&](Fiber& fiber) {
            IndexProgress ignored;
            EXPECT_TRUE(IndexedMailbox::open(fiber, *memory, mailbox, "key", rules, ignored));
        });
        EXPECT_TRUE(index.remove({shown[0]}).status);
    });
    put_back("1");  // before anybody has looked
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u4", "u1-1"}));
}

TEST_F(ReturnedIds, WhatCannotBeRetiredIsFoundGoneByTheNextLook) {
    EXPECT_EQ(unique_ids().size(), 3U);
    store.fails_to_keep = true;
    delete_first();
    EXPECT_EQ(refusal().code, Errc::temporary) << "nor is it forgotten without";
    store.fails_to_keep = false;
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3"}));
    put_back("1");
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1-1"}));
}

TEST_F(ReturnedIds, OtherStoresAreNotAsked) {
    mailbox.ids_may_return = false;
    EXPECT_EQ(unique_ids().size(), 3U);
    delete_first();
    put_back("1");
    EXPECT_EQ(unique_ids(), (Ids{"u2", "u3", "u1"}));
    EXPECT_EQ(store.retired_loads, 0U);
}

TEST_F(ReturnedIds, NothingNewCostsNothing) {
    EXPECT_EQ(unique_ids().size(), 3U);
    store.retired_loads = 0;
    EXPECT_EQ(unique_ids().size(), 3U);
    EXPECT_EQ(store.retired_loads, 0U);
}

TEST(CountRetired, TwoWhoSeeTheSameMessageGoCountTheSame) {
    const auto derive = [](const MessageInfo& message) { return "u" + message.id; };
    MessageInfo message;
    message.id = "1";
    EXPECT_EQ(count_retired({message}, {}, derive), (RetiredIds{{"1", 1}}));
    EXPECT_EQ(count_retired({message}, {{"1", 1}}, derive), (RetiredIds{{"1", 1}}));
    message.unique_id = "u1-1";
    EXPECT_EQ(count_retired({message}, {{"1", 1}}, derive), (RetiredIds{{"1", 2}}));
    EXPECT_EQ(count_retired({message}, {{"1", 3}}, derive), (RetiredIds{{"1", 2}}));
    message.unique_id = "made otherwise";
    EXPECT_EQ(count_retired({message}, {{"1", 3}}, derive), (RetiredIds{{"1", 4}}));
}

}  // namespace
}  // namespace popgate
