// A format as an administrator may write it, and what it makes of a hostile file name: the first line, and the rest.
#include "backends/unique_id_format.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/input.hpp"

#include <algorithm>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace popgate;
    const auto input = test::as_text(data, size);
    const auto text = input.substr(0, input.find('\n'));
    const auto name = input.substr(std::min(input.size(), text.size() + 1));

    const auto format = UniqueIdFormat::parse(text);
    if (!format) {
        FUZZ_CHECK(!format.error().text.empty());
    } else if (!format->is_native()) {
        FUZZ_CHECK(format->needs_uid() || format->needs_gmail_id() || format->needs_file_name());
        const UniqueIdParts parts{static_cast<std::uint32_t>(size * 2654435761U), 0xFFFFFFFF, 1, name};
        const auto id = format->make(parts);
        FUZZ_CHECK(format->make(parts) == id);
        FUZZ_CHECK(id.size() <= 500 * 256 + 250 * 3 * (name.size() + 32));
    }

    const auto fit = fit_unique_id(name);
    FUZZ_CHECK(!fit.empty() && fit.size() <= 70);
    FUZZ_CHECK(std::ranges::all_of(fit, [](char c) { return c >= 0x21 && c <= 0x7E; }));
    FUZZ_CHECK(fit_unique_id(fit) == fit);
    return 0;
}
