#include "gateway/net/proxy_header.hpp"

#include "tests/fuzz/splitter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace popgate {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using State = ProxyHeader::State;

constexpr auto signature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr auto ipv4 = "\xC0\x00\x02\x07\x7F\x00\x00\x01\xD4\x31\x00\x6E"sv;  // 192.0.2.7:54321, to 127.0.0.1:110

std::string two_octets(std::size_t number) {
    return {static_cast<char>(number >> 8 & 0xFF), static_cast<char>(number & 0xFF)};
}

/// Version 2: what `length` says may be another number than what follows has.
std::string block(unsigned command, unsigned family, std::string_view rest, std::optional<std::size_t> length = {}) {
    std::string header(signature);
    header += static_cast<char>(command);
    header += static_cast<char>(family);
    return header + two_octets(length.value_or(rest.size())) + std::string(rest);
}

std::string detail(unsigned type, std::string_view value) {
    return static_cast<char>(type) + two_octets(value.size()) + std::string(value);
}

/// Of the client's TLS: flags, the result of verifying its certificate, and what more is told.
std::string tls(unsigned flags, std::uint32_t verify, std::string_view more) {
    return detail(
        0x20, static_cast<char>(flags) + two_octets(verify >> 16) + two_octets(verify & 0xFFFF) + std::string(more));
}

std::string proxied(std::string_view details) { return block(0x21, 0x11, std::string(ipv4) + std::string(details)); }

/// A header read as read_proxy_header() does: what is not taken stays in the socket.
struct Read {
    State state = State::incomplete;
    std::string fault{};
    ProxiedClient client{};
    std::size_t taken = 0;
};

Read read_in_pieces(std::string_view octets, std::uint32_t seed, std::size_t longest) {
    ProxyHeader header;
    Read read;
    test::split(octets, seed, longest, [&](std::string_view piece) {
        const bool was_incomplete = header.state() == State::incomplete;
        const auto taken = header.feed(piece);
        if (header.state() == State::incomplete) {
            EXPECT_EQ(taken, piece.size());
        }
        if (!was_incomplete) {
            EXPECT_EQ(taken, 0u);
        }
        read.taken += taken;
    });
    read.state = header.state();
    read.fault = header.fault();
    read.client = header.client();
    return read;
}

Read read_whole(std::string_view octets) {
    ProxyHeader header;
    const auto taken = header.feed(octets);
    return {header.state(), header.fault(), header.client(), taken};
}

/// The header and nothing that follows, however it comes in.
ProxiedClient read_good(std::string_view header) {
    for (const auto behind :
         {""sv, "\x16\x03\x01\x02\x00"sv, "PROXY TCP4 9.9.9.9 9.9.9.9 9 9\r\n"sv, signature, "\r\n"sv}) {
        const auto octets = std::string(header) + std::string(behind);
        for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
            ProxyHeader parser;
            std::size_t taken = parser.feed(std::string_view(octets).substr(0, cut));
            EXPECT_EQ(taken, std::min(cut, header.size()));
            EXPECT_EQ(parser.state(), cut < header.size() ? State::incomplete : State::complete);
            taken += parser.feed(std::string_view(octets).substr(cut));
            EXPECT_EQ(taken, header.size()) << "cut at " << cut << " before " << behind;
            EXPECT_EQ(parser.state(), State::complete) << parser.fault();
        }
        for (const std::size_t longest : {std::size_t{1}, std::size_t{3}, octets.size()}) {
            const auto read = read_in_pieces(octets, 7, longest);
            EXPECT_EQ(read.taken, header.size());
            EXPECT_EQ(read.state, State::complete) << read.fault;
        }
    }
    return read_whole(header).client;
}

std::string source(std::string_view header) {
    const auto client = read_good(header);
    if (!client.source) return "none";
    return client.source->address().to_string() + " " + std::to_string(client.source->port());
}

/// The fault, the same however it comes in.
std::string fault(std::string_view header) {
    const auto whole = read_whole(header);
    EXPECT_EQ(whole.state, State::broken) << testing::PrintToString(header);
    EXPECT_FALSE(whole.fault.empty());
    EXPECT_EQ(whole.fault.find('\n'), std::string::npos);
    for (const std::size_t longest : {1, 5}) {
        const auto read = read_in_pieces(header, 3, longest);
        EXPECT_EQ(read.state, State::broken);
        EXPECT_EQ(read.fault, whole.fault);
    }
    return whole.fault;
}

TEST(ProxyHeader, ALineNamesItsClient) {
    EXPECT_EQ(source("PROXY TCP4 192.0.2.7 127.0.0.1 54321 110\r\n"), "192.0.2.7 54321");
    EXPECT_EQ(source("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255 65535");
    EXPECT_EQ(source("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0");
    EXPECT_EQ(source("PROXY TCP6 2001:db8::7 ::1 54321 110\r\n"), "2001:db8::7 54321");
    EXPECT_EQ(source("PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 1 110\r\n"), "2001:db8::7 1");
    EXPECT_EQ(source("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
                     "65535\r\n"),
              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535");
}

TEST(ProxyHeader, AMappedClientIsOneOfIpv4) {
    EXPECT_EQ(source("PROXY TCP6 ::ffff:192.0.2.7 ::1 54321 110\r\n"), "192.0.2.7 54321");
    EXPECT_EQ(source("PROXY TCP6 ::ffff:c000:207 ::1 54321 110\r\n"), "192.0.2.7 54321");
    const auto addresses = std::string(10, '\0') + std::string("\xFF\xFF\xC0\x00\x02\x07", 6) + std::string(16, '\0') +
                           two_octets(54321) + two_octets(110);
    EXPECT_EQ(source(block(0x21, 0x21, addresses)), "192.0.2.7 54321");
}

TEST(ProxyHeader, ALineMayNotKnow) {
    EXPECT_EQ(source("PROXY UNKNOWN\r\n"), "none");
    EXPECT_EQ(source("PROXY UNKNOWN \r\n"), "none");
    EXPECT_EQ(source("PROXY UNKNOWN 192.0.2.7 what ever\rit is\r\n"), "none");
    EXPECT_FALSE(read_good("PROXY UNKNOWN\r\n").is_local);
    const auto longest = "PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n";
    ASSERT_EQ(longest.size(), ProxyHeader::longest_line);
    EXPECT_EQ(source(longest), "none");
}

TEST(ProxyHeader, ALineHas107OctetsAtMost) {
    const auto line = "PROXY UNKNOWN " + std::string(107 - 15, 'x') + "\r\n";
    ASSERT_EQ(line.size(), ProxyHeader::longest_line + 1);
    EXPECT_EQ(fault(line), "a PROXY line of more than 107 octets");
    EXPECT_EQ(fault("PROXY TCP4 " + std::string(100'000, '1')), "a PROXY line of more than 107 octets");
    EXPECT_LE(read_whole("PROXY TCP4 " + std::string(100'000, '1')).taken, ProxyHeader::longest_line);
}

TEST(ProxyHeader, ALineEndsInCrlf) {
    EXPECT_EQ(fault("PROXY TCP4 192.0.2.7 127.0.0.1 54321 110\n"), "a PROXY line that does not end in CRLF");
    EXPECT_EQ(fault("PROXY UNKNOWN\n"), "a PROXY line that does not end in CRLF");
    EXPECT_EQ(fault("PROXY \n"), "a PROXY line that does not end in CRLF");
    EXPECT_EQ(read_whole("PROXY TCP4 192.0.2.7 127.0.0.1 54321 110\r").state, State::incomplete);
}

class BrokenLine : public testing::TestWithParam<std::string_view> {};

TEST_P(BrokenLine, IsRefused) { fault("PROXY " + std::string(GetParam()) + "\r\n"); }

INSTANTIATE_TEST_SUITE_P(
    ProxyHeader, BrokenLine,
    testing::Values(
        "", " ", "TCP4", "TCP4 ", "TCP5 192.0.2.7 127.0.0.1 1 110", "tcp4 192.0.2.7 127.0.0.1 1 110",
        "UDP4 192.0.2.7 127.0.0.1 1 110", "UNKNOWNS", "unknown", " TCP4 192.0.2.7 127.0.0.1 1 110",
        "TCP4  192.0.2.7 127.0.0.1 1 110", "TCP4 192.0.2.7  127.0.0.1 1 110", "TCP4 192.0.2.7 127.0.0.1 1  110",
        "TCP4 192.0.2.7 127.0.0.1 1 110 ", "TCP4 192.0.2.7 127.0.0.1 1 110 x", "TCP4\t192.0.2.7 127.0.0.1 1 110",
        "TCP4 192.0.2.7 127.0.0.1 1 110\r", "TCP4 192.0.2.7 127.0.0.1 1", "TCP4 192.0.2.7 127.0.0.1",
        // Ports.
        "TCP4 192.0.2.7 127.0.0.1 01 110", "TCP4 192.0.2.7 127.0.0.1 1 0110", "TCP4 192.0.2.7 127.0.0.1 00 110",
        "TCP4 192.0.2.7 127.0.0.1 65536 110", "TCP4 192.0.2.7 127.0.0.1 1 65536", "TCP4 192.0.2.7 127.0.0.1 +1 110",
        "TCP4 192.0.2.7 127.0.0.1 -1 110", "TCP4 192.0.2.7 127.0.0.1 0x1 110", "TCP4 192.0.2.7 127.0.0.1 1a 110",
        "TCP4 192.0.2.7 127.0.0.1  110", "TCP4 192.0.2.7 127.0.0.1 99999999999999999999 110",
        // Addresses.
        "TCP4 192.0.2 127.0.0.1 1 110", "TCP4 192.0.2.256 127.0.0.1 1 110", "TCP4 192.0.2.07 127.0.0.1 1 110",
        "TCP4 192.0.2.7.8 127.0.0.1 1 110", "TCP4 192.0.2.7. 127.0.0.1 1 110", "TCP4 3221225991 127.0.0.1 1 110",
        "TCP4 0xc0.0.2.7 127.0.0.1 1 110", "TCP4 192.0.2.7 127.1 1 110", "TCP4 localhost 127.0.0.1 1 110",
        "TCP4 192.0.2.7 localhost 1 110", "TCP4 192.0.2.7\0 127.0.0.1 1 110"sv, "TCP4 192.0.2.7\0x 127.0.0.1 1 110"sv,
        "TCP4 ::1 ::1 1 110", "TCP4 192.0.2.7 ::1 1 110", "TCP6 192.0.2.7 127.0.0.1 1 110", "TCP6 ::1 127.0.0.1 1 110",
        "TCP6 1::2::3 ::1 1 110", "TCP6 1:2:3:4:5:6:7 ::1 1 110", "TCP6 1:2:3:4:5:6:7:8:9 ::1 1 110",
        "TCP6 12345:: ::1 1 110", "TCP6 [::1] ::1 1 110", "TCP6 fe80::1%lo ::1 1 110", "TCP6 fe80::1%1 ::1 1 110",
        "TCP6 ::1 fe80::1%lo 1 110", "TCP6 ::g ::1 1 110"));

TEST(ProxyHeader, WhatIsNoHeaderIsKnownAtItsFirstWrongOctet) {
    for (const auto octets : {"USER x\r\n"sv, "\x16\x03\x01"sv, "proxy TCP4"sv, "PROXYTCP4"sv, "POXY"sv, "\0"sv,
                              "\r\r"sv, "\r\n\r\n\0\r\nQUIT\r"sv, "\n"sv})
        EXPECT_EQ(fault(octets), "no PROXY header");
    ProxyHeader header;
    EXPECT_EQ(header.feed(""), 0u);
    EXPECT_EQ(header.state(), State::incomplete);
    header.feed("PROXX");
    EXPECT_EQ(header.state(), State::broken);
}

TEST(ProxyHeader, ABlockNamesItsClient) {
    EXPECT_EQ(source(block(0x21, 0x11, ipv4)), "192.0.2.7 54321");
    const auto ipv6 =
        "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07"s + std::string(16, '\1') + two_octets(54321) + two_octets(110);
    EXPECT_EQ(source(block(0x21, 0x21, ipv6)), "2001:db8::7 54321");
}

TEST(ProxyHeader, ABlockMayNotKnow) {
    EXPECT_EQ(source(block(0x21, 0x00, "")), "none");
    EXPECT_EQ(source(block(0x21, 0x01, "")), "none");
    EXPECT_EQ(source(block(0x21, 0x31, std::string(216, '/'))), "none");
    EXPECT_FALSE(read_good(block(0x21, 0x00, "")).is_local);
}

TEST(ProxyHeader, OfTheProxysOwnConnectionAllElseIsIgnored) {
    const std::string blocks[] = {block(0x20, 0x00, ""),
                                  block(0x20, 0x11, ipv4),
                                  block(0x20, 0x21, "short"),
                                  block(0x20, 0xFF, "what it likes"),
                                  block(0x20, 0x00, tls(0x01, 0, detail(0x21, "TLSv1.3"))),
                                  block(0x20, 0x11, std::string(ipv4) + detail(0x03, "none"))};
    for (const auto& header : blocks) {
        const auto client = read_good(header);
        EXPECT_TRUE(client.is_local);
        EXPECT_FALSE(client.source || client.tls || client.certificate_verified);
        EXPECT_TRUE(client.tls_description.empty() && client.certificate_name.empty());
    }
}

TEST(ProxyHeader, VersionCommandAndFamilyAreKnown) {
    for (const unsigned command : {0x00u, 0x01u, 0x11u, 0x22u, 0x2Fu, 0x31u, 0xF1u})
        EXPECT_EQ(fault(block(command, 0x11, ipv4)), "a PROXY header of an unknown version or command");
    for (const unsigned family : {0x02u, 0x10u, 0x12u, 0x13u, 0x22u, 0x32u, 0x41u, 0xF1u, 0x1Fu})
        EXPECT_EQ(fault(block(0x21, family, std::string(216, '\0'))),
                  "a PROXY header of an unknown family or transport");
}

TEST(ProxyHeader, ABlockHasRoomForItsAddresses) {
    const auto too_short = "a PROXY header that is too short for its addresses";
    EXPECT_EQ(fault(block(0x21, 0x11, std::string(11, '\0'))), too_short);
    EXPECT_EQ(fault(block(0x21, 0x11, "")), too_short);
    EXPECT_EQ(fault(block(0x21, 0x21, std::string(35, '\0'))), too_short);
    EXPECT_EQ(fault(block(0x21, 0x31, std::string(215, '\0'))), too_short);
}

TEST(ProxyHeader, ABlockIsBounded) {
    const auto filled = [](std::size_t size) { return std::string(ipv4) + detail(0x04, std::string(size - 15, 'x')); };
    EXPECT_EQ(source(block(0x21, 0x11, filled(600))), "192.0.2.7 54321");
    EXPECT_EQ(read_whole(block(0x21, 0x11, filled(ProxyHeader::longest_block))).state, State::complete);
    EXPECT_EQ(fault(block(0x21, 0x11, filled(ProxyHeader::longest_block + 1))), "a PROXY header that is too long");
    // Known before it has come in.
    EXPECT_EQ(fault(block(0x21, 0x11, "", 0xFFFF)), "a PROXY header that is too long");
    EXPECT_EQ(read_whole(block(0x21, 0x11, "", 12)).state, State::incomplete);
}

TEST(ProxyHeader, UnknownDetailsAreSkipped) {
    EXPECT_EQ(source(proxied(detail(0x01, "pop3") + detail(0x02, "mail.example.com") + detail(0x04, "") +
                             detail(0x05, "id") + detail(0x30, "ns") + detail(0xEA, "\1vpce") + detail(0xFF, "x"))),
              "192.0.2.7 54321");
}

TEST(ProxyHeader, DetailsEndWhereTheHeaderEnds) {
    const auto over = "a PROXY header with details that run over its end";
    for (const auto rest : {"\x04"sv, "\x04\0"sv, "\x04\0\x01"sv,
                            "\x04\0\x05"
                            "1234"sv,
                            "\x04\xFF\xFF"sv, "\x04\0\0\x04"sv, "\0"sv})
        EXPECT_EQ(fault(proxied(rest)), over);
    EXPECT_EQ(fault(block(0x21, 0x00, "x")), over);
}

TEST(ProxyHeader, ThatTheClientHasTlsIsTold) {
    const auto client =
        read_good(proxied(tls(0x01, 0xFFFFFFFF,
                              detail(0x21, "TLSv1.3") + detail(0x23, "TLS_AES_256_GCM_SHA384") +
                                  detail(0x24, "RSA-SHA256") + detail(0x25, "RSA2048") + detail(0x2F, "?"))));
    EXPECT_TRUE(client.tls);
    EXPECT_EQ(client.tls_description, "TLSv1.3 TLS_AES_256_GCM_SHA384");
    EXPECT_FALSE(client.certificate_verified);
    EXPECT_EQ(client.certificate_name, "");
    EXPECT_EQ(read_good(proxied(tls(0x01, 1, detail(0x21, "TLSv1.2")))).tls_description, "TLSv1.2");
    EXPECT_EQ(read_good(proxied(tls(0x01, 1, ""))).tls_description, "TLS");
}

TEST(ProxyHeader, WithoutItsFlagThereIsNoTls) {
    const auto client = read_good(proxied(tls(0x06, 0, detail(0x21, "TLSv1.3") + detail(0x22, "joe"))));
    EXPECT_FALSE(client.tls || client.certificate_verified);
    EXPECT_TRUE(client.tls_description.empty() && client.certificate_name.empty());
    EXPECT_FALSE(read_good(proxied("")).tls);
}

TEST(ProxyHeader, ACertificateCountsWhenItWasShownAndVerified) {
    const auto name = detail(0x22, "J\xC3\xBCrgen Example");
    for (const unsigned shown : {0x03u, 0x05u, 0x07u}) {
        const auto client = read_good(proxied(tls(shown, 0, name)));
        EXPECT_TRUE(client.certificate_verified);
        EXPECT_EQ(client.certificate_name, "J\xC3\xBCrgen Example");
    }
    EXPECT_FALSE(read_good(proxied(tls(0x01, 0, name))).certificate_verified) << "none was shown";
    for (const std::uint32_t verify : {1u, 0x100u, 0x10000u, 0x1000000u, 0xFFFFFFFFu})
        EXPECT_FALSE(read_good(proxied(tls(0x07, verify, name))).certificate_verified);
}

TEST(ProxyHeader, WhatWouldSpoilALogIsLeftOut) {
    const auto name = [](std::string_view text) {
        return read_good(proxied(tls(0x03, 0, detail(0x22, text)))).certificate_name;
    };
    EXPECT_EQ(name("joe\nroot"), "");
    EXPECT_EQ(name("joe\0root"sv), "");
    EXPECT_EQ(name("joe\x7F"), "");
    EXPECT_EQ(name(std::string(256, 'x')).size(), 256u);
    EXPECT_EQ(name(std::string(257, 'x')), "");
    EXPECT_EQ(
        read_good(proxied(tls(0x01, 0, detail(0x21, "TLS\r\nv1\xC3\xBC") + detail(0x23, "\x1B[2J")))).tls_description,
        "TLSv1 [2J");
    const auto client =
        read_good(proxied(tls(0x01, 0, detail(0x21, std::string(400, 'v')) + detail(0x23, std::string(400, 'c')))));
    EXPECT_LE(client.tls_description.size(), 600u);
}

TEST(ProxyHeader, TlsDetailsEndWhereTheyEnd) {
    const auto malformed = "a PROXY header with malformed TLS details";
    for (const auto value : {""sv, "\x01\0\0\0"sv, "\x01\0\0\0\0\x21"sv, "\x01\0\0\0\0\x21\0\x08TLSv1.3"sv})
        EXPECT_EQ(fault(proxied(detail(0x20, value))), malformed);
    // The text would fit the header, but not the detail that it is in.
    EXPECT_EQ(fault(proxied(detail(0x20, "\x01\0\0\0\0\x21\0\x05"sv) + detail(0x04, "padding"))), malformed);
}

TEST(ProxyHeader, NothingIsSaidTwice) {
    const auto twice = "a PROXY header that says a thing twice";
    EXPECT_EQ(fault(proxied(tls(0x03, 0, detail(0x22, "joe")) + tls(0, 1, ""))), twice);
    EXPECT_EQ(fault(proxied(detail(0x03, "1234") + detail(0x03, "1234"))), twice);
    EXPECT_EQ(read_whole(proxied(detail(0x04, "x") + detail(0x04, "x"))).state, State::complete);
}

/// As Castagnoli's polynomial has it, bit by bit from the highest; the header's code goes the other way.
std::uint32_t checksum_of(std::string_view octets) {
    const auto reversed = [](std::uint32_t value, int bits) {
        std::uint32_t out = 0;
        for (int bit = 0; bit < bits; ++bit) out |= (value >> bit & 1u) << (bits - 1 - bit);
        return out;
    };
    std::uint32_t sum = 0xFFFFFFFF;
    for (const char c : octets) {
        sum ^= reversed(static_cast<unsigned char>(c), 8) << 24;
        for (int bit = 0; bit < 8; ++bit) sum = sum & 0x80000000 ? sum << 1 ^ 0x1EDC6F41 : sum << 1;
    }
    return ~reversed(sum, 32);
}

TEST(ProxyHeader, AChecksumIsVerified) {
    ASSERT_EQ(checksum_of("123456789"), 0xE3069283u);
    for (const auto& before : {std::string(), detail(0x02, "mail.example.com"), detail(0x04, "x")}) {
        const auto with = [&](std::uint32_t sum) {
            return proxied(before + detail(0x03, two_octets(sum >> 16) + two_octets(sum & 0xFFFF)) + detail(0x04, "y"));
        };
        const auto sum = checksum_of(with(0));
        EXPECT_EQ(source(with(sum)), "192.0.2.7 54321");
        for (const std::uint32_t flipped : {1u, 0x100u, 0x80000000u})
            EXPECT_EQ(fault(with(sum ^ flipped)), "a PROXY header with a wrong checksum");
        auto changed = with(sum);
        changed[16] ^= 1;
        EXPECT_EQ(fault(changed), "a PROXY header with a wrong checksum");
    }
    for (const auto value : {""sv, "\0\0\0"sv, "\0\0\0\0\0"sv})
        EXPECT_EQ(fault(proxied(detail(0x03, value))), "a PROXY header with a checksum that is none");
}

TEST(ProxyHeader, NothingIsTakenOnceItHasEnded) {
    ProxyHeader good;
    good.feed("PROXY UNKNOWN\r\n");
    EXPECT_EQ(good.feed("PROXY TCP4 192.0.2.7 127.0.0.1 1 110\r\n"), 0u);
    EXPECT_EQ(good.state(), State::complete);
    EXPECT_FALSE(good.client().source);
    ProxyHeader broken;
    broken.feed("QUIT");
    EXPECT_EQ(broken.feed("PROXY UNKNOWN\r\n"), 0u);
    EXPECT_EQ(broken.state(), State::broken);
}

}  // namespace
}  // namespace popgate
