#include "gateway/accounts/shared_secret.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace popgate {
namespace {

Proof proof(Proof::Method method, std::string_view digest, std::string_view challenge) {
    return {method, "mrose", Secret(digest), std::string(challenge)};
}

TEST(SharedSecret, ApopAsInTheExampleOfRfc1939) {
    constexpr auto challenge = "<1896.697170952@dbc.mtview.ca.us>";
    const auto given = proof(Proof::Method::apop, "c4c9334bac560ecc979e58001b3e22fb", challenge);
    EXPECT_TRUE(proves(given, Secret("tanstaaf")));
    EXPECT_FALSE(proves(given, Secret("tanstaaF")));
    EXPECT_FALSE(proves(given, Secret()));
    EXPECT_TRUE(proves(proof(Proof::Method::apop, "C4C9334BAC560ECC979E58001B3E22FB", challenge), Secret("tanstaaf")));
    EXPECT_FALSE(
        proves(proof(Proof::Method::apop, "c4c9334bac560ecc979e58001b3e22fb", "<1896.697170953@dbc.mtview.ca.us>"),
               Secret("tanstaaf")))
        << "the answer to another challenge";
    EXPECT_FALSE(
        proves(proof(Proof::Method::cram_md5, "c4c9334bac560ecc979e58001b3e22fb", challenge), Secret("tanstaaf")))
        << "the answer by another mechanism";
}

TEST(SharedSecret, CramMd5AsInTheExampleOfRfc2195) {
    const auto given = proof(Proof::Method::cram_md5, "b913a602c7eda7a495b4e6e7334d3890",
                             "<1896.697170952@postoffice.reston.mci.net>");
    EXPECT_TRUE(proves(given, Secret("tanstaaftanstaaf")));
    EXPECT_FALSE(proves(given, Secret("tanstaaf")));
    EXPECT_FALSE(proves(given, Secret()));
}

TEST(SharedSecret, NothingIsProvedToAnEmptySecret) {
    // MD5 of nothing, which is what an account without a secret would make of no challenge.
    EXPECT_FALSE(proves(proof(Proof::Method::apop, "d41d8cd98f00b204e9800998ecf8427e", ""), Secret()));
    EXPECT_FALSE(proves(proof(Proof::Method::cram_md5, "74e6f7298a9c2d168935f58c001bad88", ""), Secret()));
    EXPECT_FALSE(proves(proof(Proof::Method::apop, "", ""), Secret("tanstaaf")));
}

}  // namespace
}  // namespace popgate
