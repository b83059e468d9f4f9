#include "backends/unique_id_format.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

namespace popgate {
namespace {

using namespace std::string_literals;

constexpr UniqueIdParts parts{0x1A2B, 0x5F0ABCDE, 0x0123456789ABCDEF, "1600000001.M1P1.host,S=5"};

UniqueIdFormat parsed(std::string_view text) {
    auto format = UniqueIdFormat::parse(text);
    EXPECT_TRUE(format) << text << ": " << format.error().text;
    return format ? *format : UniqueIdFormat();
}

std::string made(std::string_view format, const UniqueIdParts& from = parts) { return parsed(format).make(from); }

std::string refused(std::string_view text) {
    const auto format = UniqueIdFormat::parse(text);
    EXPECT_TRUE(format.has_error()) << text;
    if (format) return {};
    EXPECT_EQ(format.error().code, Errc::permanent);
    return format.error().text;
}

TEST(UniqueIdFormat, OfOtherServers) {
    const std::pair<const char*, const char*> cases[] = {
        {"dovecot", "00001a2b5f0abcde"},
        {"dovecot-upper", "00001A2B5F0ABCDE"},
        {"dovecot-0.99", "1594539230.6699"},
        {"cyrus", "1594539230.6699"},
        {"cyrus-uid", "6699"},
        {"cyrus-courier", "1594539230-6699"},
        {"courier", "UID6699-1594539230"},
        {"courier-v2", "UID6699-1594539230"},
        {"courier-v1", "UID6699"},
        {"courier-v0", "1600000001.M1P1.host,S=5"},
        {"uw", "5f0abcde00001a2b"},
        {"gmail", "GmailId123456789abcdef"},
    };
    for (const auto& [name, id] : cases) EXPECT_EQ(made(name), id) << name;
    EXPECT_EQ(made("dovecot", {0xFFFFFFFE, 0xFFFFFFFF, 0, {}}), "fffffffeffffffff");
    EXPECT_EQ(made("uw", {1, 1, 0, {}}), "0000000100000001");
}

TEST(UniqueIdFormat, CourierWritesOlderNumbersAsItOnceDid) {
    EXPECT_EQ(made("courier", {7, 0, 0, "name"}), "UID7");
    EXPECT_EQ(made("courier", {0, 0, 0, "name"}), "name");
    EXPECT_EQ(made("courier-v0", {0, 0, 0, "a b'c\"d+e\xC3\x7F\x01/.,="}), "a+20b+27c+22d+2Be+C3+7F+01/.,=");
}

TEST(UniqueIdFormat, TemplatesOfDovecot23) {
    const std::pair<const char*, const char*> cases[] = {
        {"%08Xu%08Xv", "00001a2b5f0abcde"},
        {"%Xu.%Xv", "1a2b.5f0abcde"},
        {"%u", "6699"},
        {"%uid", "6699id"},
        {"%{uid}-%{uidvalidity}", "6699-1594539230"},
        {"%08X{uid}", "00001a2b"},
        {"%XUu", "1A2B"},
        {"%UXu", "1a2b"},
        {"%2Xu", "1a"},     // a width without a zero cuts
        {"%02Xu", "1a2b"},  // and with one it does not
        {"%10u", "6699"},   // nor does it fill
        {"%010u", "0000006699"},
        {"%1.2Xu", "a2"},   // from the second digit on
        {"%-3.2Xu", "a2"},  // from the third last on
        {"%-9.2Xu", "1a"},
        {"%0.-1Xu", "1a2"},
        {"%0.-9Xu", "1a2b"},
        {"%1.06Xu", "000a2b"},
        {"%9.2Xu", ""},
        {"%-8u", "6699"},
        {"%Ru", "9966"},
        {"%f", "1600000001.M1P1.host,S=5"},
        {"%Lf", "1600000001.m1p1.host,s=5"},
        {"%10f", "1600000001"},
        {"100%%-%u", "100%-6699"},
        {"%%%u", "%6699"},
    };
    for (const auto& [text, id] : cases) EXPECT_EQ(made(text), id) << text;
    EXPECT_EQ(made("%Mf", {0, 0, 0, "abc"}), "900150983cd24fb0d6963f7d28e17f72") << "RFC 1321, A.5";
}

TEST(UniqueIdFormat, TemplatesOfDovecot24) {
    const std::pair<const char*, const char*> cases[] = {
        {"%{uid | hex(8)}%{uidvalidity | hex(8)}", "00001a2b5f0abcde"},
        {"%{uid|hex(8)}%{uidvalidity|hex(8)}", "00001a2b5f0abcde"},
        {"%{ uid | hex( 8 ) | upper }", "00001A2B"},
        {"%{uid | hex}", "1a2b"},
        {"%{uid | hex(2)}", "2b"},
        {"%{uid | hex(0)}", "1a2b"},
        {"%{uid | hex(-6)}", "1a2b00"},
        {"%{uid | hex(-2)}", "1a"},
        {"%{uid | reverse}", "9966"},
        {"%{uidvalidity}.%{uid}", "1594539230.6699"},
        {"%{filename}", "1600000001.M1P1.host,S=5"},
        {"%{filename | lower}", "1600000001.m1p1.host,s=5"},
        {"%%{uid}%{uid}", "%{uid}6699"},
        {"%{gmail_id}", "81985529216486895"},
        {"%{gmail_id | hex}", "123456789abcdef"},
    };
    for (const auto& [text, id] : cases) EXPECT_EQ(made(text), id) << text;
    EXPECT_EQ(made("%{filename | md5}", {0, 0, 0, "abc"}), "900150983cd24fb0d6963f7d28e17f72");
    EXPECT_EQ(made("%{filename | md5 | hexlify}", {0, 0, 0, "abc"}), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(UniqueIdFormat, SaysWhatAStoreMustProvide) {
    const auto needs = [](std::string_view text) {
        const auto format = parsed(text);
        return std::string(format.needs_uid() ? "u" : "") + (format.needs_uid_validity() ? "v" : "") +
               (format.needs_gmail_id() ? "g" : "") + (format.needs_file_name() ? "f" : "") +
               (format.is_couriers() ? "c" : "") + (format.is_native() ? "n" : "");
    };
    const std::pair<const char*, const char*> cases[] = {
        {"native", "n"},      {"dovecot", "uv"},    {"cyrus-uid", "u"}, {"courier", "uvc"}, {"gmail", "g"},
        {"courier-v1", "uc"}, {"courier-v0", "fc"}, {"%f%v", "vf"},     {"%{uid}x", "u"},   {"%{gmail_id}%u", "ug"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(needs(text), expected) << text;
}

TEST(UniqueIdFormat, RefusesWhatMeansNothing) {
    for (const auto* text : {"", "Dovecot", "dovecot ", "courier-v3", "uid"}) {
        EXPECT_NE(refused(text).find("cyrus-courier"), std::string::npos) << "the known names are told";
    }
    for (const auto* text : {"%",
                             "%u%",
                             "%08",
                             "%08X",
                             "%{",
                             "%{uid",
                             "%{uid|",
                             "%{uid | hex",
                             "%{uid | hex(}",
                             "%{uid | hex(8}",
                             "%{uid | hex()x}",
                             "%{uid | hex(257)}",
                             "%{uid hex}",
                             "%{uid | upper(3)}",
                             "%{uid | truncate(3)}",
                             "%{uid | hexlify}",
                             "%{uid | hex | hex}",
                             "%{filename | hex}",
                             "%Xf",
                             "%XXu",
                             "%Hu",
                             "%Eu",
                             "%257u",
                             "%99999999999999999999u",
                             "%1.257u",
                             "%u %v",
                             "%u\n",
                             "%u\x80"})
        refused(text);
    refused(std::string(600, 'x') + "%u");
    refused("%u\0"s);
}

TEST(UniqueIdFormat, NamesTheVariablesThatItKnows) {
    for (const auto* text : {"%m", "%g%u", "%{guid}", "%{md5}%{uid}", "%08Xw", "%{}", "%{x-gm-msgid}"}) {
        const auto why = refused(text);
        for (const auto* known : {"%{uid}", "%{uidvalidity}", "%{filename}", "%{gmail_id}"})
            EXPECT_NE(why.find(known), std::string::npos) << text << ": " << why;
    }
}

TEST(UniqueIdFormat, SomethingMustTellMessagesApart) {
    for (const auto* text : {"%v", "%{uidvalidity | hex(8)}", "100%%", "%%u"})
        EXPECT_NE(refused(text).find("tells one message from another"), std::string::npos) << text;
}

TEST(FitUniqueId, KeepsWhatFitsAndHashesTheRest) {
    for (const auto& id : {"x"s, "1600000001.M1P1.host"s, std::string(70, '~'), "!"s}) EXPECT_EQ(fit_unique_id(id), id);
    // sha256sum gives these.
    EXPECT_EQ(fit_unique_id(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b");
    EXPECT_EQ(fit_unique_id("a b"), "sha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e");
    for (const auto& id : {std::string(71, 'x'), "a\tb"s, "caf\xC3\xA9"s, "\x7F"s, "a\0"s}) {
        const auto fit = fit_unique_id(id);
        EXPECT_EQ(fit.size(), 63U);
        EXPECT_TRUE(std::ranges::all_of(fit, [](char c) { return c >= 0x21 && c <= 0x7E; })) << fit;
        EXPECT_EQ(fit_unique_id(fit), fit);
    }
    EXPECT_NE(fit_unique_id("a b"), fit_unique_id("a  b"));
}

}  // namespace
}  // namespace popgate
