#include "gateway/index/shown.hpp"

#include <gtest/gtest.h>

namespace popgate {
namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t now = 20'000 * day;

std::vector<StoredMessage> messages(std::size_t count) {
    std::vector<StoredMessage> made(count);
    for (std::size_t i = 0; i < count; ++i) {
        made[i].number = static_cast<std::uint32_t>(i + 1);
        made[i].info.id = std::to_string(i);
    }
    return made;
}

MaildropPolicy policy(View view, MessageOrder order = MessageOrder::oldest_first) {
    MaildropPolicy policy;
    policy.view = view;
    policy.order = order;
    return policy;
}

using Places = std::vector<std::size_t>;

TEST(Shown, AllButWhatIsHiddenOrQuarantined) {
    auto all = messages(4);
    all[1].hidden = true;
    all[2].quarantined = true;
    EXPECT_EQ(choose_shown(all, policy({}), {}, 0, now).places, (Places{0, 3}));
    EXPECT_EQ(choose_shown(all, policy({}, MessageOrder::newest_first), {}, 0, now).places, (Places{3, 0}));
    EXPECT_TRUE(choose_shown({}, policy({}), {}, 0, now).places.empty());
}

TEST(Shown, Unread) {
    EXPECT_EQ(choose_shown(messages(3), policy({View::Kind::unread, 0}), {true, false, true}, 0, now).places,
              (Places{0, 2}));
}

TEST(Shown, LastDaysGoByArrivalElseByWhenItWasFirstSeen) {
    auto all = messages(4);
    all[0].info.arrival = now - 8 * day;
    all[1].info.arrival = now - 7 * day;
    all[2].first_seen = now - 8 * day;
    all[3].first_seen = now;
    EXPECT_EQ(choose_shown(all, policy({View::Kind::last_days, 7}), {}, 0, now).places, (Places{1, 3}));
}

TEST(Shown, LastMessagesAreAWindowThatNeverMovesBack) {
    const auto view = policy({View::Kind::last_messages, 2});
    auto all = messages(5);
    auto shown = choose_shown(all, view, {}, 0, now);
    EXPECT_EQ(shown.places, (Places{3, 4}));
    EXPECT_EQ(shown.view_floor, 4U);

    all.resize(4);  // the newest was deleted: what had left the view stays away
    shown = choose_shown(all, view, {}, shown.view_floor, now);
    EXPECT_EQ(shown.places, (Places{3}));
    EXPECT_EQ(shown.view_floor, 4U);

    all = messages(7);  // three are new
    shown = choose_shown(all, view, {}, shown.view_floor, now);
    EXPECT_EQ(shown.places, (Places{5, 6}));
    EXPECT_EQ(shown.view_floor, 6U);
}

TEST(Shown, LastMessagesWithFewerThanTheWindowShowsAll) {
    const auto shown = choose_shown(messages(2), policy({View::Kind::last_messages, 5}), {}, 0, now);
    EXPECT_EQ(shown.places, (Places{0, 1}));
    EXPECT_EQ(shown.view_floor, 0U);
}

TEST(Shown, LastMessagesGoByNumberNotByTheListingsOrder) {
    auto all = messages(3);
    std::swap(all[0], all[2]);  // the newest to us has an old date
    const auto shown = choose_shown(all, policy({View::Kind::last_messages, 1}), {}, 0, now);
    EXPECT_EQ(shown.places, (Places{0}));
}

}  // namespace
}  // namespace popgate
