#include "backends/maildir/server_list.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace popgate::maildir {
namespace {

using namespace std::string_literals;
using Kind = ServerList::Kind;

std::string to_text(const ServerRecord& record) {
    auto text =
        std::string(record.base_name) + " " + std::to_string(record.uid) + " " + std::to_string(record.uid_validity);
    if (record.unique_id) text += " " + std::string(*record.unique_id);
    return text;
}

using Records = std::vector<std::string>;

/// The records, in pieces of so many octets; "broken" behind them where the file was refused.
Records read(Kind kind, std::string_view text, std::size_t piece = std::string_view::npos) {
    Records records;
    ServerList list(kind, [&](const ServerRecord& record) { records.push_back(to_text(record)); });
    while (!text.empty()) {
        const auto status = list.add(text.substr(0, piece));
        if (!status) {
            records.push_back("broken");
            break;
        }
        text.remove_prefix(std::min(piece, text.size()));
    }
    return records;
}

TEST(DovecotUidList, Version3) {
    const auto text =
        "3 V1594539230 N5 Gfa0123456789abcdef0123456789abcd\n"
        "1 :1600000001.M1P1.host\n"
        "2 S10 W20 :1600000002.M1P1.host,S=10:2,S\n"
        "4 G12 Pabc Pdef :a b\n"
        "5 P :last\n"s;
    const Records expected{"1600000001.M1P1.host 1 1594539230", "1600000002.M1P1.host,S=10 2 1594539230",
                           "a b 4 1594539230 abc", "last 5 1594539230 "};
    for (const std::size_t piece : {1, 2, 3, 7, 1000}) EXPECT_EQ(read(Kind::dovecot, text, piece), expected) << piece;
}

TEST(DovecotUidList, Version1) {
    EXPECT_EQ(read(Kind::dovecot, "1 1594539230 9\n3 one:2,FS\n8 two words\n"),
              (Records{"one 3 1594539230", "two words 8 1594539230"}));
}

TEST(DovecotUidList, LinesThatMeanNothingArePassedOver) {
    const Records good{"a 1 7", "z 9 7"};
    for (const auto* line : {"", " ", "x", "2", "2 ", "2 :", "2 no-colon", "2 ::2,S", "0 :b", "-2 :b", "4294967295 :b",
                             "4294967296 :b", "99999999999999999999 :b", "2x :b", "2 :../b", "2 :b/c", "1 :b", "2:b"})
        EXPECT_EQ(read(Kind::dovecot, "3 V7 N9\n1 :a\n"s + line + "\n9 :z\n"), good) << line;
    EXPECT_EQ(read(Kind::dovecot, "3 V7 N9\n1 :a\n2 :" + std::string(5'000'000, 'x') + "\n9 :z\n", 65536), good);
    EXPECT_EQ(read(Kind::dovecot, "3 V7 N9\n1 :a\n9 :z\n10 :not yet written who"), good);
}

TEST(DovecotUidList, AFirstLineThatMeansNothingIsAnError) {
    for (const auto* line : {"", "x", "3", "3 ", "3 N5", "3 V0 N5", "3 V N5", "3 V4294967296 N5", "3 V7x", "2 7 9",
                             "4 V7", "1", "1 0 9", "1 x 9", "/3 7 9", "33 V7", "-3 V7"})
        EXPECT_EQ(read(Kind::dovecot, line + "\n1 :a\n"s), Records{"broken"}) << line;
    EXPECT_EQ(read(Kind::dovecot, "3 V7 " + std::string(5000, 'x') + "\n1 :a\n"), Records{"broken"});
    EXPECT_EQ(read(Kind::dovecot, ""), Records{});
}

TEST(CourierSizeList, Versions2And3) {
    EXPECT_EQ(read(Kind::courier,
                   "/3 3 1795597463\n"
                   "1600000001.M1P1.localhost:2, 18 1:1795597463:0\n"
                   "1600000002.M1+P1'.localhost:2,S 18 2:1795597463:1\n"),
              (Records{"1600000001.M1P1.localhost 1 1795597463", "1600000002.M1+P1'.localhost 2 1795597463"}));
    const auto text = "/2 9 1795597463\na 10 1:0\nwith two spaces:2, 10 0:0\nb 3 8:1795597463\n"s;
    const Records expected{"a 1 0", "with two spaces 0 0", "b 8 1795597463"};
    for (const std::size_t piece : {1, 2, 3, 7, 1000}) EXPECT_EQ(read(Kind::courier, text, piece), expected) << piece;
    EXPECT_EQ(read(Kind::courier, "/3 3\na 1 1:5:0\n"), Records{"a 1 5"}) << "the validity may be missing";
}

TEST(CourierSizeList, LinesThatMeanNothingArePassedOver) {
    const Records good{"a 1 7", "z 9 7"};
    for (const auto* line :
         {"", " ", "  ", "b", "b 1", "b 1 2", "b 1 2:", "b 1 :7", "b 1 x:7", "b 1 2:x", "b 1 2:7x", "b 1 2:4294967296",
          "b 1 99999999999999999999:7", "b 1 -2:7", " 1 2:7", ":2, 1 2:7", "b/c 1 2:7", "1 2:7", "b 1 2:7 "})
        EXPECT_EQ(read(Kind::courier, "/3 9 7\na 1 1:7:0\n"s + line + "\nz 1 9:7:0\n"), good) << line;
    EXPECT_EQ(read(Kind::courier, "/3 9 7\na 1 1:7:0\n" + std::string(5000, 'b') + " 1 2:7\nz 1 9:7:0\nq 1 10:7"),
              good);
}

TEST(CourierSizeList, AFirstLineThatMeansNothingIsAnError) {
    for (const auto* line : {"", "/", "3 1 7", "/1 9 7", "/4 9 7", "/x", "3 V7 N9"})
        EXPECT_EQ(read(Kind::courier, line + "\na 1 1:7:0\n"s), Records{"broken"}) << line;
}

}  // namespace
}  // namespace popgate::maildir
