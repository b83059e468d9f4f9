#include "backends/registry.hpp"
#include "gateway/accounts/secret.hpp"
#include "tests/support/on_fiber.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace popgate {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using Ids = std::map<std::string, std::string>;

struct ServerIdsTest : testing::Test {
    ServerIdsTest() {
        for (const auto* name : {"new", "cur", "tmp"}) fs::create_directories(root / name);
        for (const auto* name : {"new/1.a.host", "cur/2.b.host:2,S", "cur/3.c.host,S=18:2,"})
            std::ofstream(root / name) << "Subject: x\n\ntext\n";
    }
    ~ServerIdsTest() override { fs::remove_all(directory); }

    void leave(const std::string& file, const std::string& text) const {
        std::ofstream(root / file, std::ios::binary) << text;
    }

    Result<std::unique_ptr<Backend>> backend(const std::string& unique_ids) const {
        BackendOptions options;
        options.url = "maildir:" + directory.string() + "/%u";
        options.unique_ids = unique_ids;
        return make_backend(options);
    }

    /// By MessageInfo::id; "-" where the backend says nothing and its unique_id() counts.
    Ids ids(const std::string& unique_ids) const {
        Ids ids;
        list(unique_ids, [&](const Result<Listing>& listing) {
            ASSERT_TRUE(listing) << listing.error().text;
            for (const auto& message : listing->messages)
                ids[message.id] = message.unique_id.empty() ? "-" : message.unique_id.str();
        });
        return ids;
    }

    Error failure_to_list(const std::string& unique_ids) const {
        Error error{Errc::gone, "it was listed", {}};
        list(unique_ids, [&](const Result<Listing>& listing) {
            if (!listing) error = listing.error();
        });
        return error;
    }

    template <class Body>
    void list(const std::string& unique_ids, Body body) const {
        test::on_fiber([&](Fiber& fiber) {
            const auto made = backend(unique_ids);
            ASSERT_TRUE(made) << made.error().text;
            auto mailbox = (*made)->open(fiber, {"ann", Secret()});
            ASSERT_TRUE(mailbox) << mailbox.error().text;
            body((*mailbox)->list({}));
        });
    }

    static fs::path new_directory() {
        auto pattern = (fs::temp_directory_path() / "popgate-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    fs::path directory = new_directory();
    fs::path root = directory / "ann";
};

TEST_F(ServerIdsTest, DovecotsNumbersInEveryFormatThatNeedsThem) {
    leave("dovecot-uidlist", "3 V1594539230 N9 Gfa01\n2 :3.c.host,S=18:2,\n6699 S1 :1.a.host\n");
    EXPECT_EQ(ids("dovecot"),
              (Ids{{"1.a.host", "00001a2b5f0abcde"}, {"2.b.host", "-"}, {"3.c.host,S=18", "000000025f0abcde"}}));
    EXPECT_EQ(ids("cyrus").at("1.a.host"), "1594539230.6699");
    EXPECT_EQ(ids("uw").at("1.a.host"), "5f0abcde00001a2b");
    EXPECT_EQ(ids("%08Xu%v").at("1.a.host"), "00001a2b1594539230");
    EXPECT_EQ(ids("native").at("1.a.host"), "-");
    EXPECT_EQ(ids("courier").at("1.a.host"), "-") << "that server has a file of its own";
}

TEST_F(ServerIdsTest, WhatDovecotHasStoredCountsBeforeTheFormat) {
    leave("dovecot-uidlist", "3 V7 N9\n1 PUID5-77 :1.a.host\n2 P :2.b.host\n3 Pcaf\xC3\xA9 :3.c.host,S=18\n");
    const auto given = ids("dovecot");
    EXPECT_EQ(given.at("1.a.host"), "UID5-77");
    EXPECT_EQ(given.at("2.b.host"), "2.b.host");
    EXPECT_EQ(given.at("3.c.host,S=18").substr(0, 7), "sha256:");
    EXPECT_EQ(ids("%f").at("1.a.host"), "UID5-77");
}

TEST_F(ServerIdsTest, TheLastOfTwoDovecotLinesForOneFileCounts) {
    leave("dovecot-uidlist", "3 V7 N9\n1 :1.a.host\n2 :1.a.host:2,S\n");
    EXPECT_EQ(ids("cyrus-uid").at("1.a.host"), "2");
}

TEST_F(ServerIdsTest, CouriersNumbers) {
    leave("courierpop3dsizelist",
          "/3 7 1795597463\n1.a.host:2, 18 1:1795597463:0\n2.b.host 18 2:0:0\n"
          "3.c.host,S=18:2, 18 0:0:0\n1.a.host:2, 18 6:1795597463:0\n");
    EXPECT_EQ(ids("courier"),
              (Ids{{"1.a.host", "UID1-1795597463"}, {"2.b.host", "UID2"}, {"3.c.host,S=18", "3.c.host,S=18"}}));
    EXPECT_EQ(ids("courier-v1").at("1.a.host"), "UID1");
    EXPECT_EQ(ids("dovecot").at("1.a.host"), "-");
}

TEST_F(ServerIdsTest, FileNamesNeedNoList) {
    std::ofstream(root / "cur/4.d+e f:2,") << "Subject: x\n\ntext\n";
    EXPECT_EQ(ids("courier-v0").at("4.d+e f"), "4.d+2Be+20f");
    EXPECT_EQ(ids("%4f"),
              (Ids{{"1.a.host", "1.a."}, {"2.b.host", "2.b."}, {"3.c.host,S=18", "3.c."}, {"4.d+e f", "4.d+"}}));
    EXPECT_EQ(ids("%f").at("4.d+e f").substr(0, 7), "sha256:");
    EXPECT_EQ(ids("%f-%v").at("1.a.host"), "-") << "there is no validity";
}

TEST_F(ServerIdsTest, WithoutTheOtherServersFileNobodyHasAnId) {
    EXPECT_EQ(ids("dovecot"), (Ids{{"1.a.host", "-"}, {"2.b.host", "-"}, {"3.c.host,S=18", "-"}}));
    leave("dovecot-uidlist", "");
    EXPECT_EQ(ids("dovecot").at("1.a.host"), "-");
}

TEST_F(ServerIdsTest, AFileThatCannotBeReadIsAnErrorAndNoOtherId) {
    leave("dovecot-uidlist", "garbage\n");
    EXPECT_EQ(failure_to_list("dovecot").code, Errc::permanent);
    fs::remove(root / "dovecot-uidlist");
    ASSERT_EQ(::mkfifo((root / "dovecot-uidlist").c_str(), 0600), 0);
    EXPECT_EQ(failure_to_list("dovecot").code, Errc::permanent);
    fs::remove(root / "dovecot-uidlist");
    leave("elsewhere", "3 V7 N9\n1 :1.a.host\n");
    fs::create_symlink(root / "elsewhere", root / "dovecot-uidlist");
    EXPECT_NE(failure_to_list("dovecot").code, Errc::gone) << "the user could point at another's file";
    fs::remove(root / "dovecot-uidlist");
    leave("dovecot-uidlist", "3 V7 N9\n1 :1.a.host\n");
    fs::resize_file(root / "dovecot-uidlist", 300'000'000);
    EXPECT_EQ(failure_to_list("dovecot").code, Errc::permanent);
}

TEST_F(ServerIdsTest, ALargeList) {
    std::string list = "3 V7 N9\n";
    for (int uid = 1; uid <= 200'000; ++uid)
        list += std::to_string(uid) + " S123 W130 :17." + std::to_string(uid) + ".host\n";
    leave("dovecot-uidlist", list + "200001 :1.a.host\n");
    EXPECT_EQ(ids("cyrus"), (Ids{{"1.a.host", "7.200001"}, {"2.b.host", "-"}, {"3.c.host,S=18", "-"}}));
}

TEST(UniqueIds, AFormatThatAStoreCannotServeIsRefused) {
    const auto refused = [](const std::string& url, const std::string& format) {
        BackendOptions options;
        options.url = url;
        options.unique_ids = format;
        const auto made = make_backend(options);
        if (made) return ""s;
        EXPECT_EQ(made.error().code, Errc::permanent);
        return made.error().text;
    };
    for (const auto* url : {"imaps://imap.example.com", "maildir:/mail/%u", "mbox:/mail/%u"}) {
        EXPECT_EQ(refused(url, "native"), "") << url;
        EXPECT_NE(refused(url, "dovcot").find("dovecot-upper"), std::string::npos) << "names those that there are";
        EXPECT_NE(refused(url, "%v").find("tells one message from another"), std::string::npos);
    }
    EXPECT_NE(refused("maildir:/mail/%u", "gmail").find("Gmail"), std::string::npos);
    EXPECT_NE(refused("maildir:/mail/%u", "%{gmail_id}-%u").find("Gmail"), std::string::npos);
    EXPECT_EQ(refused("imaps://imap.gmail.com", "gmail"), "");
    for (const auto* format : {"courier-v0", "%f", "%{filename}%{uid}"})
        EXPECT_NE(refused("imaps://imap.example.com", format).find("names of files"), std::string::npos) << format;
    for (const auto* format : {"dovecot", "courier", "courier-v1", "cyrus", "%{uid | hex(8)}"}) {
        EXPECT_EQ(refused("imaps://imap.example.com", format), "") << format;
        EXPECT_EQ(refused("maildir:/mail/%u", format), "") << format;
        EXPECT_NE(refused("mbox:/mail/%u", format).find("mbox"), std::string::npos) << format;
    }
}

}  // namespace
}  // namespace popgate
