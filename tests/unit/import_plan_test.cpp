#include "gateway/commands/import_plan.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace popgate::commands {
namespace {

using Ids = std::map<std::string, std::string, std::less<>>;

/// Messages by their Message-ID, each with its unique-id.
OldMaildrop old_maildrop(const std::vector<std::pair<std::string, std::string>>& messages) {
    OldMaildrop maildrop;
    std::uint32_t number = 0;
    for (const auto& [message_id, unique_id] : messages) {
        maildrop.messages.push_back({++number, unique_id, 100});
        maildrop.contents.push_back({summarise_header("Message-ID: " + message_id + "\n"), 100});
    }
    return maildrop;
}

/// Messages by their Message-ID, which is also their remote id.
NewMailbox new_mailbox(const std::vector<std::string>& messages, const std::string& generation = "g") {
    NewMailbox mailbox;
    mailbox.listing.generation = generation;
    for (const auto& message_id : messages) {
        mailbox.listing.messages.push_back({message_id});
        mailbox.contents.push_back({summarise_header("Message-ID: " + message_id + "\n"), 100});
    }
    return mailbox;
}

TEST(ImportPlan, EveryMessageGetsItsId) {
    const auto plan = plan_import(old_maildrop({{"a", "old-a"}, {"b", "old-b"}}), new_mailbox({"b", "a", "c"}), {});
    EXPECT_EQ(plan.unique_ids, (Ids{{"a", "old-a"}, {"b", "old-b"}}));
    EXPECT_TRUE(plan.complete());
    EXPECT_EQ(plan.imported, 2u);
    EXPECT_EQ(plan.by_rule[0], 2u);
    EXPECT_EQ(plan.unmatched_new, std::vector<std::size_t>{2});
}

TEST(ImportPlan, AnEmptyMaildropIsComplete) { EXPECT_TRUE(plan_import({}, new_mailbox({"a"}), {}).complete()); }

TEST(ImportPlan, WhatIsMissingIsTold) {
    const auto plan = plan_import(old_maildrop({{"a", "old-a"}, {"b", "old-b"}}), new_mailbox({"b"}), {});
    EXPECT_FALSE(plan.complete());
    EXPECT_EQ(plan.unmatched_old, std::vector<std::size_t>{0});
    EXPECT_EQ(plan.unique_ids, (Ids{{"b", "old-b"}}));
}

TEST(ImportPlan, IdsThatUidlCannotCarryAreNotUsed) {
    const auto plan =
        plan_import(old_maildrop({{"a", "with blank"}, {"b", std::string(71, 'x')}, {"c", ""}, {"d", "ok"}}),
                    new_mailbox({"a", "b", "c", "d"}), {});
    EXPECT_EQ(plan.fitness, (std::vector{Fitness::invalid, Fitness::invalid, Fitness::invalid, Fitness::fit}));
    EXPECT_EQ(plan.unique_ids, (Ids{{"d", "ok"}}));
    EXPECT_EQ(plan.matches.size(), 4u);
    EXPECT_FALSE(plan.complete());
}

TEST(ImportPlan, IdsThatAreGivenTwiceAreNotUsed) {
    const auto plan =
        plan_import(old_maildrop({{"a", "same"}, {"b", "same"}, {"c", "own"}}), new_mailbox({"a", "b", "c"}), {});
    EXPECT_EQ(plan.fitness, (std::vector{Fitness::given_twice, Fitness::given_twice, Fitness::fit}));
    EXPECT_EQ(plan.unique_ids, (Ids{{"c", "own"}}));
    EXPECT_FALSE(plan.complete());
}

TEST(ImportPlan, AnEarlierImportIntoTheSameGenerationIsKept) {
    StoredMailbox stored;
    stored.imported = {{"a", "earlier-a"}, {"gone", "earlier-gone"}};
    stored.imported_generation = "g";
    const auto plan = plan_import(old_maildrop({{"a", "old-a"}, {"b", "old-b"}}), new_mailbox({"a", "b"}), stored);
    EXPECT_EQ(plan.unique_ids, (Ids{{"a", "old-a"}, {"b", "old-b"}, {"gone", "earlier-gone"}}));
    EXPECT_EQ(plan.imported, 2u);
    EXPECT_EQ(plan.kept, 1u);
    EXPECT_EQ(plan.dropped, 0u);
    EXPECT_TRUE(plan.complete());
}

TEST(ImportPlan, NoIdIsEverGivenToTwoMessages) {
    StoredMailbox stored;
    stored.imported = {{"b", "old-a"}};
    stored.imported_generation = "g";
    const auto plan = plan_import(old_maildrop({{"a", "old-a"}}), new_mailbox({"a", "b"}), stored);
    EXPECT_EQ(plan.unique_ids, (Ids{{"a", "old-a"}}));
    EXPECT_EQ(plan.dropped, 1u);
}

TEST(ImportPlan, AnImportIntoAnotherGenerationIsDropped) {
    StoredMailbox stored;
    stored.imported = {{"a", "earlier-a"}, {"z", "earlier-z"}};
    stored.imported_generation = "before";
    const auto plan = plan_import(old_maildrop({{"a", "old-a"}}), new_mailbox({"a"}), stored);
    EXPECT_EQ(plan.unique_ids, (Ids{{"a", "old-a"}}));
    EXPECT_EQ(plan.kept, 0u);
    EXPECT_EQ(plan.dropped, 2u);
}

}  // namespace
}  // namespace popgate::commands
