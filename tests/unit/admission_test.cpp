#include "gateway/net/admission.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

namespace popgate {
namespace {

auto address(const char* text) { return boost::asio::ip::make_address(text); }

TEST(Admission, CountsEachAddress) {
    Admission admission({100, 2});
    const auto first = admission.admit(address("192.0.2.1"));
    auto second = admission.admit(address("192.0.2.1"));
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(admission.admit(address("192.0.2.1")));
    EXPECT_TRUE(admission.admit(address("192.0.2.2"))) << "another is served";
    second.reset();
    EXPECT_TRUE(admission.admit(address("192.0.2.1")));
}

TEST(Admission, CountsAllTogether) {
    Admission admission({2, 100});
    auto first = admission.admit(address("192.0.2.1"));
    const auto second = admission.admit(address("192.0.2.2"));
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(admission.admit(address("192.0.2.3")));
    first.reset();
    EXPECT_TRUE(admission.admit(address("192.0.2.3")));
}

TEST(Admission, ARefusalCountsNothing) {
    Admission admission({2, 1});
    auto only = admission.admit(address("192.0.2.1"));
    ASSERT_TRUE(only);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(admission.admit(address("192.0.2.1")));
    const auto other = admission.admit(address("192.0.2.2"));
    EXPECT_TRUE(other);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(admission.admit(address("192.0.2.3")));
    only.reset();
    EXPECT_TRUE(admission.admit(address("192.0.2.1")));
}

TEST(Admission, AnIpv6ClientIsItsNetwork) {
    Admission admission({100, 1});
    const auto permit = admission.admit(address("2001:db8:1:2::1"));
    ASSERT_TRUE(permit);
    EXPECT_FALSE(admission.admit(address("2001:db8:1:2:ffff:ffff:ffff:ffff")));
    EXPECT_TRUE(admission.admit(address("2001:db8:1:3::1")));
    EXPECT_TRUE(admission.admit(address("2001:db8:2:2::1")));
}

TEST(Admission, AMappedAddressIsTheIpv4Address) {
    Admission admission({100, 1});
    const auto permit = admission.admit(address("::ffff:192.0.2.1"));
    ASSERT_TRUE(permit);
    EXPECT_FALSE(admission.admit(address("192.0.2.1")));
    EXPECT_TRUE(admission.admit(address("::ffff:192.0.2.2"))) << "not all of IPv4 together";
}

TEST(Admission, APermitThatIsMovedCountsOnce) {
    Admission admission({1, 1});
    auto permit = admission.admit(address("192.0.2.1"));
    ASSERT_TRUE(permit);
    {
        const auto moved = std::move(*permit);
        permit.reset();
        EXPECT_FALSE(admission.admit(address("192.0.2.1")));
    }
    EXPECT_TRUE(admission.admit(address("192.0.2.1")));
    EXPECT_TRUE(admission.admit(address("192.0.2.1"))) << "nor was it given back twice";
}

TEST(Admission, AnyThreadMayUseIt) {
    Admission admission({3, 3});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 2000; ++round) (void)admission.admit(address("192.0.2.1"));
        });
    for (auto& thread : threads) thread.join();
    std::vector<Admission::Permit> permits;
    while (auto permit = admission.admit(address("192.0.2.1"))) permits.push_back(std::move(*permit));
    EXPECT_EQ(permits.size(), 3u);
}

TEST(Admission, AClientThatIsKnownLaterCountsThen) {
    Admission admission({3, 1});
    const auto direct = admission.admit(address("192.0.2.1"));
    auto first = admission.admit_for_nobody();
    auto second = admission.admit_for_nobody();
    ASSERT_TRUE(direct && first && second);
    EXPECT_FALSE(admission.admit_for_nobody()) << "all together";
    EXPECT_FALSE(first->count_for(address("192.0.2.1")));
    EXPECT_TRUE(second->count_for(address("192.0.2.2")));
    first.reset();
    EXPECT_FALSE(admission.admit(address("192.0.2.2")));
    EXPECT_TRUE(admission.admit(address("192.0.2.3")));
}

TEST(Admission, NewCapsHoldForWhoComes) {
    Admission admission({1, 1});
    const auto first = admission.admit(address("192.0.2.1"));
    EXPECT_FALSE(admission.admit(address("192.0.2.2")));
    admission.set_caps({2, 1});
    EXPECT_TRUE(admission.admit(address("192.0.2.2")));
}

TEST(Admission, StressBeginsNearTheCapAndEndsClearlyBelow) {
    Admission admission({10, 10, 80});
    std::vector<Admission::Permit> permits;
    const auto admit = [&] {
        auto permit = admission.admit(address("192.0.2.1"));
        ASSERT_TRUE(permit);
        permits.push_back(std::move(*permit));
    };
    for (int i = 0; i < 7; ++i) admit();
    EXPECT_FALSE(admission.under_stress());
    admit();
    EXPECT_TRUE(admission.under_stress());
    EXPECT_EQ(admission.sessions(), 8u);
    permits.pop_back();
    EXPECT_FALSE(admission.under_stress()) << "70 per cent of 10 are fewer than 72";
}

TEST(Admission, StressIsOffByItself) {
    Admission admission({1, 1, 100});
    const auto permit = admission.admit(address("192.0.2.1"));
    EXPECT_FALSE(admission.under_stress());
}

}  // namespace
}  // namespace popgate
