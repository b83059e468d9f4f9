// The first octet chooses RETR or TOP n, the second the pieces; the rest is the message.
#include "gateway/pop3/body_encoder.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/naive_encoder.hpp"
#include "tests/fuzz/splitter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    auto message = test::as_text(data, size);
    const auto choice = test::take_octet(message);
    const auto seed = test::take_octet(message);
    std::optional<std::uint64_t> top_lines;
    if (choice >= '0') top_lines = choice - '0';

    const auto expected = test::encode_naively(message, top_lines);
    for (const std::size_t longest : {std::size_t{1}, std::size_t{9}, message.size() + 1}) {
        pop3::BodyEncoder encoder(top_lines);
        std::string text;
        test::split(message, seed, longest, [&](std::string_view piece) { encoder.encode(piece, text); });
        encoder.finish(text);
        FUZZ_CHECK(text == expected.text);
        FUZZ_CHECK(encoder.octets() == expected.octets);
    }
    return 0;
}
