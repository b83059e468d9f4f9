// The first octet chooses the pieces; the rest is what a server sends. What is taken from it does not depend on them.
#include "gateway/state/redis/protocol.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/splitter.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace popgate;
using redis::Reply;

bool is_same(const Reply& a, const Reply& b) {
    if (a.kind != b.kind || a.integer != b.integer || a.text != b.text || a.elements.size() != b.elements.size())
        return false;
    for (std::size_t i = 0; i < a.elements.size(); ++i)
        if (!is_same(a.elements[i], b.elements[i])) return false;
    return true;
}

/// The library sets room aside for as many elements as are announced, which the address space allows and a fuzzer not.
bool announces_many(std::string_view octets) {
    for (auto at = octets.find('*'); at != std::string_view::npos; at = octets.find('*', at + 1)) {
        const auto end = octets.find_first_not_of("+0123456789", at + 1);
        if (std::min(end, octets.size()) - at > 6) return true;
    }
    return false;
}

std::vector<Reply> replies_in(std::string_view octets, std::uint32_t seed, std::size_t longest) {
    redis::ReplyReader reader;
    std::vector<Reply> replies;
    test::split(octets, seed, longest, [&](std::string_view piece) {
        reader.feed(piece);
        for (auto reply = reader.next(); reply && *reply; reply = reader.next()) replies.push_back(std::move(**reply));
    });
    return replies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto octets = test::as_text(data, size);
    const auto seed = test::take_octet(octets);
    if (announces_many(octets)) return 0;
    const auto whole = replies_in(octets, seed, octets.size() + 1);
    for (const std::size_t longest : {1, 20}) {
        const auto pieces = replies_in(octets, seed, longest);
        FUZZ_CHECK(pieces.size() == whole.size());
        for (std::size_t i = 0; i < whole.size(); ++i) FUZZ_CHECK(is_same(pieces[i], whole[i]));
    }
    return 0;
}
