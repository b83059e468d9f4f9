#include "gateway/index/reconcile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace popgate {
namespace {

constexpr std::int64_t now = 1'700'000'000;

MessageInfo info(std::string id, std::uint64_t octets = 10, std::string unique_id = {}) {
    MessageInfo made;
    made.id = std::move(id);
    made.octets = octets;
    made.unique_id = std::move(unique_id);
    return made;
}

/// Messages numbered from 1, with these infos.
StoredMailbox stored(const std::vector<MessageInfo>& infos, const std::string& generation = "g") {
    StoredMailbox mailbox;
    mailbox.head.version = 7;
    mailbox.head.generation = generation;
    for (const auto& each : infos) {
        StoredMessage message;
        message.number = mailbox.head.next_number++;
        message.info = each;
        message.first_seen = now - 100;
        mailbox.messages.push_back(message);
    }
    return mailbox;
}

std::vector<std::uint32_t> numbers(const Reconciled& mailbox) {
    std::vector<std::uint32_t> numbers;
    for (const auto& each : mailbox.messages) numbers.push_back(each.number);
    return numbers;
}

std::vector<std::string> unique_ids(const Reconciled& mailbox) {
    std::vector<std::string> ids;
    for (const auto& each : mailbox.messages) ids.push_back(each.info.unique_id.str());
    return ids;
}

std::string derive(const MessageInfo& message) { return "u" + message.id; }

using Numbers = std::vector<std::uint32_t>;
using Ids = std::vector<std::string>;
using Imported = std::map<std::string, std::string, std::less<>>;

TEST(Reconcile, AFirstLookNumbersFromOne) {
    const auto result = reconcile({}, {info("a"), info("b")}, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{1, 2}));
    EXPECT_EQ(result.first_new, 1U);
    EXPECT_EQ(result.next_number, 3U);
    EXPECT_EQ(result.messages[0].first_seen, now);
    EXPECT_TRUE(result.removed.empty());
    EXPECT_FALSE(result.replaced);
}

TEST(Reconcile, WhatIsKnownKeepsItsNumberAndWhatIsGoneIsToldInAnyOrderOfTheListing) {
    auto before = stored({info("a"), info("b"), info("c")});
    before.messages[2].hidden = true;
    before.messages[2].retrieved = 55;
    const auto result = reconcile(before, {info("new"), info("c"), info("a")}, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{4, 3, 1}));
    EXPECT_TRUE(result.messages[1].hidden);
    EXPECT_EQ(result.messages[1].retrieved, 55);
    EXPECT_EQ(result.messages[1].first_seen, now - 100);
    EXPECT_EQ(result.removed, (Numbers{2}));
    EXPECT_EQ(result.first_new, 4U);
    EXPECT_EQ(result.next_number, 5U);
}

TEST(Reconcile, ATagNamesThePlaceAndKeepsWhatIsStored) {
    const auto before = stored({info("a", 10), info("b", 20)});
    auto second = info("b", 999);
    second.tag = 2;
    auto beyond = info("c", 30);
    beyond.tag = 3;  // no such place: a backend must not make us read there
    const auto result = reconcile(before, {second, beyond}, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{2, 3}));
    EXPECT_EQ(result.messages[0].first_seen, now - 100);
    EXPECT_EQ(result.messages[0].info.octets, 999U) << "the info that was lent comes back";
    EXPECT_EQ(result.removed, (Numbers{1}));
}

TEST(Reconcile, WhereNothingCameAndNothingWentAllIsAsItWas) {
    auto before = stored({info("a", 10), info("b", 20)});
    before.messages[1].hidden = true;
    std::vector<MessageInfo> lent{before.messages[0].info, before.messages[1].info};
    for (std::uint32_t i = 0; i < 2; ++i) lent[i].tag = i + 1;
    for (auto& each : before.messages) each.info = {};
    const auto result = reconcile(before, lent, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{1, 2}));
    EXPECT_EQ(result.messages[1].info.id, "b");
    EXPECT_TRUE(result.messages[1].hidden);
    EXPECT_TRUE(result.removed.empty());
    EXPECT_EQ(result.first_new, 3U);
    EXPECT_EQ(result.next_number, 3U);
}

TEST(Reconcile, ATagThatComesTwiceCountsOnce) {
    auto first = info("a");
    first.tag = 1;
    const auto result = reconcile(stored({info("a")}), {first, first}, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{1}));
}

TEST(Reconcile, AnIdThatIsListedTwiceIsOneMessage) {
    const auto result = reconcile(stored({info("a")}), {info("a"), info("b"), info("a"), info("b")}, "g", {now});
    EXPECT_EQ(numbers(result), (Numbers{1, 2}));
}

TEST(Reconcile, AnotherGenerationIsAnotherMailbox) {
    auto before = stored({info("a"), info("b")});
    before.messages[0].hidden = true;
    auto tagged = info("a");
    tagged.tag = 1;
    const auto result = reconcile(before, {tagged}, "h", {now});
    EXPECT_TRUE(result.replaced);
    EXPECT_EQ(numbers(result), (Numbers{3}));
    EXPECT_FALSE(result.messages[0].hidden);
}

TEST(Reconcile, AMeasuredSizeOutweighsAnEstimateUnlessTheStoreIsToBeBelieved) {
    auto measured = info("a", 12);
    measured.octets_are_exact = true;
    auto exact = info("a", 30);
    exact.octets_are_exact = true;
    EXPECT_EQ(reconcile(stored({measured}), {info("a", 10)}, "g", {now, true}).messages[0].info.octets, 12U);
    EXPECT_EQ(reconcile(stored({measured}), {info("a", 10)}, "g", {now, false}).messages[0].info.octets, 10U);
    EXPECT_EQ(reconcile(stored({measured}), {exact}, "g", {now, true}).messages[0].info.octets, 30U);
    EXPECT_EQ(reconcile(stored({info("a", 5)}), {info("a", 10)}, "g", {now, true}).messages[0].info.octets, 10U);
}

TEST(Reconcile, UniqueIdsOfAnotherFormatAreDropped) {
    const auto before = stored({info("a", 1, "old")});
    EXPECT_EQ(unique_ids(reconcile(before, {info("a", 1, "new")}, "g", {now, true, true})), (Ids{"old"}));
    EXPECT_EQ(unique_ids(reconcile(before, {info("a", 1, "new")}, "g", {now, true, false})), (Ids{"new"}));
    EXPECT_EQ(unique_ids(reconcile(before, {info("a", 1)}, "g", {now, true, false})), (Ids{""}));
    EXPECT_EQ(unique_ids(reconcile(stored({info("a")}), {info("a", 1, "late")}, "g", {now, true, true})), (Ids{""}))
        << "it was shown under its derived id before";
}

TEST(SettleUniqueIds, LeavesDerivedIdsAlone) {
    auto mailbox = reconcile({}, {info("a"), info("b")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(mailbox, {}, [](const MessageInfo&) -> std::string {
                    ADD_FAILURE() << "no id is needed";
                    return {};
                }).empty());
    EXPECT_EQ(unique_ids(mailbox), (Ids{"", ""}));
}

TEST(SettleUniqueIds, AnImportedIdIsTheMessagesOwn) {
    auto mailbox = reconcile(stored({info("a"), info("b", 1, "other")}), {info("a"), info("b"), info("c")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(mailbox, Imported{{"a", "old-a"}, {"b", "old-b"}, {"gone", "x"}}, derive).empty());
    EXPECT_EQ(unique_ids(mailbox), (Ids{"old-a", "old-b", ""}));
}

TEST(SettleUniqueIds, TheLaterOfTwinsGetsAnIdOfItsOwnAndKeepsIt) {
    auto mailbox = reconcile(stored({info("a", 1, "same")}), {info("b", 1, "same"), info("a")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(mailbox, {}, derive).empty());
    EXPECT_EQ(unique_ids(mailbox), (Ids{"same-b", "same"}));

    auto later = reconcile(stored({info("b", 1, "same-b")}), {info("b", 1, "same")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(later, {}, derive).empty());
    EXPECT_EQ(unique_ids(later), (Ids{"same-b"}));
}

TEST(SettleUniqueIds, ADerivedIdThatAnImportHasTakenIsAlteredAndMustBeStored) {
    auto mailbox = reconcile(stored({info("a"), info("b")}), {info("a"), info("b")}, "g", {now});
    EXPECT_EQ(settle_unique_ids(mailbox, Imported{{"b", "ua"}}, derive), (Numbers{1}));
    EXPECT_EQ(unique_ids(mailbox), (Ids{"ua-a", "ua"}));
}

TEST(SettleUniqueIds, WhatMustBeStoredIsToldInOrderHoweverTheStoreLists) {
    const auto before = stored({info("a"), info("b"), info("c"), info("d")});
    auto mailbox = reconcile(before, {info("d"), info("b"), info("a"), info("c")}, "g", {now});
    EXPECT_EQ(settle_unique_ids(mailbox, Imported{{"c", "ua"}, {"d", "ub"}}, derive), (Numbers{1, 2}));
    EXPECT_EQ(unique_ids(mailbox), (Ids{"ub", "ub-b", "ua-a", "ua"}));
}

TEST(SettleUniqueIds, AnImportedIdOutlivesItsMessage) {
    auto mailbox = reconcile(stored({info("a")}), {info("a"), info("b")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(mailbox, Imported{{"gone", "ub"}}, derive).empty());
    EXPECT_EQ(unique_ids(mailbox), (Ids{"", "ub-b"})) << "clients have fetched another message under it";

    auto shown_before = reconcile(stored({info("a")}), {info("a")}, "g", {now});
    EXPECT_TRUE(settle_unique_ids(shown_before, Imported{{"gone", "ua"}}, derive).empty());
    EXPECT_EQ(unique_ids(shown_before), (Ids{""})) << "what was shown stays";
}

TEST(SettleUniqueIds, ManyTwinsAndLongIdsAreAllFitAndUnique) {
    const std::string longest(70, 'x');
    std::vector<MessageInfo> listed;
    for (int i = 0; i < 50; ++i) listed.push_back(info("m" + std::to_string(i), 1, i % 2 ? longest : "blank and \xff"));
    listed.push_back(info("last", 1, "blank and \xff"));
    auto mailbox = reconcile({}, listed, "g", {now});
    settle_unique_ids(mailbox, {}, derive);
    std::set<std::string> seen;
    for (const auto& id : unique_ids(mailbox)) {
        EXPECT_TRUE(seen.insert(id).second) << id;
        EXPECT_TRUE(!id.empty() && id.size() <= 70) << id;
        EXPECT_TRUE(std::ranges::all_of(id, [](char c) { return c >= 0x21 && c <= 0x7E; })) << id;
    }
    EXPECT_TRUE(seen.contains(longest));
}

}  // namespace
}  // namespace popgate
