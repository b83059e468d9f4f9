// An answer to a batch: the first line is its Content-Type, the rest its body.
#include "backends/gmail/batch.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto input = test::as_text(data, size);
    const auto type = input.substr(0, input.find('\n'));
    const auto body = input.substr(std::min(input.size(), type.size() + 1));

    constexpr std::size_t asked = 4;
    const auto answers = gmail::parse_batch(type, body, asked);
    if (!answers) {
        FUZZ_CHECK(answers.error().code == Errc::temporary);
        return 0;
    }
    FUZZ_CHECK(answers->size() == asked);
    std::size_t octets = 0;
    for (const auto& answer : *answers) {
        if (!answer) continue;
        FUZZ_CHECK(answer->status >= 100 && answer->status <= 999);
        FUZZ_CHECK(body.find(answer->body) != std::string_view::npos);
        octets += answer->body.size();
    }
    FUZZ_CHECK(octets <= body.size());
    return 0;
}
