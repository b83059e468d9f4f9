#include "gateway/pop3/reading_order.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace popgate::pop3 {
namespace {

Maildrop make_maildrop(std::uint64_t count) {
    std::vector<MessageInfo> messages(count);
    for (std::uint64_t number = 1; number <= count; ++number) messages[number - 1].id = std::to_string(number);
    return {std::move(messages), [](const MessageInfo& message) { return message.id; }};
}

std::string retrieve(ReadingOrder& order, const Maildrop& maildrop, std::uint64_t number) {
    std::string next;
    for (const auto* message : order.on_retrieval(maildrop, number)) next += message->id + " ";
    return next;
}

TEST(ReadingOrder, OneMessageIsNoOrder) {
    const auto maildrop = make_maildrop(5);
    ReadingOrder order;
    EXPECT_EQ(retrieve(order, maildrop, 1), "");
}

TEST(ReadingOrder, LooksFourTimesAsFarEachTime) {
    const auto maildrop = make_maildrop(200);
    ReadingOrder order;
    std::uint64_t number = 0;
    for (const std::size_t reach : {0u, 16u, 64u, 64u}) {
        EXPECT_EQ(order.on_retrieval(maildrop, ++number).size(), reach) << number;
    }
}

TEST(ReadingOrder, EndsWithTheMaildrop) {
    const auto maildrop = make_maildrop(4);
    ReadingOrder order;
    EXPECT_EQ(retrieve(order, maildrop, 1), "");
    EXPECT_EQ(retrieve(order, maildrop, 2), "3 4 ");
    EXPECT_EQ(retrieve(order, maildrop, 3), "4 ");
    EXPECT_EQ(retrieve(order, maildrop, 4), "");
}

TEST(ReadingOrder, GoesDownwardsToo) {
    const auto maildrop = make_maildrop(4);
    ReadingOrder order;
    EXPECT_EQ(retrieve(order, maildrop, 4), "");
    EXPECT_EQ(retrieve(order, maildrop, 3), "2 1 ");
    EXPECT_EQ(retrieve(order, maildrop, 2), "1 ");
    EXPECT_EQ(retrieve(order, maildrop, 1), "");
}

TEST(ReadingOrder, LeavesOutWhatIsMarked) {
    auto maildrop = make_maildrop(7);
    maildrop.mark(4);
    ReadingOrder order;
    EXPECT_EQ(retrieve(order, maildrop, 1), "");
    maildrop.mark(1);
    EXPECT_EQ(retrieve(order, maildrop, 2), "3 5 6 7 ");
    maildrop.mark(2);
    EXPECT_EQ(retrieve(order, maildrop, 3), "5 6 7 ");
    maildrop.mark(3);
    EXPECT_EQ(retrieve(order, maildrop, 5), "6 7 ");
}

TEST(ReadingOrder, AJumpBeginsAnew) {
    const auto maildrop = make_maildrop(14);
    ReadingOrder order;
    EXPECT_EQ(retrieve(order, maildrop, 1), "");
    EXPECT_EQ(retrieve(order, maildrop, 2), "3 4 5 6 7 8 9 10 11 12 13 14 ");
    EXPECT_EQ(retrieve(order, maildrop, 10), "");
    EXPECT_EQ(retrieve(order, maildrop, 10), "") << "the same one again";
    EXPECT_EQ(retrieve(order, maildrop, 11), "12 13 14 ");
    EXPECT_EQ(retrieve(order, maildrop, 10), "") << "a turn";
    EXPECT_EQ(retrieve(order, maildrop, 9), "8 7 6 5 4 3 2 1 ");
    order.forget();
    EXPECT_EQ(retrieve(order, maildrop, 8), "");
}

}  // namespace
}  // namespace popgate::pop3
