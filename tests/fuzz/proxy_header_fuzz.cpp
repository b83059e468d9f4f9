// The first octet chooses the pieces; the rest is what a proxy sends, and what follows its header.
#include "gateway/net/proxy_header.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <string>

namespace {

using namespace popgate;
using State = ProxyHeader::State;

/// How many octets were taken; behind the header's end none is.
std::size_t read(ProxyHeader& header, std::string_view octets, std::uint32_t seed, std::size_t longest) {
    std::size_t taken = 0;
    test::split(octets, seed, longest, [&](std::string_view piece) {
        const bool was_incomplete = header.state() == State::incomplete;
        const auto now = header.feed(piece);
        taken += now;
        FUZZ_CHECK(now <= piece.size());
        FUZZ_CHECK(was_incomplete || now == 0);
        FUZZ_CHECK(header.state() != State::incomplete || now == piece.size());
    });
    return taken;
}

/// The octets of a complete header, by its own account.
std::size_t told_length(std::string_view octets) {
    if (octets.front() == 'P') return octets.find("\r\n") + 2;
    return 16 + (static_cast<unsigned char>(octets[14]) << 8 | static_cast<unsigned char>(octets[15]));
}

void check_client(const ProxiedClient& client) {
    FUZZ_CHECK(!client.is_local || !(client.source || client.tls));
    FUZZ_CHECK(client.tls == !client.tls_description.empty());
    FUZZ_CHECK(client.tls || !(client.certificate_verified || !client.certificate_name.empty()));
    FUZZ_CHECK(client.tls_description.size() < 600 && client.certificate_name.size() <= 256);
    for (const unsigned char c : client.tls_description) FUZZ_CHECK(c >= 0x20 && c < 0x7F);
    for (const unsigned char c : client.certificate_name) FUZZ_CHECK(c >= 0x20 && c != 0x7F);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto seed = test::take_octet(octets);
    ProxyHeader whole;
    const auto taken = whole.feed(octets);
    FUZZ_CHECK(taken <= 16 + ProxyHeader::longest_block);
    FUZZ_CHECK((whole.state() == State::broken) == !whole.fault().empty());
    if (whole.state() == State::complete) {
        FUZZ_CHECK(taken == told_length(octets));
        check_client(whole.client());
    }
    for (const std::size_t longest : {1, 20}) {
        ProxyHeader pieces;
        const auto taken_in_pieces = read(pieces, octets, seed, longest);
        FUZZ_CHECK(pieces.state() == whole.state());
        FUZZ_CHECK(pieces.fault() == whole.fault());
        if (whole.state() == State::broken) continue;
        FUZZ_CHECK(taken_in_pieces == taken);
        FUZZ_CHECK(pieces.client().source == whole.client().source);
        FUZZ_CHECK(pieces.client().tls_description == whole.client().tls_description);
        FUZZ_CHECK(pieces.client().certificate_verified == whole.client().certificate_verified);
        FUZZ_CHECK(pieces.client().certificate_name == whole.client().certificate_name);
    }
    return 0;
}
