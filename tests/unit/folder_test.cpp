#include "backends/imap/folder.hpp"

#include <gtest/gtest.h>

namespace popgate::imap {
namespace {

const Folder trash{"\\HASNOCHILDREN \\TRASH", "Bin"}, archive{"\\ARCHIVE", "Old"}, all{"\\ALL", "[Gmail]/All Mail"};

TEST(Folder, TheOneThatServesThePurpose) {
    EXPECT_EQ(choose_folder({archive, trash}, SpecialFolder::trash, false), "Bin");
    EXPECT_EQ(choose_folder({archive, trash}, SpecialFolder::archive, false), "Old");
    EXPECT_EQ(choose_folder({archive}, SpecialFolder::trash, false), std::nullopt);
    EXPECT_EQ(choose_folder({}, SpecialFolder::archive, true), std::nullopt);
}

TEST(Folder, AllMailIsAnArchiveAtGmailAlone) {
    EXPECT_EQ(choose_folder({all}, SpecialFolder::archive, true), "[Gmail]/All Mail");
    EXPECT_EQ(choose_folder({all}, SpecialFolder::archive, false), std::nullopt);
    EXPECT_EQ(choose_folder({all, archive}, SpecialFolder::archive, true), "Old");
    EXPECT_EQ(choose_folder({all}, SpecialFolder::trash, true), std::nullopt);
}

TEST(Folder, AttributesAreWholeWords) {
    EXPECT_TRUE(trash.has("\\TRASH"));
    EXPECT_FALSE(trash.has("\\TRAS"));
    EXPECT_FALSE(trash.has("TRASH"));
}

}  // namespace
}  // namespace popgate::imap
