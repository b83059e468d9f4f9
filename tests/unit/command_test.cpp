#include "gateway/pop3/command.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace popgate::pop3 {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

/// The fault of a line that must have one.
std::optional<CommandFault> fault_of(std::string_view line) {
    const auto parsed = parse_command(line);
    if (const auto* fault = std::get_if<CommandFault>(&parsed)) return *fault;
    return std::nullopt;
}

/// The command of a line that must be one; `line` must outlive it.
Command command_of(std::string_view line) {
    const auto parsed = parse_command(line);
    if (const auto* command = std::get_if<Command>(&parsed)) return *command;
    ADD_FAILURE() << "refused: " << line;
    return {};
}

struct VerbName {
    const char* name;
    Verb verb;
};

constexpr VerbName bare_verbs[] = {
    {"STLS", Verb::stls}, {"CAPA", Verb::capa}, {"STAT", Verb::stat}, {"RSET", Verb::rset},
    {"NOOP", Verb::noop}, {"QUIT", Verb::quit}, {"UTF8", Verb::utf8},
};

constexpr VerbName numbered_verbs[] = {
    {"LIST", Verb::list}, {"UIDL", Verb::uidl}, {"RETR", Verb::retr}, {"DELE", Verb::dele}};

constexpr const char* no_numbers[] = {"0",
                                      "00",
                                      "01",
                                      "-1",
                                      "+1",
                                      "-0",
                                      "1x",
                                      "x1",
                                      "1.0",
                                      "1,2",
                                      "0x1",
                                      "1e3",
                                      "\t1",
                                      "1\t",
                                      "#1",
                                      "*",
                                      "1:2",
                                      "one",
                                      "٣",
                                      "１",
                                      "１２",
                                      "18446744073709551616",
                                      "18446744073709551617",
                                      "99999999999999999999999999",
                                      "-18446744073709551615"};

TEST(Command, VerbsWithoutArguments) {
    for (const auto& [name, verb] : bare_verbs) {
        EXPECT_EQ(command_of(name).verb, verb) << name;
        EXPECT_EQ(fault_of(name + " x"s), CommandFault::bad_arguments) << name;
        EXPECT_EQ(fault_of(name + " 1"s), CommandFault::bad_arguments) << name;
        EXPECT_EQ(fault_of(name + " 1 2"s), CommandFault::bad_arguments) << name;
    }
}

TEST(Command, VerbsAreNotCaseSensitive) {
    for (const auto* line : {"stat", "Stat", "sTaT", "STAT"}) EXPECT_EQ(command_of(line).verb, Verb::stat) << line;
    EXPECT_EQ(command_of("uSeR Bob").text, "Bob") << "but arguments are";
}

TEST(Command, MessageNumbers) {
    for (const auto& [name, verb] : numbered_verbs) {
        for (const auto* digits : {"1", "9", "10", "4294967295", "4294967296", "18446744073709551615"}) {
            const auto line = name + " "s + digits;
            const auto command = command_of(line);
            EXPECT_EQ(command.verb, verb);
            ASSERT_TRUE(command.number) << line;
            EXPECT_EQ(*command.number, std::stoull(digits)) << line;
        }
        for (const auto* text : no_numbers)
            EXPECT_EQ(fault_of(name + " "s + text), CommandFault::bad_number) << name << ' ' << text;
        EXPECT_EQ(fault_of(name + " 1 2"s), CommandFault::bad_arguments) << name;
        EXPECT_EQ(fault_of(name + "  1"s), CommandFault::bad_arguments) << name << ": arguments follow one space";
    }
}

TEST(Command, TheNumberOfListAndUidlMayBeMissing) {
    EXPECT_FALSE(command_of("LIST").number);
    EXPECT_FALSE(command_of("UIDL").number);
    EXPECT_EQ(fault_of("RETR"), CommandFault::bad_arguments);
    EXPECT_EQ(fault_of("DELE"), CommandFault::bad_arguments);
    EXPECT_EQ(fault_of("RETR "), CommandFault::bad_arguments);
    EXPECT_EQ(fault_of("DELE "), CommandFault::bad_arguments);
}

TEST(Command, Top) {
    const auto top = command_of("TOP 3 0");
    EXPECT_EQ(top.verb, Verb::top);
    EXPECT_EQ(top.number, 3u);
    EXPECT_EQ(top.lines, 0u);
    EXPECT_EQ(command_of("TOP 1 10").lines, 10u);
    EXPECT_EQ(command_of("TOP 1 99999999999").lines, 99'999'999'999u);
    EXPECT_EQ(command_of("TOP 1 18446744073709551615").lines, UINT64_MAX);
    for (const auto* line : {"TOP", "TOP ", "TOP 1", "TOP 1 ", "TOP 1 -1", "TOP 1 +1", "TOP 1 x", "TOP 1 1x",
                             "TOP 1 2 3", "TOP 1  2", "TOP 1 18446744073709551616"})
        EXPECT_EQ(fault_of(line), CommandFault::bad_arguments) << line;
    for (const auto* number : no_numbers)
        EXPECT_EQ(fault_of("TOP "s + number + " 5"), CommandFault::bad_number) << number;
}

TEST(Command, UserAndPassAreTakenVerbatim) {
    for (const auto* text : {"bob",
                             "bob@example.com",
                             " bob",
                             "bob ",
                             "  ",
                             "two words",
                             "a  b",
                             "tab\there",
                             "\"quoted\"",
                             "back\\slash",
                             "100%",
                             "{5}",
                             "pass\xC3\xB1word",
                             "latin\xF1",
                             "\xFF\xFE",
                             "*",
                             "=",
                             "+OK",
                             ".",
                             "\x1B[31m"}) {
        const auto user = "USER "s + text;
        EXPECT_EQ(command_of(user).verb, Verb::user);
        EXPECT_EQ(command_of(user).text, text);
        const auto pass = "PASS "s + text;
        EXPECT_EQ(command_of(pass).verb, Verb::pass);
        EXPECT_EQ(command_of(pass).text, text);
    }
    const auto long_line = "PASS " + std::string(4096, 'x');
    EXPECT_EQ(command_of(long_line).text.size(), 4096u);
    for (const auto* line : {"USER", "USER ", "PASS", "PASS "})
        EXPECT_EQ(fault_of(line), CommandFault::bad_arguments) << line;
}

TEST(Command, NulAndLoneCrAreRefusedWhereverTheyStand) {
    for (const auto line :
         {"USER a\0b"sv, "PASS a\0"sv, "\0STAT"sv, "STAT\0"sv, "ST\0AT"sv, "RETR 1\0"sv, "RETR \0001"sv, "TOP 1\0 2"sv,
          "NOOP\rQUIT"sv, "NOOP\r"sv, "PASS x\rDELE 1"sv, "USER \r"sv, "AUTH PLAIN\0"sv, "XYZZY\0"sv, "\r"sv})
        EXPECT_EQ(fault_of(line), CommandFault::bad_characters) << testing::PrintToString(line);
}

TEST(Command, UnknownVerbs) {
    for (const auto* line : {"",
                             " ",
                             "    ",
                             "\t",
                             " STAT",
                             "  USER bob",
                             "\tSTAT",
                             "STAT\t",
                             "USER\tbob",
                             "LIST\t1",
                             "STA",
                             "ST",
                             "STATS",
                             "STATX 1",
                             "XTND",
                             "EHLO example.com",
                             "HELO x",
                             "a1 LOGIN a b",
                             "a1 CAPABILITY",
                             "USER:bob",
                             "US%R bob",
                             "%n%n%n",
                             ":",
                             ".",
                             "TOP1 2",
                             "RETR1",
                             "\xD0\xA1TAT",
                             "\xFF\xFF",
                             "SSH-2.0-OpenSSH_9.2",
                             "{10}",
                             "ＳＴＡＴ"})
        EXPECT_EQ(fault_of(line), CommandFault::unknown) << line;
}

TEST(Command, OtherProtocolsAreKnownForWhatTheyAre) {
    for (const auto line : {"GET / HTTP/1.1"sv, "POST /login HTTP/1.0"sv, "HEAD / HTTP/1.1"sv, "OPTIONS * HTTP/1.1"sv,
                            "CONNECT mail:110 HTTP/1.1"sv, "PRI * HTTP/2.0"sv, "\x16\x03\x01\x02\x00\x01\x00"sv})
        EXPECT_EQ(fault_of(line), CommandFault::foreign) << testing::PrintToString(line);
}

TEST(Command, Auth) {
    EXPECT_EQ(command_of("AUTH").verb, Verb::auth);
    EXPECT_EQ(command_of("AUTH").text, "");
    EXPECT_EQ(command_of("AUTH PLAIN").text, "PLAIN");
    EXPECT_FALSE(command_of("AUTH PLAIN").initial_response);
    EXPECT_EQ(command_of("AUTH PLAIN =").initial_response, "=");
    EXPECT_EQ(command_of("auth plain AGEAYg==").initial_response, "AGEAYg==");
    EXPECT_EQ(fault_of("AUTH PLAIN AGEAYg== x"), CommandFault::bad_arguments);
    EXPECT_EQ(fault_of("AUTH PLAIN  AGEAYg=="), CommandFault::bad_arguments);
}

TEST(Command, Lang) {
    EXPECT_EQ(command_of("LANG").verb, Verb::lang);
    EXPECT_EQ(command_of("LANG").text, "");
    EXPECT_EQ(command_of("LANG es-MX").text, "es-MX");
    EXPECT_EQ(command_of("LANG *").text, "*");
    EXPECT_EQ(fault_of("LANG es en"), CommandFault::bad_arguments);
}

// Some devices pad their commands; what is judged is the same with it and without.
TEST(Command, TrailingSpacesDoNotMatter) {
    EXPECT_EQ(command_of("STAT ").verb, Verb::stat);
    EXPECT_EQ(command_of("RETR 7  ").number, 7u);
    EXPECT_EQ(command_of("TOP 7 1 ").lines, 1u);
    EXPECT_FALSE(command_of("LIST ").number);
}

}  // namespace
}  // namespace popgate::pop3
