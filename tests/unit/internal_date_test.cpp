#include "backends/imap/internal_date.hpp"

#include <gtest/gtest.h>

namespace popgate::imap {
namespace {

TEST(InternalDate, IsReadWithItsZone) {
    EXPECT_EQ(parse_internal_date("01-Jan-1970 00:00:01 +0000"), 1);
    EXPECT_EQ(parse_internal_date("17-Jul-1996 02:44:25 -0700"), 837596665);
    EXPECT_EQ(parse_internal_date(" 7-Feb-1994 21:52:25 -0800"), 760686745);
    EXPECT_EQ(parse_internal_date("07-FEB-1994 21:52:25 -0800"), 760686745);
    EXPECT_EQ(parse_internal_date("29-Feb-2024 23:59:60 +0530"), 1709231400);
    EXPECT_EQ(parse_internal_date("31-Dec-9999 23:59:59 +0000"), 253402300799);
}

TEST(InternalDate, AnythingElseIsUnknown) {
    for (const auto* text : {"",
                             "x",
                             "17-Jul-1996 02:44:25",
                             "17-Jul-1996 02:44:25 -070",
                             "17-Jul-1996 02:44:25 -07000",
                             "17-Jul-1996 02:44:25 00700",
                             "17-Jly-1996 02:44:25 -0700",
                             "32-Jul-1996 02:44:25 -0700",
                             "29-Feb-2023 02:44:25 -0700",
                             "00-Jul-1996 02:44:25 -0700",
                             "17-Jul-1996 24:44:25 -0700",
                             "17-Jul-1996 02:60:25 -0700",
                             "17-Jul-1996 02:44:61 -0700",
                             "17-Jul-1996 02:44:25 -0760",
                             "17/Jul/1996 02:44:25 -0700",
                             "17-Jul-1996T02:44:25 -0700",
                             "1x-Jul-1996 02:44:25 -0700",
                             "-1-Jul-1996 02:44:25 -0700",
                             "17-Jul--996 02:44:25 -0700",
                             "17-Jul-1996 +2:44:25 -0700",
                             "31-Dec-1969 23:59:59 +0000",
                             "01-Jan-1970 00:00:00 +0100",
                             "  -Jul-1996 02:44:25 -0700"})
        EXPECT_EQ(parse_internal_date(text), 0) << text;
}

}  // namespace
}  // namespace popgate::imap
