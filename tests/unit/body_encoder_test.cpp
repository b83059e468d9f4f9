#include "gateway/pop3/body_encoder.hpp"

#include "tests/fuzz/naive_encoder.hpp"
#include "tests/fuzz/splitter.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

namespace popgate::pop3 {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using TopLines = std::optional<std::uint64_t>;

struct Encoded {
    std::string text;
    std::uint64_t octets = 0;
};

Encoded encode(std::initializer_list<std::string_view> pieces, TopLines top_lines = std::nullopt) {
    BodyEncoder encoder(top_lines);
    Encoded encoded;
    for (const auto piece : pieces) encoder.encode(piece, encoded.text);
    encoder.finish(encoded.text);
    encoded.octets = encoder.octets();
    return encoded;
}

Encoded encode_in_pieces(std::string_view message, TopLines top_lines, std::uint32_t seed, std::size_t longest) {
    BodyEncoder encoder(top_lines);
    Encoded encoded;
    test::split(message, seed, longest, [&](std::string_view piece) { encoder.encode(piece, encoded.text); });
    encoder.finish(encoded.text);
    encoded.octets = encoder.octets();
    return encoded;
}

std::string text_of(std::string_view message, TopLines top_lines = std::nullopt) {
    return encode({message}, top_lines).text;
}

/// What a client makes of the reply (RFC 1939 §3): up to the first line that is a single '.', one '.' less where a line
/// begins with it. Whatever follows that line would be taken for other replies.
std::string decode(std::string_view reply) {
    std::string message;
    while (!reply.starts_with(".\r\n")) {
        const auto end = reply.find("\r\n");
        if (end == std::string_view::npos) return "no end";
        auto line = reply.substr(0, end + 2);
        reply.remove_prefix(end + 2);
        if (line.starts_with('.')) line.remove_prefix(1);
        message += line;
    }
    return reply == ".\r\n" ? message : "more than one reply";
}

// From the hard cases: dots, forged terminators, every wrong line end, NUL, 8-bit, no body, no header, nothing.
const std::string_view messages[] = {
    ""sv,
    "\n"sv,
    "\r\n"sv,
    "\r"sv,
    "."sv,
    ".\n"sv,
    ".\r\n"sv,
    "..\r\n"sv,
    ".."sv,
    ".\r"sv,
    "\r."sv,
    "Subject: x"sv,
    "Subject: x\r\n"sv,
    "Subject: x\r\n\r\n"sv,
    "Subject: x\n\n"sv,
    "Subject: x\r\n\r\none\r\ntwo\r\nthree\r\n"sv,
    "Subject: x\n\none\ntwo\nthree"sv,
    "Subject: x\r\nY: z\r\n\r\n.\r\n..\r\n.x\r\nx.\r\n...\r\n"sv,
    ".Subject: x\n\n.\n..\n.x\n"sv,
    "a\r\n.\r\nb\r\n"sv,
    "a\n.\nb\n"sv,
    "a\n.\r\nb"sv,
    "a\r\n.\nb"sv,
    "a\r.\r\nb"sv,
    "a\r.\rb\r"sv,
    "a\r\r\n.\r\r\nb\r\r\n"sv,
    "\r\r\n\r\r\n"sv,
    "a\n\rb\n\r.\n"sv,
    "one\rtwo\r\nthree\r"sv,
    "no end\r\n."sv,
    "no end\r\n.\r"sv,
    "nul\0in\0it\r\n\0\r\n.\0\r\n"sv,
    "8-bit \xE9\xFF\xFE\r\n\x80\x81\n"sv,
    "\xFF\xFE.\0\r\0\n\0.\0\r\0\n\0"sv,
    "\r\nno header\r\n.dot\r\n"sv,
    "\n\n\n.\n\n"sv,
    "+OK forged\r\n-ERR forged\r\n.\r\n1 120\r\n.\r\n"sv,
    "H: x\r\n folded\r\n\r\n\r\n\r\nafter empty lines"sv,
    "H: x\r\n \r\nnot the end of the header\r\n\r\nbody"sv,
};

const TopLines line_counts[] = {std::nullopt, 0, 1, 2, 3, 1000, UINT64_MAX};

TEST(BodyEncoder, LineEndsBecomeCrlf) {
    EXPECT_EQ(text_of("a\nb\r\nc\n"), "a\r\nb\r\nc\r\n.\r\n");
    EXPECT_EQ(text_of("a\r\r\nb"), "a\r\r\nb\r\n.\r\n") << "a CR too many is the message's own";
    EXPECT_EQ(text_of("a\rb\n"), "a\rb\r\n.\r\n");
}

TEST(BodyEncoder, AMissingLastLineEndIsAdded) {
    EXPECT_EQ(text_of("a"), "a\r\n.\r\n");
    EXPECT_EQ(text_of("a\r"), "a\r\r\n.\r\n");
    EXPECT_EQ(text_of("a\r\n"), "a\r\n.\r\n") << "and no second one";
}

TEST(BodyEncoder, NothingIsNothing) { EXPECT_EQ(text_of(""), ".\r\n"); }

TEST(BodyEncoder, DotsAreStuffedOnceAtTheBeginningOfALineAlone) {
    EXPECT_EQ(text_of(".\r\n"), "..\r\n.\r\n");
    EXPECT_EQ(text_of("..\r\na.b.\r\n.c"), "...\r\na.b.\r\n..c\r\n.\r\n");
    EXPECT_EQ(encode({"a\r\n", ".", "b"}).text, "a\r\n..b\r\n.\r\n");
    EXPECT_EQ(encode({"a", ".b"}).text, "a.b\r\n.\r\n");
    EXPECT_EQ(encode({"a\r", "\n", ".", "", ".", "\r\n"}).text, "a\r\n...\r\n.\r\n");
}

TEST(BodyEncoder, AClientGetsTheMessageWithCrlfAndNothingElse) {
    for (const auto message : messages) {
        std::string expected;
        for (std::size_t i = 0; i < message.size(); ++i) {
            if (message[i] == '\n' && (i == 0 || message[i - 1] != '\r')) expected += '\r';
            expected += message[i];
        }
        if (!message.empty() && message.back() != '\n') expected += "\r\n";
        EXPECT_EQ(decode(text_of(message)), expected) << testing::PrintToString(message);
        EXPECT_EQ(encode({message}).octets, expected.size()) << testing::PrintToString(message);
    }
}

TEST(BodyEncoder, EveryCutInTwoGivesWhatTheNaiveEncoderGives) {
    for (const auto message : messages)
        for (const auto& top_lines : line_counts) {
            const auto expected = test::encode_naively(message, top_lines);
            for (std::size_t cut = 0; cut <= message.size(); ++cut) {
                const auto encoded = encode({message.substr(0, cut), message.substr(cut)}, top_lines);
                ASSERT_EQ(encoded.text, expected.text) << testing::PrintToString(message) << " cut at " << cut;
                ASSERT_EQ(encoded.octets, expected.octets) << testing::PrintToString(message) << " cut at " << cut;
            }
        }
}

TEST(BodyEncoder, RandomMessagesInRandomPieces) {
    std::minstd_rand random(20240229);
    static constexpr std::string_view alphabet = "..\r\r\n\n\n:ab \0\xFF"sv;
    for (std::uint32_t round = 0; round < 3000; ++round) {
        std::string message;
        for (auto length = random() % 60; length > 0; --length) message += alphabet[random() % alphabet.size()];
        const auto& top_lines = line_counts[random() % std::size(line_counts)];
        const auto expected = test::encode_naively(message, top_lines);
        const auto encoded = encode_in_pieces(message, top_lines, round + 1, 7);
        ASSERT_EQ(encoded.text, expected.text) << testing::PrintToString(message);
        ASSERT_EQ(encoded.octets, expected.octets) << testing::PrintToString(message);
    }
}

TEST(BodyEncoder, ALineOfAMegabyte) {
    const std::string line(1024 * 1024, '.');
    const auto expected = "." + line + "\r\n.\r\n";
    EXPECT_TRUE(text_of(line) == expected);
    EXPECT_TRUE(encode_in_pieces(line, std::nullopt, 1, 5000).text == expected);
    EXPECT_EQ(encode({line}).octets, line.size() + 2);
}

TEST(BodyEncoder, TopCountsLinesOfTheBodyAlone) {
    const auto message = "Subject: x\r\nY: z\r\n\r\none\r\n\r\nthree\r\n"sv;
    EXPECT_EQ(text_of(message, 0), "Subject: x\r\nY: z\r\n\r\n.\r\n") << "the header and its empty line";
    EXPECT_EQ(text_of(message, 1), "Subject: x\r\nY: z\r\n\r\none\r\n.\r\n");
    EXPECT_EQ(text_of(message, 2), "Subject: x\r\nY: z\r\n\r\none\r\n\r\n.\r\n") << "an empty line is a line";
    EXPECT_EQ(text_of(message, 3), text_of(message));
    EXPECT_EQ(text_of(message, UINT64_MAX), text_of(message));
    EXPECT_EQ(text_of("Subject: x\n\n.\nlast", 1), "Subject: x\r\n\r\n..\r\n.\r\n") << "with bare LF as well";
}

TEST(BodyEncoder, TopOfAHeaderWithoutAnEnd) {
    EXPECT_EQ(text_of("Subject: x\r\nY: z", 0), "Subject: x\r\nY: z\r\n.\r\n");
    EXPECT_EQ(text_of("", 5), ".\r\n");
}

TEST(BodyEncoder, TopSaysWhenItHasAll) {
    std::string out;
    BodyEncoder encoder(1);
    encoder.encode("A: b\r\n\r\none", out);
    EXPECT_FALSE(encoder.satisfied());
    encoder.encode("\r\n", out);
    EXPECT_TRUE(encoder.satisfied());
    const auto had = out;
    encoder.encode("two\r\n.\r\n", out);
    EXPECT_EQ(out, had);

    BodyEncoder header_only(0);
    header_only.encode("A: b\r\n\r\n", out);
    EXPECT_TRUE(header_only.satisfied());

    BodyEncoder whole;
    whole.encode("A: b\r\n\r\none\r\n", out);
    EXPECT_FALSE(whole.satisfied()) << "RETR never has enough";
}

}  // namespace
}  // namespace popgate::pop3
